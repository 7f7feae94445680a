"""Screening files: YAML to the rules that a lab screens its running trials by."""

from __future__ import annotations

import functools
import importlib.resources
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from labsys.capture.strict_yaml import AS_TUPLE, Section, check_schema, parse_section, read_mapping
from labsys.core.catalogue import DERIVED_METRICS, METRICS, MetricDefinition, find_metric
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.screening import Beyond, Combine, FindingStatus, Measure, Rule, RuleSet, Threshold
from labsys.core.skeleton import Tier
from labsys.core.units import Unit, to_inside

SCREENING_SCHEMA = "labsys.screening/1"
SCREENING_FILE = "screening/running.yaml"

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Speeds = tuple[Annotated[float, Field(gt=0, le=12)], Annotated[float, Field(gt=0, le=12)]]
_Words = Annotated[str, Field(min_length=1)]
_TierName = Literal["T0", "T1", "T2", "T3"]
# What video cannot see, and praise; a word that begins so is refused in every text of a rule.
_UNSEEN = re.compile(
    r"\b(glute|hamstring|psoas|ilio|quadriceps|rectus|muscle|activat|weak|tight|improv|deteri)\w*", re.I
)


class ThresholdSection(Section):
    """A threshold; the farthest out of what is given counts."""

    section: ClassVar[str] = "thresholds"
    value: _Number | None = None
    mdc95: bool = False
    lab_sds: Annotated[float, Field(gt=0, le=5)] | None = None


_Threshold = _Number | Literal["mdc95"] | ThresholdSection


class MeasureSection(Section):
    """A metric, or several of which the first that was measured counts."""

    section: ClassVar[str] = "measures"
    metrics: Annotated[tuple[str, ...], AS_TUPLE, Field(min_length=1)]
    beyond: Annotated[Beyond, Field(strict=False)]
    borderline: _Threshold | None = None
    flagged: _Threshold
    stride_share: Annotated[float, Field(gt=0, lt=1)] | None = None


class RequiresSection(Section):
    """Another rule, and the answers of it with which this one applies."""

    section: ClassVar[str] = "requires"
    rule: str
    answers: Annotated[tuple[Annotated[FindingStatus, Field(strict=False)], ...], AS_TUPLE, Field(min_length=1)]
    otherwise: _Words


class RuleSection(Section):
    """One rule."""

    section: ClassVar[str] = "rules"
    title: _Words
    side: Literal["per side", "both"]
    tier: _TierName
    highest_tier: _TierName = "T3"
    requires: RequiresSection | None = None
    never_flag: bool = False
    speed_mps: Annotated[_Speeds, AS_TUPLE] | None = None
    combine: Annotated[Combine, Field(strict=False)] = Combine.ALL
    measures: Annotated[tuple[MeasureSection, ...], AS_TUPLE, Field(min_length=1)]
    also_shown: Annotated[tuple[str, ...], AS_TUPLE] = ()
    source: _Words
    provisional: bool = True
    can_produce: Annotated[tuple[_Words, ...], AS_TUPLE, Field(min_length=1)]


class ScreeningFile(Section):
    """All rules."""

    section: ClassVar[str] = "screening"
    schema_name: Annotated[Literal["labsys.screening/1"], Field(alias="schema")]
    name: _Words
    version: Annotated[int, Field(ge=1)]
    speed_mps: Annotated[_Speeds, AS_TUPLE]
    min_strides: Annotated[int, Field(ge=3)]
    closing: Annotated[tuple[_Words, ...], AS_TUPLE, Field(min_length=1)]
    names: dict[str, _Words]
    rules: Annotated[dict[str, RuleSection], Field(min_length=1)]


@functools.cache
def shipped_rules() -> RuleSet:
    """The rules that labsys comes with."""
    with importlib.resources.as_file(_shipped_file()) as path:
        return _read(path)


def _shipped_file() -> Traversable:
    return importlib.resources.files("hardware_configs") / SCREENING_FILE


def _is_shipped(path: Path) -> bool:
    try:
        return path.read_bytes() == _shipped_file().read_bytes()
    except OSError:
        return False  # reading it as rules says what is wrong


def load_rules(path: Path) -> RuleSet:
    """Read a lab's screening file.

    Raises:
        UnknownNameError: an unknown key, metric or rule; names the nearest. NewerSchemaError: for a newer labsys.
        InputError: unreadable; thresholds in the wrong order; words that say more than video can see; closing
            sentences changed; rules changed that still bear the shipped name and version.
    """
    shipped = shipped_rules()
    # Most labs keep the file as it came, and reading it takes a tenth of a second.
    rules = shipped if _is_shipped(path) else _read(path)
    if rules.closing != shipped.closing:
        raise InputError(
            "the closing sentences differ from labsys's own",
            where=str(path),
            remedy=f"Keep all {len(shipped.closing)} as `labsys init` writes them",
        )
    if rules.label == shipped.label and rules != shipped:
        raise InputError(
            f"these rules differ from labsys's own and still call themselves '{rules.label}'",
            where=str(path),
            remedy="Give them a name of your own, and a new version with every change",
        )
    return rules


