"""Screening rules on metrics made by hand: uncertainty decides, and what cannot be assessed is never a number."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsys.biomechanics.screening import ScreenedTrial, screen
from labsys.core.catalogue import find_metric
from labsys.core.measurement_error import default_error
from labsys.core.motion import Finding, Metric, Quality, StrideValues
from labsys.core.references import PUBLISHED, OwnReference, ReferenceTable, speed_held_against
from labsys.core.screening import Confidence, FindingStatus, RuleSet
from labsys.core.session import Conditions, Surface, Trial, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.core.units import INSIDE, Unit, to_inside
from pipelines.screening import Screening, with_findings
from pipelines.screening_file import shipped_rules
from tests.test_api.made_results import make_motion

RULES = shipped_rules()
LEFT = Side.LEFT
# Values of a runner of whom nothing is said, outside units.
PLAIN = {
    "hip_ext_pelvis_peak": 14.0,
    "thigh_ext_vertical_peak": 26.0,
    "lumbar_ext_at_peak_hip_ext": 2.0,
    "pelvis_rot_rom": 13.0,
    "pelvis_rot_to_ext_side_at_to": 6.0,
    "vertical_oscillation": 75.0,
    "vertical_oscillation_pelvis": 80.0,
    "trunk_lean_stance_mean": 7.0,
    "pelvis_tilt_rise_late_stance": 4.0,
    "lhci_dyn": 15.0,
    "shank_angle_at_fs": 2.0,
    "ahead_at_fs_per_leg": 0.15,
    "behind_body_at_to_per_leg": 0.4,
    "front_back_ratio": 0.4,
    "waist_break": 5.0,
    "hip_ext_pelvis_peak_asym": 1.0,
    "thigh_ext_vertical_peak_asym": 1.0,
}


def metric(metric_id: str, side: Side, mean: float, half: float) -> Metric:
    unit = find_metric(metric_id).unit
    value, width = to_inside(mean, unit), to_inside(half, unit)
    error = default_error(metric_id, Tier.T3)
    return Metric(
        id=metric_id,
        side=side,
        mean=value,
        sd=0.1 * abs(value),
        n=30,
        lag1=0.2,
        ci95_strides=(value - width / 4, value + width / 4),
        se_reconstruction=math.nan,
        sem_measurement=error.sem if error else math.nan,
        sem_source="default",
        ci95=(value - width, value + width),
        quality=Quality.OK,
        provisional=True,
    )


def trial(
    changed: Mapping[str, float] | None = None, *, half: float = 1.0, tier: Tier = Tier.T3, reason: str = ""
) -> ScreenedTrial:
    """A treadmill run at 3 m/s with PLAIN values; metrics above the tier, or all with `reason`, are missing."""
    values = {**PLAIN, **(changed or {})}
    metrics = []
    for m, mean in values.items():
        definition = find_metric(m)
        for side in definition.sided.sides:
            made = metric(m, side, mean, half)
            lacks = reason or (f"needs landmarks of tier {definition.tier.name}" if tier < definition.tier else "")
            if lacks:
                made = replace(made, mean=math.nan, n=0, ci95=(math.nan,) * 2, quality=Quality.EXCLUDED, reason=lacks)
            metrics.append(made)
    strides = tuple(
        StrideValues(m.id, m.side, tuple(range(30)), np.full(30, m.mean)) for m in metrics if math.isfinite(m.mean)
    )
    sides = {Side.LEFT: 30, Side.RIGHT: 30}
    return ScreenedTrial(TrialKind.RUN, tier, Surface.TREADMILL, 3.0, "women", sides, tuple(metrics), strides)


def answers(
    screened: ScreenedTrial, *, rules: RuleSet = RULES, references: ReferenceTable = PUBLISHED
) -> dict[tuple[str, Side], Finding]:
    found = screen(screened, rules=rules, references=references)
    return {(f.id, f.side): f for f in found}


def status(screened: ScreenedTrial, rule: str, side: Side = LEFT) -> str:
    return answers(screened)[rule, side].status.value


def test_a_plain_runner_is_flagged_for_nothing() -> None:
    assert {f.status.value for f in answers(trial()).values()} <= {"not_flagged", "not_assessable"}


@pytest.mark.parametrize(
    ("peak", "half", "expected"),
    [
        (9.1, 0.1, "not_flagged"),
        (9.1, 9.0, "not_flagged"),  # the interval alone makes nothing stand out
        (8.9, 0.1, "borderline"),
        (4.9, 1.0, "borderline"),  # beyond, but not with its whole interval
        (4.9, 0.05, "flagged"),
        (0.0, 4.9, "flagged"),  # the default error flags only near 0 deg
        (0.2, 4.9, "borderline"),
    ],
)
def test_the_whole_interval_flags(peak: float, half: float, expected: str) -> None:
    assert status(trial({"hip_ext_pelvis_peak": peak}, half=half), "F1") == expected


@settings(deadline=None, max_examples=40)
@given(peak=st.floats(-20.0, 40.0), half=st.floats(0.0, 15.0), wider=st.floats(0.0, 10.0))
def test_a_wider_interval_never_says_more(peak: float, half: float, wider: float) -> None:
    rank = ["not_flagged", "borderline", "flagged"]
    sure, unsure = (status(trial({"hip_ext_pelvis_peak": peak}, half=h), "F1") for h in (half, half + wider))
    assert rank.index(unsure) <= rank.index(sure)


def test_an_unknown_error_never_flags() -> None:
    made = trial({"hip_ext_pelvis_peak": -10.0})
    blind = tuple(replace(m, ci95=(math.nan, math.nan)) for m in made.metrics)
    found = answers(replace(made, metrics=blind))["F1", LEFT]
    assert found.status is FindingStatus.BORDERLINE
    assert "interval unknown" in found.text


@pytest.mark.parametrize("tier", [Tier.T0, Tier.T1])
def test_landmarks_without_a_pelvis_give_no_number(tier: Tier) -> None:
    found = answers(trial(tier=tier))
    for rule in ("F1", "F2", "F2b"):
        for side in (Side.LEFT, Side.RIGHT):
            finding = found[rule, side]
            assert finding.status is FindingStatus.NOT_ASSESSABLE
            assert finding.values == ()
            assert finding.reason is not None
            assert f"this trial has {tier.name}" in finding.reason
            assert not re.search(r"\d\.\d", finding.text), "no number of a measurement"
    fallback = found["F1b", LEFT]
    assert fallback.status is FindingStatus.NOT_FLAGGED
    assert "thigh behind vertical" in fallback.text
    assert "hip extension" not in fallback.text
    assert answers(trial())["F1b", LEFT].status is FindingStatus.NOT_ASSESSABLE


def test_what_a_metric_lacks_is_the_reason() -> None:
    found = answers(trial(reason="no static trial"))["F1", LEFT]
    assert (found.status, found.reason) == (FindingStatus.NOT_ASSESSABLE, "no static trial")
    assert answers(trial(reason="no static trial"))["F2", LEFT].reason == "rests on F1, not assessed: no static trial"


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"kind": TrialKind.WALK}, "walking"),
        ({"speed_mps": 5.0}, "outside reference speed"),
        ({"speed_mps": 2.0}, "outside reference speed"),
        ({"speed_mps": math.nan}, "speed unknown"),
        ({"surface": None}, "surface"),
        ({"n_strides": {Side.LEFT: 9, Side.RIGHT: 30}}, "9 left"),
    ],
)
def test_preconditions(changes: dict[str, object], word: str) -> None:
    for finding in answers(replace(trial(), **changes)).values():  # type: ignore[arg-type]
        assert finding.status is FindingStatus.NOT_ASSESSABLE
        if finding.id != "F1b":
            assert finding.reason is not None
            assert word in finding.reason
    assert screen(replace(trial(), kind=TrialKind.STATIC), rules=RULES, references=PUBLISHED) == ()


def test_the_low_back_counts_only_where_hip_extension_is_reduced() -> None:
    lumbar = {"lumbar_ext_at_peak_hip_ext": 12.0}
    assert status(trial(lumbar), "F2") == "not_flagged"
    described = answers(trial(lumbar))["F2b", LEFT]
    assert described.status is FindingStatus.NOT_FLAGGED
    assert "never flagged: the whole interval lies above 6.9°" in described.text
    both = trial({**lumbar, "hip_ext_pelvis_peak": 3.0})
    assert status(both, "F2") == "flagged"
    assert status(both, "F2b") == "not_flagged"
    assert status(trial({**lumbar, "hip_ext_pelvis_peak": 3.0}, half=6.0), "F2") == "borderline"


def test_at_t2_the_pelvis_answers_for_the_low_back() -> None:
    short = {"hip_ext_pelvis_peak": 3.0}
    for rise, expected in ((8.0, "not_flagged"), (10.0, "borderline"), (14.0, "flagged")):
        found = answers(trial({**short, "pelvis_tilt_rise_late_stance": rise}, tier=Tier.T2))["F2", LEFT]
        assert found.status.value == expected
        assert set(found.left_out) == {"lumbar_ext_at_peak_hip_ext", "lhci_dyn"}


def test_a_foot_ahead_flags_only_with_both_measures() -> None:
    assert status(trial({"shank_angle_at_fs": 4.0, "ahead_at_fs_per_leg": 0.4}, half=0.01), "F4") == "not_flagged"
    assert status(trial({"shank_angle_at_fs": 12.0}, half=0.01), "F4") == "borderline"
    assert status(trial({"shank_angle_at_fs": 12.0, "ahead_at_fs_per_leg": 0.3}, half=0.01), "F4") == "flagged"


@pytest.mark.parametrize(
    ("right_minus_left", "half", "expected"),
    [(2.5, 0.1, "not_flagged"), (4.0, 5.0, "not_flagged"), (-4.0, 0.1, "borderline"), (-9.0, 0.1, "flagged")],
)
def test_sides_differ_only_where_the_interval_excludes_zero(
    right_minus_left: float, half: float, expected: str
) -> None:
    made = trial({"thigh_ext_vertical_peak_asym": right_minus_left}, half=half)
    sure = tuple(replace(m, sem_measurement=to_inside(1.5, Unit.DEG)) for m in made.metrics)
    assert status(replace(made, metrics=sure), "F6", Side.BOTH) == expected


def test_a_difference_between_sides_is_held_against_the_detectable_change_of_one() -> None:
    """The error of a difference holds both sides' already: it is not taken times the square root of two once more."""
    sem = default_error("hip_ext_pelvis_peak", Tier.T3)
    assert sem is not None
    made = trial({"hip_ext_pelvis_peak_asym": 8.0}, half=0.5)
    both = tuple(replace(m, sem_measurement=math.sqrt(2.0) * sem.sem) for m in made.metrics)
    found = answers(replace(made, metrics=both))["F6", Side.BOTH]
    assert found.status is FindingStatus.FLAGGED
    assert next(v.flagged for v in found.values if v.metric == "hip_ext_pelvis_peak_asym") == pytest.approx(sem.mdc95)


