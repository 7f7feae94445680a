"""What a reader of a comparison is warned of: what differs between the visits besides the person, and what to do.

Nothing here is refused; what must not be compared is refused row by row, or does not pair at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from labsys.core.catalogue import AngleDefinition, ErrorGroup, MetricDefinition, Reference
from labsys.core.skeleton import Side
from labsys.core.units import degrees
from labsys.longitudinal.calibrations import MAX_UNCERTAINTY_RAD, largest_differences, uncertainty_unknown
from labsys.longitudinal.making import differing_making
from labsys.longitudinal.values import Capture, ConditionPair, Visit
from labsys.longitudinal.visits import tiers_of

# A foot that lands more toes-up than the first lands on the heel, more toes-down than the second on the forefoot.
# Source: Altman & Davis 2012, doi:10.1016/j.gaitpost.2011.09.104.
_REARFOOT_DEG, _FOREFOOT_DEG = 8.0, -1.6
STRIKE_METRIC = "foot_angle_at_fs"
_PAIN_DIFFERENCE = 2.0
_TIMED = frozenset({"duty_factor"})


def pair_warnings(pair: ConditionPair) -> tuple[str, ...]:
    """What differs between the recordings of one pair, each with what to do."""
    where = f"{pair.kind} at {pair.speed_mps:.2f} m/s"
    found = [
        *_differing(pair, "footwear", lambda c: c.conditions.footwear, "record both visits in the same shoes"),
        *_made(pair),
        *_differing(pair, "model that found the landmarks", lambda c: c.model, "process both visits with one model"),
        *_tiers(pair),
        *_settings(pair),
        *_zeros(pair),
        *_pain(pair),
        *_stated(pair),
    ]
    return tuple(f"{where}: {text}" for text in found)


def visit_warnings(pre: Visit, post: Visit, pairs: Sequence[ConditionPair]) -> tuple[str, ...]:
    """What differs between the visits as a whole, and what their calibrations leave open."""
    found: list[str] = []
    if pre.operator and post.operator and pre.operator != post.operator:
        found.append(
            f"other operators (pre {pre.operator}, post {post.operator}): placing stickers differs most between "
            "people; let one person palpate both visits"
        )
    for d in dict.fromkeys(d for p in pairs for d in largest_differences(p.pre, p.post)):
        if max(d.up_rad, d.heading_rad) > MAX_UNCERTAINTY_RAD:
            found.append(
                f"calibrations {d.first} and {d.second} of the same standing cameras differ by "
                f"{degrees(d.up_rad):.1f}° in gravity and {degrees(d.heading_rad):.1f}° in heading: what is measured "
                "against them is not comparable; place the wrong one in the lab anew and process its trials again"
            )
    if any(uncertainty_unknown(p.pre + p.post) for p in pairs):
        found.append(
            "how well gravity is known is not on file for every recording; angles against vertical rest on it; "
            "calibrate with 'labsys calibrate', which says it"
        )
    return tuple(found)


def differing_zero(definition: MetricDefinition | AngleDefinition, captures: Sequence[Capture]) -> str | None:
    """Why a capture without a static trial is not like one with: between segments it is measured from another zero.

    Also what needs no static trial is the rotation from standing where there is one: stickers that sit askew make the
    two differ by up to 5°.
    """
    without = _without_static(captures) if rests_on_static(definition) else ""
    return f"measured from standing in some and not in all: no static trial for {without}" if without else None


def rests_on_static(definition: MetricDefinition | AngleDefinition) -> bool:
    """Whether its zero is another one without a static trial."""
    if isinstance(definition, AngleDefinition):
        return definition.static_referenced
    return definition.reference is Reference.PROXIMAL_SEGMENT and not definition.static_referenced


def _without_static(captures: Sequence[Capture]) -> str:
    """The captures that have no static trial, where others have one; else empty."""
    if not {True, False} <= {c.has_static for c in captures}:
        return ""
    known = {f"{c.name.session}/{c.name.trial}": c.has_static for c in captures}
    return _listed(n for n, has in known.items() if has is False) if True in known.values() else ""


def _zeros(pair: ConditionPair) -> list[str]:
    without = _without_static(pair.pre + pair.post)
    if not without:
        return []
    return [
        f"no static trial for {without}: angles between segments are not comparable, the excursion of hip extension "
        "among them; record a quiet stance in every visit, or name one with 'labsys trial edit --static'"
    ]


def strike_changed(definition: MetricDefinition, before: Sequence[Capture], after: Sequence[Capture]) -> str | None:
    """Why a time of contact is limited by the method: feet that land otherwise shift every foot strike. Else None."""
    if definition.error_group is not ErrorGroup.CONTACT and definition.id not in _TIMED:
        return None
    for side in (Side.LEFT, Side.RIGHT):
        was, became = _strike_class(before, side), _strike_class(after, side)
        if was and became and was != became:
            return f"the {side} foot landed on the {was} before and lands on the {became} now: limited by the method"
    return None


def _strike_class(captures: Sequence[Capture], side: Side) -> str:
    found = [m.mean for c in captures if (m := c.find(STRIKE_METRIC, side)) is not None and m.measured]
    if not found:
        return ""
    angle_deg = degrees(sum(found) / len(found))
    return "rearfoot" if angle_deg > _REARFOOT_DEG else "forefoot" if angle_deg < _FOREFOOT_DEG else "midfoot"


def _differing(pair: ConditionPair, what: str, of: Callable[[Capture], str], remedy: str) -> list[str]:
    before, after = ({of(c) or "not stated" for c in captures} for captures in (pair.pre, pair.post))
    return [f"{what} differs, pre {_listed(before)}; post {_listed(after)}; {remedy}"] if before != after else []


def _tiers(pair: ConditionPair) -> list[str]:
    before, after = ({t.name for t in tiers_of(captures)} for captures in (pair.pre, pair.post))
    if before == after or not before or not after:
        return []
    return [
        f"tiers of the landmarks differ, pre {_listed(before)}; post {_listed(after)}: no row is comparable between "
        "tiers; process both visits with models of one tier"
    ]


def _settings(pair: ConditionPair) -> list[str]:
    sides = [[c.settings for c in captures if c.settings] for captures in (pair.pre, pair.post)]
    keys = sorted({k for side in sides for settings in side for k in settings})
    differing = [k for k in keys if len({s.get(k) for side in sides for s in side}) > 1]
    if not differing:
        return []
    return [f"processed with other settings ({', '.join(differing[:4])}); process both visits with the same"]


def _made(pair: ConditionPair) -> list[str]:
    otherwise = differing_making(pair.pre + pair.post)
    return [] if otherwise is None else [f"nothing is judged: {otherwise}"]


def _pain(pair: ConditionPair) -> list[str]:
    before, after = ([c.conditions.pain_0_10 for c in captures] for captures in (pair.pre, pair.post))
    known_before, known_after = [p for p in before if p is not None], [p for p in after if p is not None]
    if not known_before or not known_after or abs(max(known_before) - max(known_after)) < _PAIN_DIFFERENCE:
        return []
    return [f"pain differs, pre {max(known_before):g}; post {max(known_after):g} of 10; people in pain run otherwise"]


def _stated(pair: ConditionPair) -> list[str]:
    found = []
    if pair.surface is None:
        found.append("the surface is not stated in either visit; state it with 'labsys trial edit --surface'")
    if any(c.conditions.speed_mps is None for c in pair.pre + pair.post):
        found.append("a speed was not stated and is taken from the recording; state it with 'labsys trial edit'")
    return found


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
