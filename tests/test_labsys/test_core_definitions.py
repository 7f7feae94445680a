"""Landmark sets and tiers, the catalogue, and the default measurement errors."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsys.core.catalogue import (
    ANGLES,
    DERIVED_METRICS,
    METRICS,
    ErrorGroup,
    Reference,
    Sided,
    find_angle,
    find_metric,
    metric_place,
)
from labsys.core.errors import UnknownNameError
from labsys.core.measurement_error import (
    SessionError,
    default_error,
    default_error_table,
    effective_n,
    strides_variance,
)
from labsys.core.skeleton import (
    BODY_25,
    BODY_25B,
    COCO_17,
    HALPE_26,
    LABSYS_RUN_37,
    LANDMARK_SETS,
    RUN_MINIMUM,
    Side,
    Tier,
    find_landmark_set,
    mirrored_name,
    tier_of,
)
from labsys.core.units import Unit, to_outside

PELVIS = ("RASIS", "LASIS", "RPSIS", "LPSIS")
SETS = list(LANDMARK_SETS.values())


# ---- landmark sets


@pytest.mark.parametrize(
    ("name", "count"), [("COCO-17", 17), ("HALPE-26", 26), ("BODY_25", 25), ("BODY_25B", 25), ("LABSYS-RUN-37", 37)]
)
def test_sets_have_the_number_of_landmarks_in_their_name(name: str, count: int) -> None:
    assert len(find_landmark_set(name).landmarks) == count


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'HALPE-26'"):
        find_landmark_set("HALPE26")


@pytest.mark.parametrize("landmarks", SETS, ids=lambda s: s.name)
def test_bones_join_landmarks_of_the_set_and_mirror_onto_themselves(landmarks: object) -> None:
    assert landmarks in SETS
    found = next(s for s in SETS if s == landmarks)
    names = set(found.landmarks)
    assert {end for bone in found.bones for end in bone} <= names
    mirrored = {frozenset(mirrored_name(e) for e in bone) for bone in found.bones}
    assert mirrored == {frozenset(bone) for bone in found.bones}


@pytest.mark.parametrize("name", sorted(LANDMARK_SETS))
def test_mirroring_is_its_own_inverse_and_stays_in_the_set(name: str) -> None:
    landmarks = LANDMARK_SETS[name].landmarks
    for landmark in landmarks:
        assert mirrored_name(mirrored_name(landmark)) == landmark
        assert mirrored_name(landmark) in landmarks
    assert all(left[1:] == right[1:] for left, right in LANDMARK_SETS[name].pairs)


def test_vertebrae_are_not_left_landmarks() -> None:
    assert [mirrored_name(v) for v in ("L1", "L3", "L5")] == ["L1", "L3", "L5"]
    assert mirrored_name("LM") == "RM"
    assert len(LABSYS_RUN_37.pairs) == 14
    assert Side.LEFT.opposite is Side.RIGHT
    assert Side.BOTH.opposite is Side.BOTH


def test_the_minimum_for_running_is_part_of_the_set_and_reaches_the_top_tier() -> None:
    assert len(RUN_MINIMUM) == 21
    assert set(RUN_MINIMUM) <= set(LABSYS_RUN_37.landmarks)
    assert tier_of(RUN_MINIMUM) is Tier.T3


# ---- tiers


@pytest.mark.parametrize(
    ("landmarks", "tier"),
    [
        (COCO_17.landmarks, Tier.T0),
        (HALPE_26.landmarks, Tier.T1),
        (BODY_25.landmarks, Tier.T1),
        (BODY_25B.landmarks, Tier.T1),
        ((*HALPE_26.landmarks, *PELVIS), Tier.T2),
        (LABSYS_RUN_37.landmarks, Tier.T3),
        (tuple(n for n in LABSYS_RUN_37.landmarks if n not in PELVIS), Tier.T1),
        (tuple(n for n in LABSYS_RUN_37.landmarks if n != "L5"), Tier.T2),
        (("Nose", "LEye"), None),
        ((), None),
    ],
)
def test_the_landmarks_decide_the_tier(landmarks: tuple[str, ...], tier: Tier | None) -> None:
    assert tier_of(landmarks) is tier


@given(st.sets(st.sampled_from(sorted({n for s in SETS for n in s.landmarks}))), st.data())
def test_more_landmarks_never_lower_the_tier(landmarks: set[str], data: st.DataObject) -> None:
    fewer = data.draw(st.sets(st.sampled_from(sorted(landmarks)))) if landmarks else set()
    rank = {None: -1, **{t: int(t) for t in Tier}}
    assert rank[tier_of(fewer)] <= rank[tier_of(landmarks)]


# ---- catalogue


def test_ids_are_unique_and_plain() -> None:
    ids = [a.id for a in ANGLES] + [m.id for m in METRICS + DERIVED_METRICS]
    assert len(ids) == len(set(ids))
    for metric_id in ids:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric_id)
        assert not re.search(r"_(deg|mm|rad|pct|ms)$", metric_id), "no unit suffix in an id"


def test_every_definition_says_what_positive_means() -> None:
    for definition in (*ANGLES, *METRICS, *DERIVED_METRICS):
        assert definition.positive
        assert definition.description
        assert definition.source
        assert definition.version >= 1
        words = f"{definition.description} {definition.positive}".lower()
        assert not re.search(r"\b(better|worse|good|bad|improve\w*)\b", words), f"{definition.id} praises or blames"


def test_an_unknown_metric_or_angle_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'cadence'"):
        find_metric("candence")
    with pytest.raises(UnknownNameError, match="Did you mean 'hip_flexion'"):
        find_angle("hip_flexoin")


def test_sides_follow_from_the_definition() -> None:
    assert Sided.BOTH.sides == (Side.BOTH,)
    assert Sided.PER_SIDE.sides == (Side.LEFT, Side.RIGHT)


def test_only_angles_against_standing_are_referenced_to_it() -> None:
    assert find_angle("hip_flexion").static_referenced
    assert not find_angle("trunk_lean").static_referenced
    assert not find_metric("hip_ext_excursion_stance").static_referenced
    assert find_metric("hip_ext_pelvis_peak").static_referenced


def test_two_hip_points_give_pelvic_rotation_but_no_hip_extension() -> None:
    assert find_angle("pelvis_rotation").tier is Tier.T0
    assert find_angle("pelvis_obliquity").tier is Tier.T0
    for needs_pelvis in ("hip_flexion", "pelvis_tilt"):
        assert find_angle(needs_pelvis).tier is Tier.T2
    for metric in METRICS:
        if metric.id.startswith("lumbar"):
            assert metric.tier is Tier.T3


# ---- default measurement errors: the published table (SEM and MDC95 in outside units)


@pytest.mark.parametrize(
    ("metric", "tier", "sem", "mdc95"),
    [
        ("hip_ext_excursion_stance", Tier.T3, 2.5, 6.9),
        ("hip_ext_pelvis_peak", Tier.T3, 2.5, 6.9),
        ("pelvis_tilt_mean", Tier.T3, 2.5, 6.9),
        ("lumbar_ext_peak", Tier.T3, 2.5, 6.9),
        ("hip_ext_excursion_stance", Tier.T2, 3.5, 9.7),
        ("thigh_ext_vertical_peak", Tier.T1, 1.5, 4.2),
        ("trunk_lean_stance_mean", Tier.T0, 1.5, 4.2),
        ("trailing_limb_angle_at_to", Tier.T3, 1.5, 4.2),
        ("knee_flex_at_fs", Tier.T1, 2.0, 5.5),
        ("pelvis_rot_rom", Tier.T0, 2.0, 5.5),
        ("pelvis_rot_to_ext_side_at_to", Tier.T3, 2.0, 5.5),
        ("vertical_oscillation", Tier.T3, 4.0, 11.0),
        ("cadence", Tier.T1, 1.5, 4.2),
        ("contact_time", Tier.T1, 0.008, 0.022),
        ("flight_time", Tier.T1, 0.008, 0.022),
        ("foot_push_angle_at_to", Tier.T1, 1.5, 4.2),
        ("pelvis_drop_contra_peak_stance", Tier.T1, 2.0, 5.5),
        ("pelvis_tilt_rise_late_stance", Tier.T2, 3.5, 9.7),
        ("ahead_at_fs", Tier.T3, 10.0, 28.0),
        ("behind_body_at_to", Tier.T3, 10.0, 28.0),
        ("lhci_dyn", Tier.T3, 5.0, 14.0),
        ("phci_dyn", Tier.T3, 5.0, 14.0),
    ],
)
def test_default_errors_are_the_tables(metric: str, tier: Tier, sem: float, mdc95: float) -> None:
    error = default_error(metric, tier)
    assert error is not None
    unit = find_metric(metric).unit
    digits = 3 if unit is Unit.S else 1 if mdc95 < 10 else 0
    assert to_outside(error.sem, unit) == pytest.approx(sem)
    assert round(to_outside(error.mdc95, unit), digits) == mdc95
    assert (error.source, error.df) == ("default", math.inf)


@pytest.mark.parametrize(
    ("metric", "tier", "shares"),
    [
        ("hip_ext_excursion_stance", Tier.T3, (0.1, 0.6, 0.3)),
        ("cadence", Tier.T3, (0.2, 0.2, 0.6)),
        ("pelvis_rot_rom", Tier.T1, (0.3, 0.0, 0.7)),
        ("pelvis_rot_rom", Tier.T0, (0.3, 0.0, 0.7)),
    ],
)
def test_default_errors_split_as_stated(metric: str, tier: Tier, shares: tuple[float, float, float]) -> None:
    error = default_error(metric, tier)
    assert error is not None
    total = error.sem**2
    assert (error.v_capture / total, error.v_palpation / total, error.v_day / total) == pytest.approx(shares)


def test_a_metric_in_no_group_has_no_error() -> None:
    assert default_error("duty_factor", Tier.T3) is None
    table = default_error_table(("duty_factor", "cadence"))
    assert table.find("duty_factor", Tier.T3) is None
    assert table.find("cadence", Tier.T0) is not None
    ungrouped = {m.id for m in METRICS if m.error_group is ErrorGroup.UNKNOWN}
    shares = {m.id for m in METRICS if "_per_" in m.id or m.id.startswith("front_back")}
    assert ungrouped == shares | {
        "hip_sagittal_rom", "hip_add_peak_stance", "pelvis_rot_lag_to_hip_ext", "lhci_abs", "duty_factor", "step_time",
        "stride_time", "step_length", "stride_length", "step_width", "speed",
    }  # fmt: skip


def test_every_metric_has_its_difference_drift_and_place() -> None:
    per_side = {m.id for m in METRICS if m.sided is Sided.PER_SIDE}
    assert {m.derived_from for m in DERIVED_METRICS if m.id.endswith("_asym")} == per_side
    assert {m.derived_from for m in DERIVED_METRICS if m.id.endswith("_drift")} == {m.id for m in METRICS}
    assert {m.derived_from for m in DERIVED_METRICS if m.id.endswith("_curve_sd")} == {a.id for a in ANGLES}
    places = [metric_place(m.id) for m in METRICS + DERIVED_METRICS]
    assert places == list(range(len(places)))
    assert find_metric("hip_ext_pelvis_peak_asym").unit is Unit.DEG
    assert find_metric("contact_time_asym").unit is Unit.PERCENT
    drift = find_metric("hip_ext_pelvis_peak_drift").unit
    assert to_outside(math.radians(1.0) / 60.0, drift) == pytest.approx(1.0), "1 deg/min"


def test_mdc_is_the_published_multiple_of_sem() -> None:
    assert SessionError(1.0, 2.0, 1.0, "lab").mdc95 == pytest.approx(1.96 * math.sqrt(2) * 2.0, rel=1e-4)


@given(st.integers(2, 500), st.floats(-1.0, 1.0))
def test_autocorrelation_never_adds_strides(n: int, lag1: float) -> None:
    assert 0 < effective_n(n, lag1) <= n
    assert effective_n(n, -0.5) == n
    assert effective_n(n, 0.99) == pytest.approx(effective_n(n, 0.9))


def test_strides_variance_by_hand() -> None:
    assert strides_variance(1.5, 40, 0.3) == pytest.approx(1.5**2 / (40 * 0.7 / 1.3))
    assert math.isnan(strides_variance(1.5, 1, 0.0))


def test_references_are_stated_for_every_metric() -> None:
    assert {m.reference for m in METRICS} >= {Reference.GRAVITY, Reference.HEADING, Reference.TIME}