def test_what_has_no_published_norm_waits_for_the_labs_own() -> None:
    found = answers(trial())["F8", LEFT]
    assert found.status is FindingStatus.NOT_ASSESSABLE
    assert "labsys reference learn" in (found.reason or "")
    own = tuple(
        OwnReference(m, "women", 3.0, Surface.TREADMILL, "T3", find_metric(m).version, 22, mean, 0.05).as_value()
        for m, mean in (("behind_body_at_to_per_leg", 0.45), ("front_back_ratio", 0.35))
    )
    table = replace(PUBLISHED, own=own)
    expected = {
        (0.45, 0.35): "not_flagged",
        (0.38, 0.35): "not_flagged",
        (0.38, 0.42): "borderline",
        (0.3, 0.5): "flagged",
    }
    for (behind, ratio), said in expected.items():
        made = trial({"behind_body_at_to_per_leg": behind, "front_back_ratio": ratio}, half=0.01)
        assert answers(made, references=table)["F8", LEFT].status.value == said


def test_out_of_phase_needs_the_strides_too() -> None:
    made = trial({"pelvis_rot_to_ext_side_at_to": -4.0})
    assert status(made, "F3") == "flagged"
    mixed = tuple(
        replace(v, values=np.r_[np.full(20, -0.1), np.full(10, 0.05)]) if v.id == "pelvis_rot_to_ext_side_at_to" else v
        for v in made.stride_values
    )
    found = answers(replace(made, stride_values=mixed))["F3", LEFT]
    assert found.status is FindingStatus.BORDERLINE
    assert "(67 % of strides)" in found.text