def _read(path: Path) -> RuleSet:
    content = read_mapping(path)
    check_schema(content, schema=SCREENING_SCHEMA, path=path)
    written = parse_section(ScreeningFile, content, path=path)
    rules: list[Rule] = []
    for rule_id, section in written.rules.items():
        where = f"{path}: {rule_id}"
        rules.append(_rule(rule_id, section, known=[r.id for r in rules], where=where))
    _check_names(written, rules, str(path))
    return RuleSet(
        name=written.name,
        version=written.version,
        closing=written.closing,
        names=written.names,
        min_strides=written.min_strides,
        speed_mps=_span(written.speed_mps, str(path)),
        rules=tuple(rules),
    )


def _rule(rule_id: str, section: RuleSection, *, known: list[str], where: str) -> Rule:
    tier, highest = Tier[section.tier], Tier[section.highest_tier]
    if tier > highest:
        raise InputError(f"tier {section.tier} is above highest_tier {section.highest_tier}", where=where)
    requires = section.requires
    if requires is not None and requires.rule not in known:
        raise UnknownNameError("earlier rule", requires.rule, valid=known, where=where)
    for text in (section.title, section.source, *section.can_produce, requires.otherwise if requires else ""):
        _check_words(text, where)
    return Rule(
        id=rule_id,
        title=section.title,
        per_side=section.side == "per side",
        tier=tier,
        highest_tier=highest,
        combine=section.combine,
        measures=tuple(_measure(m, per_side=section.side == "per side", where=where) for m in section.measures),
        source=section.source,
        provisional=section.provisional,
        can_produce=section.can_produce,
        requires=None if requires is None else (requires.rule, requires.answers),
        otherwise="" if requires is None else requires.otherwise,
        never_flag=section.never_flag,
        speed_mps=None if section.speed_mps is None else _span(section.speed_mps, where),
        also_shown=section.also_shown,
    )


def _measure(section: MeasureSection, *, per_side: bool, where: str) -> Measure:
    units = {_metric_unit(metric, per_side, where) for metric in section.metrics}
    if len(units) > 1:
        raise InputError(f"{', '.join(section.metrics)} have different units", where=where)
    unit = units.pop()
    flagged = _threshold(section.flagged, unit, where)
    borderline = None if section.borderline is None else _threshold(section.borderline, unit, where)
    measure = Measure(section.metrics, section.beyond, flagged, borderline, section.stride_share)
    _check_order(measure, where)
    return measure


def _metric_unit(metric: str, per_side: bool, where: str) -> Unit:
    definition = _known_metric(metric, where)
    if not per_side and len(definition.sided.sides) > 1:
        raise InputError(f"{metric} is a value per side, this rule is not", where=where, remedy="Use 'side: per side'")
    return definition.unit


def _threshold(written: float | str | ThresholdSection, unit: Unit, where: str) -> Threshold:
    if isinstance(written, str):
        return Threshold(mdc95=True)
    if not isinstance(written, ThresholdSection):
        return Threshold(value=to_inside(written, unit))
    if written.value is None and written.lab_sds is None and not written.mdc95:
        raise InputError("a threshold says neither value, mdc95 nor lab_sds", where=where)
    value = None if written.value is None else to_inside(written.value, unit)
    return Threshold(value, written.mdc95, written.lab_sds)


def _check_order(measure: Measure, where: str) -> None:
    """What is flagged lies at least as far out as what is borderline."""
    if measure.borderline is None:
        return
    near, far = measure.borderline.value, measure.flagged.value
    sign = -1.0 if measure.beyond is Beyond.BELOW else 1.0
    if near is not None and far is not None and sign * far < sign * near:
        raise InputError(
            f"{measure.metrics[0]}: flagged begins before borderline ({measure.beyond})",
            where=where,
            remedy="Exchange the two",
        )


def _check_words(text: str, where: str) -> None:
    found = _UNSEEN.search(text)
    if found:
        raise InputError(
            f"'{found[0]}' is nothing that video can see, or it praises", where=where, remedy="Say what was measured"
        )


def _check_names(written: ScreeningFile, rules: list[Rule], where: str) -> None:
    used = {m for rule in rules for measure in rule.measures for m in measure.metrics}
    used |= {m for rule in rules for m in rule.also_shown}
    for metric in sorted(used - set(written.names)):
        raise InputError(f"no name for {metric}", where=f"{where}: names", remedy="Say what it is called in a sentence")
    _check_all_known(written.names, where)


def _check_all_known(names: Mapping[str, str], where: str) -> None:
    for metric, name in names.items():
        _known_metric(metric, f"{where}: names")
        _check_words(name, f"{where}: names.{metric}")


def _known_metric(metric: str, where: str) -> MetricDefinition:
    valid = [m.id for m in METRICS + DERIVED_METRICS]
    if metric not in valid:
        raise UnknownNameError("metric", metric, valid=valid, where=where)
    return find_metric(metric)


def _span(speeds_mps: tuple[float, float], where: str) -> tuple[float, float]:
    if not speeds_mps[0] < speeds_mps[1]:
        raise InputError(f"speed_mps {list(speeds_mps)} is not from low to high", where=where)
    return speeds_mps
