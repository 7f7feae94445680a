"""Screening: metrics with their intervals, held against the rules of a lab. Uncertainty decides what is borderline.

A value flags only where its whole `ci95` lies beyond the flagged threshold; beyond the borderline threshold without
that, it is borderline. What cannot be assessed says why and is never a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from labsys.biomechanics.screening_measures import Assessed, Known, Unassessed, assess
from labsys.biomechanics.screening_text import describe_finding, describe_unassessed
from labsys.core.motion import Finding, FindingValue, Metric, Quality, StrideValues
from labsys.core.references import ReferenceTable
from labsys.core.screening import Combine, Confidence, FindingStatus, Rule, RuleSet
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side, Tier

_RANK = {FindingStatus.NOT_FLAGGED: 0, FindingStatus.BORDERLINE: 1, FindingStatus.FLAGGED: 2}
_QUALITY = (Quality.OK, Quality.INDICATIVE, Quality.LOW, Quality.EXCLUDED)


@dataclass(frozen=True)
class ScreenedTrial:
    """What screening knows of a trial. speed_mps: NaN where unknown. sex: "men", "women" or ""."""

    kind: TrialKind
    tier: Tier
    surface: Surface | None
    speed_mps: float
    sex: str
    n_strides: Mapping[Side, int]
    metrics: tuple[Metric, ...]
    stride_values: tuple[StrideValues, ...]


_Answers = dict[tuple[str, Side], Finding]


def screen(trial: ScreenedTrial, *, rules: RuleSet, references: ReferenceTable) -> tuple[Finding, ...]:
    """Every rule's answer, per side where the rule is; trials that are no gait have none."""
    if trial.kind not in (TrialKind.RUN, TrialKind.WALK):
        return ()
    known = Known(
        metrics={(m.id, m.side): m for m in trial.metrics},
        values={(v.id, v.side): v.values for v in trial.stride_values},
        tier=trial.tier,
        surface=trial.surface,
        speed_mps=trial.speed_mps,
        sex=trial.sex,
        references=references,
    )
    answers: _Answers = {}
    for rule in rules.rules:
        for side in (Side.LEFT, Side.RIGHT) if rule.per_side else (Side.BOTH,):
            answers[rule.id, side] = _answer(rule, side, trial, rules, known, answers)
    return tuple(answers.values())


def _answer(rule: Rule, side: Side, trial: ScreenedTrial, rules: RuleSet, known: Known, answers: _Answers) -> Finding:
    reason = _reason_against(rule, trial, rules)
    if reason is not None:
        return _unassessable(rule, side, rules, known, reason)
    if rule.requires is not None:
        before = answers.get((rule.requires[0], side)) or answers[rule.requires[0], Side.BOTH]
        if before.status is FindingStatus.NOT_ASSESSABLE:
            return _unassessable(rule, side, rules, known, f"rests on {before.id}, not assessed: {before.reason}")
        if before.status not in rule.requires[1]:
            text = describe_unassessed(rule, rule.otherwise, rules, assessed=True)
            return _finding(rule, side, rules, known, FindingStatus.NOT_FLAGGED, text)
    return _judge(rule, side, rules, known)


def _reason_against(rule: Rule, trial: ScreenedTrial, rules: RuleSet) -> str | None:
    low, high = rule.speed_mps or rules.speed_mps
    few = {side: n for side, n in trial.n_strides.items() if n < rules.min_strides}
    if trial.kind is TrialKind.WALK:
        return "walking, and this is a rule for running"
    if trial.tier < rule.tier:
        return f"needs landmarks of tier {rule.tier.name}, this trial has {trial.tier.name}: not observable"
    if trial.tier > rule.highest_tier:
        return f"for landmarks up to tier {rule.highest_tier.name}; with {trial.tier.name} other rules say more"
    if trial.surface is None:
        return "surface not named"
    if not math.isfinite(trial.speed_mps):
        return "speed unknown"
    if not low <= trial.speed_mps <= high:
        return f"outside reference speed ({low:g} to {high:g} m/s): {trial.speed_mps:.2f} m/s"
    if few:
        counts = ", ".join(f"{n} {side}" for side, n in few.items())
        return f"too few strides that count ({counts}); {rules.min_strides} per side are needed"
    return None


def _judge(rule: Rule, side: Side, rules: RuleSet, known: Known) -> Finding:
    found = [assess(measure, side, known) for measure in rule.measures]
    given = [a for a in found if isinstance(a, Assessed)]
    missing = [a for a in found if isinstance(a, Unassessed)]
    if not given or (missing and rule.combine is Combine.ALL):
        reasons = dict.fromkeys(a.reason for a in missing)
        return _unassessable(rule, side, rules, known, "; ".join(reasons), missing)
    status = FindingStatus.NOT_FLAGGED if rule.never_flag else _combine(rule.combine, given)
    values = tuple(a.value for a in given) + _beside(rule, side, known)
    text = describe_finding(rule, status, given, rules, known)
    return _finding(rule, side, rules, known, status, text, values=values, missing=missing)


def _combine(combine: Combine, given: list[Assessed]) -> FindingStatus:
    """ANY: the farthest of the measures. ALL: the least; one without a borderline threshold decides only what flags."""
    statuses = [a.value.status for a in given]
    if combine is Combine.ANY:
        return max(statuses, key=_RANK.__getitem__)
    if all(s is FindingStatus.FLAGGED for s in statuses):
        return FindingStatus.FLAGGED
    deciding = [a.value.status for a in given if a.measure.borderline is not None] or statuses
    least = min(deciding, key=_RANK.__getitem__)
    return FindingStatus.NOT_FLAGGED if least is FindingStatus.NOT_FLAGGED else FindingStatus.BORDERLINE


def _beside(rule: Rule, side: Side, known: Known) -> tuple[FindingValue, ...]:
    """Metrics that stand beside and decide nothing."""
    found = (known.find(metric, side) for metric in rule.also_shown)
    return tuple(known.value_of(m, FindingStatus.NOT_FLAGGED) for m in found if m is not None and math.isfinite(m.mean))


def _unassessable(
    rule: Rule, side: Side, rules: RuleSet, known: Known, reason: str, missing: list[Unassessed] | None = None
) -> Finding:
    text = describe_unassessed(rule, reason, rules)
    status = FindingStatus.NOT_ASSESSABLE
    return _finding(rule, side, rules, known, status, text, missing=missing or [], reason=reason)


def _finding(  # noqa: PLR0913 - everything that a finding carries
    rule: Rule,
    side: Side,
    rules: RuleSet,
    known: Known,
    status: FindingStatus,
    text: str,
    *,
    values: tuple[FindingValue, ...] = (),
    missing: list[Unassessed] | None = None,
    reason: str | None = None,
) -> Finding:
    quality = max((v.quality for v in values), key=_QUALITY.index, default=Quality.OK)
    unsure = quality is not Quality.OK or known.tier is Tier.T2 or known.surface is not Surface.TREADMILL
    return Finding(
        id=rule.id,
        side=side,
        status=status,
        text=text,
        title=rule.title,
        reason=reason,
        values=values,
        left_out={a.metric: a.reason for a in missing or []},
        tier=known.tier,
        quality=Quality.EXCLUDED if status is FindingStatus.NOT_ASSESSABLE else quality,
        confidence=Confidence.LOW if unsure else Confidence.USUAL,
        provisional=rule.provisional or any(v.provisional for v in values),
        source=rule.source,
        reference="; ".join(dict.fromkeys(r for v in values for r in known.reference_texts(v.metric))),
        rules=rules.label,
    )