@pytest.mark.parametrize(
    ("lean", "expected"),
    [(-2.0, "flagged"), (1.0, "borderline"), (7.0, "not_flagged"), (14, "borderline"), (18, "flagged")],
)
def test_lean_stands_out_on_both_sides(lean: float, expected: str) -> None:
    assert status(trial({"trunk_lean_stance_mean": lean}), "F7") == expected


def test_the_pelvis_variant_is_labelled() -> None:
    made = trial({"vertical_oscillation_pelvis": 120.0})
    without = tuple(replace(m, mean=math.nan) if m.id == "vertical_oscillation" else m for m in made.metrics)
    found = answers(replace(made, metrics=without))["F5", Side.BOTH]
    assert found.status is FindingStatus.FLAGGED
    assert "mid-hip" in found.text
    assert "not of the centre of mass" in found.text
    assert "reference" not in found.reference, "the reference is of the centre of mass"


def test_a_finding_carries_all_that_it_rests_on() -> None:
    for finding in answers(trial({"hip_ext_pelvis_peak": 3.0})).values():
        assert finding.title
        assert finding.source
        assert finding.rules == "labsys 1"
        assert finding.tier is Tier.T3
        assert finding.provisional
        assert finding.text.count("physiotherapist") == 1
        if finding.status is FindingStatus.NOT_ASSESSABLE:
            assert finding.reason
            assert finding.quality is Quality.EXCLUDED
        for value in finding.values:
            assert (value.n, value.unit) == (30, INSIDE[find_metric(value.metric).unit])
            assert value.sd is not None
            assert value.ci95 is not None
            assert value.flagged is not None or value.metric == "waist_break"


