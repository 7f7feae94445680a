"""Like with like: which captures of two visits may be compared. Source: the pairing rule of docs/conventions.md.

Captures are alike when kind and surface are equal, speeds are within 3 % and inclines within 0.5 percentage points.
Speeds are compared as stated and as measured: a mistyped speed must not make two unlike runs a pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labsys.core.session import Conditions, TrialKind
from labsys.longitudinal.guards import pair_warnings
from labsys.longitudinal.values import AbsentTrial, Capture, ConditionPair, Unpaired, Visit

SPEED_TOLERANCE = 0.03
INCLINE_TOLERANCE_PCT = 0.5
COMPARED_KINDS = (TrialKind.RUN, TrialKind.WALK)
# So that a speed exactly at the limit does not fail on rounding.
_ROUNDING = 1e-9

Group = tuple[Capture, ...]


@dataclass(frozen=True)
class Pairing:
    """Pairs of alike captures, what stayed alone, and what a reader must be warned of."""

    pairs: tuple[ConditionPair, ...]
    unpaired: tuple[Unpaired, ...]
    warnings: tuple[str, ...]


def alike(a: Capture, b: Capture) -> bool:
    """Whether two captures were made under like conditions. Unknown speeds are like nothing."""
    same = a.kind is b.kind and conditions_alike(a.conditions, b.conditions, speeds_mps=(a.speed_mps, b.speed_mps))
    return same and not _differ(a.measured_speed_mps, b.measured_speed_mps)


def conditions_alike(a: Conditions, b: Conditions, *, speeds_mps: tuple[float, float]) -> bool:
    """Whether surfaces are equal, and speeds (stated, else measured; NaN where unknown) and inclines near enough."""
    inclines_differ = abs(a.incline_pct - b.incline_pct) > INCLINE_TOLERANCE_PCT + _ROUNDING
    known = all(math.isfinite(speed) for speed in speeds_mps)
    return known and a.surface is b.surface and not _differ(*speeds_mps) and not inclines_differ


def _differ(speed_a_mps: float, speed_b_mps: float) -> bool:
    """Whether two known speeds are more than 3 % apart; an unknown one differs from none."""
    return abs(speed_a_mps - speed_b_mps) > SPEED_TOLERANCE * max(speed_a_mps, speed_b_mps) + _ROUNDING


def group_alike(captures: Iterable[Capture]) -> tuple[Group, ...]:
    """Groups in which every capture is like every other, in order of kind, surface, incline and speed."""
    groups: list[list[Capture]] = []
    for capture in sorted(captures, key=_order):
        fitting = [g for g in groups if all(alike(capture, member) for member in g)]
        if fitting:
            fitting[-1].append(capture)
        else:
            groups.append([capture])
    return tuple(tuple(g) for g in groups)


def pair_captures(pre: Visit, post: Visit) -> Pairing:
    """Pair the groups of two visits, each with at most one of the other, nearest speeds first."""
    alone: list[Unpaired] = []
    sides: list[tuple[Group, ...]] = []
    for role, visit in (("pre", pre), ("post", post)):
        usable, refused = _usable(visit, role)
        alone += [*refused, *(_absent(trial, role) for trial in visit.absent)]
        sides.append(group_alike(usable))
    matched = _match(*sides)
    pairs = tuple(_pair(sides[0][i], sides[1][j]) for i, j in sorted(matched))
    for role, groups, taken in (
        ("pre", sides[0], {i for i, _ in matched}),
        ("post", sides[1], {j for _, j in matched}),
    ):
        left = [c for k, group in enumerate(groups) if k not in taken for c in group]
        alone += [_unpaired(c, role, "nothing of the other visit was recorded under like conditions") for c in left]
    return Pairing(
        pairs,
        tuple(alone),
        (*_speed_warnings(pre), *_speed_warnings(post), *(w for p in pairs for w in pair_warnings(p))),
    )


def advice_for_next_time(pre: Visit, post: Visit) -> str:
    """Why nothing pairs: the conditions present in both visits, and the speed to record next time."""
    wanted = sorted({_speed_text(c) for c in _moving(pre)})
    present = f"pre has {_conditions_text(pre)}; post has {_conditions_text(post)}"
    return f"no like conditions: {present}. Record next time at {' or '.join(wanted)}" if wanted else present


def _moving(visit: Visit) -> list[Capture]:
    return [c for c in visit.captures if c.kind in COMPARED_KINDS]


def _usable(visit: Visit, role: str) -> tuple[list[Capture], list[Unpaired]]:
    usable, refused = [], []
    for capture in _moving(visit):
        if capture.not_for_comparison is not None:
            refused.append(_unpaired(capture, role, f"not for comparison: {capture.not_for_comparison}"))
        elif not math.isfinite(capture.speed_mps):
            refused.append(_unpaired(capture, role, "its speed is neither stated nor measured"))
        else:
            usable.append(capture)
    return usable, refused


def _match(pre: Sequence[Group], post: Sequence[Group]) -> set[tuple[int, int]]:
    """One-to-one pairs (pre index, post index), by increasing difference of speed, then of incline."""
    candidates = sorted(
        (abs(_mean_speed(a) - _mean_speed(b)), abs(_mean_incline(a) - _mean_incline(b)), i, j)
        for i, a in enumerate(pre)
        for j, b in enumerate(post)
        if all(alike(x, y) for x in a for y in b)
    )
    matched: set[tuple[int, int]] = set()
    for _, _, i, j in candidates:
        if all(i != k and j != m for k, m in matched):
            matched.add((i, j))
    return matched


def _pair(pre: Group, post: Group) -> ConditionPair:
    both = pre + post
    return ConditionPair(
        kind=pre[0].kind,
        surface=pre[0].conditions.surface,
        speed_mps=_mean_speed(both),
        incline_pct=_mean_incline(both),
        pre=pre,
        post=post,
    )


def _unpaired(capture: Capture, role: str, reason: str) -> Unpaired:
    return Unpaired(
        visit=role,
        trial=capture.name.trial,
        kind=capture.kind,
        speed_mps=capture.speed_mps,
        incline_pct=capture.conditions.incline_pct,
        reason=reason,
    )


def _speed_warnings(visit: Visit) -> tuple[str, ...]:
    return tuple(
        f"{visit.session}/{c.name.trial}: stated {c.speed_mps:.2f} m/s, the recording shows "
        f"{c.measured_speed_mps:.2f} m/s; correct the trial's speed, or the belt's"
        for c in _moving(visit)
        if _differ(c.speed_mps, c.measured_speed_mps)
    )


def _absent(trial: AbsentTrial, role: str) -> Unpaired:
    speed_mps = trial.conditions.speed_mps
    return Unpaired(
        visit=role,
        trial=trial.trial,
        kind=trial.kind,
        speed_mps=math.nan if speed_mps is None else speed_mps,
        incline_pct=trial.conditions.incline_pct,
        reason=trial.reason,
    )


def _order(capture: Capture) -> tuple[str, str, float, float, str]:
    conditions = capture.conditions
    return (str(capture.kind), str(conditions.surface), conditions.incline_pct, capture.speed_mps, capture.name.trial)


def _mean_speed(group: Group) -> float:
    return sum(c.speed_mps for c in group) / len(group)


def _mean_incline(group: Group) -> float:
    return sum(c.conditions.incline_pct for c in group) / len(group)


def _speed_text(capture: Capture) -> str:
    known = math.isfinite(capture.speed_mps)
    return f"{capture.speed_mps:.2f} m/s" if known else "a stated speed"


def _conditions_text(visit: Visit) -> str:
    texts = sorted(
        {
            f"{c.kind} on {c.conditions.surface or 'an unstated surface'} at {_speed_text(c)}, "
            f"incline {c.conditions.incline_pct:g} %"
            for c in _moving(visit)
        }
    )
    texts += [f"{t.trial} ({t.reason})" for t in visit.absent]
    return ", ".join(texts) or "no run or walk"