def test_few_strides_and_other_surfaces_lower_the_confidence() -> None:
    assert answers(trial())["F1", LEFT].confidence is Confidence.USUAL
    assert answers(trial(tier=Tier.T2))["F1", LEFT].confidence is Confidence.LOW
    overground = answers(replace(trial(), surface=Surface.OVERGROUND))["F1", LEFT]
    assert overground.confidence is Confidence.LOW
    assert "overground; thresholds are from treadmills" in overground.text
    made = trial()
    few = tuple(replace(m, quality=Quality.INDICATIVE) for m in made.metrics)
    found = answers(replace(made, metrics=few))["F1", LEFT]
    assert (found.confidence, found.quality) == (Confidence.LOW, Quality.INDICATIVE)


def test_words_claim_no_muscle_and_praise_nothing() -> None:
    worst = {"hip_ext_pelvis_peak": -5.0, "lumbar_ext_at_peak_hip_ext": 20.0, "pelvis_rot_rom": 2.0}
    worst |= {"vertical_oscillation": 150.0, "trunk_lean_stance_mean": 25.0, "thigh_ext_vertical_peak": 2.0}
    for tier in Tier:
        for finding in answers(trial(worst, tier=tier)).values():
            said = finding.text.replace("recurrent or chronic hamstring problems", "")
            assert not re.search(r"glute|hamstring|psoas|muscle|tight|weak|improv|deteriorat|injur[ey]d", said, re.I)
            assert "in-person assessment whatever this says" in finding.text


def test_references_stand_beside_where_speed_and_surface_are_theirs() -> None:
    at = {speed: answers(replace(trial(), speed_mps=speed))["F1", LEFT] for speed in (2.5, 3.0)}
    assert "13.0 ± 4.5 deg" in at[2.5].text
    assert "15.0 ± 6.0 deg" in at[2.5].reference
    assert at[3.0].reference == ""
    assert "no reference at this speed and surface" in at[3.0].text
    lean = {s: answers(replace(trial(), surface=s, speed_mps=3.4))["F7", LEFT].reference for s in Surface}
    assert lean[Surface.TREADMILL] == ""
    assert "Teng" in lean[Surface.OVERGROUND]


def test_cadence_is_interpolated_between_speeds_and_not_carried_beyond() -> None:
    def found(speed: float, surface: Surface = Surface.TREADMILL) -> list[float]:
        table = PUBLISHED.find("cadence", surface=surface, speed_mps=speed, sex="", tier="T3")
        return [round(60 * r.mean, 6) for r in table if "Fukuchi" in r.source]

    assert found(3.0) == [166.5]
    assert found(2.5) == [162.0]
    assert found(2.4) == found(4.6) == found(3.0, Surface.OVERGROUND) == []


def test_every_reference_says_where_it_comes_from() -> None:
    rows = (*PUBLISHED.published, *PUBLISHED.series)
    assert len(rows) >= 12
    for row in rows:
        find_metric(row.metric)
        assert row.source
        assert row.method
        assert row.n > 0
    for metric_id in {r.metric for r in PUBLISHED.published if r.speeds_mps is None}:
        shown = [r for v in np.arange(2.0, 5.0, 0.1) for r in PUBLISHED.find(
            metric_id, surface=Surface.TREADMILL, speed_mps=float(v), sex="", tier="T3")]  # fmt: skip
        assert [r for r in shown if r.speeds_mps is None] == [], "a speed that was not retrieved is never shown"


def test_an_own_reference_holds_for_its_sex_tier_speed_and_version() -> None:
    own = OwnReference("cadence", "women", 3.0, Surface.TREADMILL, "T3", find_metric("cadence").version, 22, 2.8, 0.1)
    table = replace(PUBLISHED, own=(own.as_value(),))

    def found(speed: float = 3.0, sex: str = "women", tier: str = "T3") -> bool:
        return table.find_own("cadence", surface=Surface.TREADMILL, speed_mps=speed, sex=sex, tier=tier) is not None

    assert found()
    assert found(speed=3.08)
    assert not found(speed=3.2)
    assert not found(sex="men")
    assert not found(sex="")
    assert not found(tier="T1")
    old = replace(table, own=(replace(own, version=0).as_value(),))
    assert old.find_own("cadence", surface=Surface.TREADMILL, speed_mps=3.0, sex="women", tier="T3") is None


@pytest.mark.parametrize(
    ("stated", "measured", "held"),
    [(3.0, 3.05, 3.0), (3.0, 3.8, 3.8), (3.0, 2.6, 2.6), (None, 3.1, 3.1), (3.0, math.nan, 3.0)],
)
def test_a_stated_speed_that_the_feet_contradict_chooses_no_reference(
    stated: float | None, measured: float, held: float
) -> None:
    assert speed_held_against(stated, measured) == held


def test_findings_of_a_mistyped_speed_are_of_the_speed_that_was_run() -> None:
    """Stated 3 m/s on a belt at 5 m/s: no rule reaches so far, and none may say that it does."""
    stated = Trial("0", TrialName("S01", "2026-01-10", "run1"), TrialKind.RUN, "", Conditions(Surface.TREADMILL, 3.0))
    screening, made = Screening(RULES, PUBLISHED, "", {}, {}), make_motion()
    assert made.events is not None
    for belt_mps, assessable in ((3.02, True), (5.0, False)):
        motion = replace(made, events=replace(made.events, belt_speed_mps=belt_mps))
        f1 = next(f for f in with_findings(motion, stated, screening).findings if f.id == "F1")
        assert (f1.status is not FindingStatus.NOT_ASSESSABLE) is assessable
        assert assessable or "5.00 m/s" in (f1.reason or "")


def test_a_value_that_reads_like_its_threshold_is_said_to_be_just_beyond() -> None:
    said = answers(trial({"hip_ext_pelvis_peak": 8.98}))["F1", LEFT].text
    assert "was 9.0°" in said
    assert "Borderline: just below 9.0°, but its whole interval is not below 5.0°." in said
    assert "Borderline: below 9.0°" in answers(trial({"hip_ext_pelvis_peak": 8.0}))["F1", LEFT].text
