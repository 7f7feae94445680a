"""Laws of the angle series: signs, zeros, invariances, tiers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.cardan import BakerAngles, JcsAngles, baker_matrix, jcs_matrix, rotation_about
from labsys.biomechanics.kinematics import joint_angles
from labsys.biomechanics.metrics import RULES
from labsys.biomechanics.points import median_points, name_roles
from labsys.biomechanics.preparation import face_forward, find_pelvis_size, prepare_points
from labsys.biomechanics.segments import PelvisSize, build_body, hip_offset_m
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import ANGLES, METRICS, Reference
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import ErrorTable
from labsys.core.motion import AngleSeries, MotionResult
from labsys.core.session import TrialKind
from labsys.core.skeleton import COCO_17, HALPE_26, Side, Tier
from tests.test_labsys.biomechanics_body import Pose, as_landmarks, mirror, place, still, turn, wiggle, zero

AS_THEY_ARE = AnalysisSettings(filter_enabled=False)
TEN = np.deg2rad(10.0)
SEEDS = st.integers(0, 10_000)


def angles_of(
    points: dict[str, FloatArray], static: dict[str, FloatArray] | None = None
) -> dict[tuple[str, Side], AngleSeries]:
    standing = None if static is None else as_landmarks(still(static))
    prepared = prepare_points(as_landmarks(points), standing, AS_THEY_ARE)
    return {(a.id, a.side): a for a in joint_angles(prepared).series}


def angles_from(points: dict[str, FloatArray], posture: dict[str, FloatArray]) -> dict[tuple[str, Side], AngleSeries]:
    """Angles as change from any posture, also one that no static trial may hold."""
    standing = face_forward(median_points(name_roles(as_landmarks(still(posture)))))
    prepared = prepare_points(as_landmarks(points), as_landmarks(still(place(Pose()))), AS_THEY_ARE)
    prepared = replace(prepared, static=standing, size=find_pelvis_size(prepared.points, standing))
    return {(a.id, a.side): a for a in joint_angles(prepared).series}


def analyse(
    landmarks: Landmarks3D, kind: TrialKind = TrialKind.OTHER, static: Landmarks3D | None = None
) -> MotionResult:
    return analyse_motion(
        landmarks,
        static=static,
        kind=kind,
        surface=None,
        declared_speed_mps=None,
        heading_known=True,
        settings=AnalysisSettings(),
        errors=ErrorTable({}),
        leg_length_m=None,
    )


def jcs(z: float = 0.0, x: float = 0.0, y: float = 0.0) -> JcsAngles:
    return JcsAngles(*(np.full(2, v) for v in (z, x, y)))


def baker(rotation: float = 0.0, obliquity: float = 0.0, tilt: float = 0.0) -> BakerAngles:
    return BakerAngles(*(np.full(2, v) for v in (rotation, obliquity, tilt)))


# What +10° in the table's positive direction is as a right-handed rotation of the distal segment.
KNOWN = [
    ("pelvis_tilt", Side.BOTH, Pose(pelvis=baker(tilt=-TEN))),
    ("pelvis_obliquity", Side.BOTH, Pose(pelvis=baker(obliquity=TEN))),
    ("pelvis_rotation", Side.BOTH, Pose(pelvis=baker(rotation=TEN))),
    ("hip_flexion", Side.RIGHT, Pose(hip={"R": jcs(z=TEN)})),
    ("hip_flexion", Side.LEFT, Pose(hip={"L": jcs(z=TEN)})),
    ("hip_adduction", Side.RIGHT, Pose(hip={"R": jcs(x=TEN)})),
    ("hip_adduction", Side.LEFT, Pose(hip={"L": jcs(x=-TEN)})),
    ("hip_rotation", Side.RIGHT, Pose(hip={"R": jcs(y=TEN)})),
    ("hip_rotation", Side.LEFT, Pose(hip={"L": jcs(y=-TEN)})),
    ("knee_flexion", Side.RIGHT, Pose(knee={"R": jcs(z=-TEN)})),
    ("knee_flexion", Side.LEFT, Pose(knee={"L": jcs(z=-TEN)})),
    ("ankle_dorsiflexion", Side.RIGHT, Pose(ankle={"R": jcs(z=TEN)})),
    ("ankle_dorsiflexion", Side.LEFT, Pose(ankle={"L": jcs(z=TEN)})),
    ("lumbar_extension", Side.BOTH, Pose(thorax=jcs(z=TEN))),
    ("lumbar_bending", Side.BOTH, Pose(thorax=jcs(x=TEN))),
    ("lumbar_rotation", Side.BOTH, Pose(thorax=jcs(y=TEN))),
    ("thigh_vertical", Side.RIGHT, Pose(hip={"R": jcs(z=-TEN)})),
    ("hip_trunk_extension", Side.LEFT, Pose(hip={"L": jcs(z=-TEN)})),
    ("shank_vertical", Side.RIGHT, Pose(knee={"R": jcs(z=TEN)})),
    ("foot_pitch", Side.LEFT, Pose(ankle={"L": jcs(z=TEN)})),
]


@pytest.mark.slow
@pytest.mark.parametrize(("angle_id", "side", "pose"), KNOWN, ids=lambda v: str(v) if not isinstance(v, Pose) else "")
def test_ten_degrees_have_the_table_s_sign(angle_id: str, side: Side, pose: Pose) -> None:
    series = angles_of(place(pose, 2), place(Pose()))[angle_id, side]
    definition = next(a for a in ANGLES if a.id == angle_id)
    reported = series.ref_rad if definition.static_referenced else series.raw_rad
    assert np.allclose(np.rad2deg(reported), 10.0, atol=1e-6)


def test_more_lordosis_is_positive() -> None:
    """L1 carried back over L3, with L5 and L3 where they were, hollows the back."""
    hollow, standing = place(Pose(), 2), place(Pose())
    hollow["L1"] = hollow["L1"] - np.array([0.02, 0.0, 0.0])
    found = angles_of(hollow, standing)["lordosis_3pt", Side.BOTH]
    upper = standing["L1"][0] - standing["L3"][0]
    expected = np.arctan2(-upper[0] + 0.02, upper[1]) - np.arctan2(-upper[0], upper[1])
    assert np.allclose(found.ref_rad, expected, atol=1e-9)
    assert expected > 0.0


@pytest.mark.parametrize("lost", ["RTOE", "XP"])
def test_any_segment_carries_what_it_has_lost(lost: str) -> None:
    points, standing = place(wiggle(5), 40), place(Pose())
    whole = prepare_points(as_landmarks(points), as_landmarks(still(standing)), AS_THEY_ARE)
    without = {k: v for k, v in points.items() if k != lost}
    carried = prepare_points(as_landmarks(without), as_landmarks(still(standing)), AS_THEY_ARE)
    assert np.allclose(carried.points[lost], whole.points[lost], atol=1e-9)
    assert lost in carried.points.carried


def test_trunk_lean_is_forward_and_lumbar_line_leans_back() -> None:
    upright = angles_of(place(Pose(), 2), place(Pose()))
    forward = angles_of(place(Pose(thorax=jcs(z=-TEN)), 2), place(Pose()))
    lean = forward["trunk_lean", Side.BOTH].raw_rad - upright["trunk_lean", Side.BOTH].raw_rad
    assert (lean > np.deg2rad(5.0)).all()
    assert (forward["trunk_pelvis_extension", Side.BOTH].ref_rad < -np.deg2rad(5.0)).all()
    assert (forward["lumbar_segment_extension", Side.BOTH].ref_rad < -np.deg2rad(2.0)).all()


@pytest.mark.slow
@given(SEEDS, st.floats(-3.0, 3.0))
@settings(max_examples=25, deadline=None)
def test_turning_the_lab_leaves_joint_angles(seed: int, yaw: float) -> None:
    points, static = place(wiggle(seed), 40), place(Pose())
    R = rotation_about("y", yaw)
    before, after = angles_of(points, static), angles_of(turn(points, R), turn(static, R))
    for definition in ANGLES:
        if definition.reference is not Reference.PROXIMAL_SEGMENT and definition.id not in (
            "pelvis_tilt",
            "pelvis_obliquity",
        ):
            continue
        for side in definition.sided.sides:
            for which in ("raw_rad", "ref_rad"):
                a, b = (getattr(x[definition.id, side], which) for x in (before, after))
                assert np.allclose(a, b, atol=1e-9, equal_nan=True), (definition.id, which)


# Frontal and transverse midline angles point the other way in a mirror; everything else stays.
_REVERSED = {"pelvis_obliquity", "pelvis_rotation", "lumbar_bending", "lumbar_rotation"}


@pytest.mark.slow
@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_mirror_swaps_sides(seed: int) -> None:
    points, static = place(wiggle(seed), 40), place(wiggle(seed + 1), 1)
    here, there = angles_from(points, static), angles_from(mirror(points), mirror(static))
    for (angle_id, side), series in here.items():
        sign = -1.0 if angle_id in _REVERSED else 1.0
        other = there[angle_id, side.opposite]
        assert np.allclose(series.raw_rad, sign * other.raw_rad, atol=1e-9, equal_nan=True), angle_id
        assert np.allclose(series.ref_rad, sign * other.ref_rad, atol=1e-9, equal_nan=True), angle_id


@pytest.mark.slow
@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_two_hips_give_the_pelvis_s_rotation_and_obliquity(seed: int) -> None:
    points = place(wiggle(seed), 40)
    full = angles_of(points)
    prepared = prepare_points(as_landmarks(points), None, AS_THEY_ARE)
    hips = build_body(prepared.points, prepared.size).hip
    alone = {
        "RHip": hips[Side.RIGHT].position_m, "LHip": hips[Side.LEFT].position_m,
        "RKnee": points["RLFE"], "LKnee": points["LLFE"], "RAnkle": points["RLM"], "LAnkle": points["LLM"],
        "RShoulder": points["RAC"], "LShoulder": points["LAC"],
    }  # fmt: skip
    two = angles_of(alone)
    for angle_id in ("pelvis_rotation", "pelvis_obliquity"):
        assert np.allclose(two[angle_id, Side.BOTH].raw_rad, full[angle_id, Side.BOTH].raw_rad, atol=1e-9)
    assert two["pelvis_tilt", Side.BOTH].reason is not None


@pytest.mark.slow
@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3))
@settings(max_examples=50, deadline=None)
def test_sagittal_identity_in_planar_motion(angles: list[float]) -> None:
    tilt, hip, lumbar = angles
    pose = Pose(pelvis=baker(tilt=tilt), hip={"R": jcs(z=hip), "L": jcs(z=hip)}, thorax=jcs(z=lumbar))
    found, standing = angles_of(place(pose, 2), place(Pose())), angles_of(place(Pose(), 2))
    change = {
        (a, s): found[a, s].raw_rad - standing[a, s].raw_rad
        for a, s in (("thigh_vertical", Side.RIGHT), ("pelvis_tilt", Side.BOTH), ("hip_flexion", Side.RIGHT))
    }
    thigh = -change["hip_flexion", Side.RIGHT] + change["pelvis_tilt", Side.BOTH]
    assert np.allclose(change["thigh_vertical", Side.RIGHT], thigh, atol=1e-9)
    thorax_forward = change["pelvis_tilt", Side.BOTH] - found["lumbar_extension", Side.BOTH].ref_rad
    assert np.allclose(thorax_forward, -tilt - lumbar, atol=1e-9)


@pytest.mark.slow
@given(SEEDS, st.floats(-0.012, 0.012))
@settings(max_examples=25, deadline=None)
def test_static_referencing_removes_a_constant_sticker_offset(seed: int, shift_m: float) -> None:
    """PSIS stickers too high tilt the pelvis frame; the change from standing must not notice."""
    moving = wiggle(seed)
    hips = {s: JcsAngles(moving.hip[s].z_rad, zero(40).x_rad, zero(40).y_rad) for s in "RL"}
    moving = Pose(pelvis=moving.pelvis, hip=hips)
    clean = angles_of(place(moving, 40), place(Pose()))
    offset = angles_of(_misplaced(moving, 40, shift_m), _misplaced(Pose(), 1, shift_m))
    assert np.allclose(clean["pelvis_tilt", Side.BOTH].ref_rad, offset["pelvis_tilt", Side.BOTH].ref_rad, atol=1e-9)
    raw = clean["pelvis_tilt", Side.BOTH].raw_rad - offset["pelvis_tilt", Side.BOTH].raw_rad
    assert np.allclose(np.abs(raw), np.arctan2(abs(shift_m), 0.15), atol=1e-9)


def _misplaced(pose: Pose, n: int, shift_m: float) -> dict[str, FloatArray]:
    points = place(pose, n)
    up = baker_matrix(pose.pelvis)[..., :, 1]
    for name in ("RPSIS", "LPSIS"):
        points[name] = points[name] + shift_m * up
    return points


def test_knee_stickers_too_far_forward_are_referenced_away() -> None:
    flexion = JcsAngles(np.linspace(-0.5, 0.8, 20), np.zeros(20), np.zeros(20))
    moving, standing = place(Pose(hip={"R": flexion}), 20), place(Pose())
    clean = angles_of(moving, standing)["hip_flexion", Side.RIGHT]
    for name in ("RLFE", "RMFE"):
        moving[name] = moving[name] + 0.01 * jcs_matrix(flexion)[..., :, 0]
        standing[name] = standing[name] + np.array([0.01, 0.0, 0.0])
    offset = angles_of(moving, standing)["hip_flexion", Side.RIGHT]
    assert np.allclose(clean.ref_rad, offset.ref_rad, atol=1e-9)
    assert np.allclose(np.rad2deg(offset.raw_rad - clean.raw_rad), np.rad2deg(np.arctan2(0.01, 0.42)), atol=1e-6)


def test_hip_centres_mirror() -> None:
    size = PelvisSize(0.24, 0.15, 0.9)
    right, left = hip_offset_m(size, Side.RIGHT), hip_offset_m(size, Side.LEFT)
    assert np.allclose(right, left * np.array([1.0, 1.0, -1.0]))
    expected_mm = [-0.24 * 150 - 9.9, -0.16 * 240 - 0.04 * 900 - 7.1, 0.28 * 150 + 0.16 * 240 + 7.9]
    assert np.allclose(right * 1e3, expected_mm)


def test_hip_centres_without_a_leg_length_are_by_one_predictor() -> None:
    """pyCGM2's single-predictor forms; with no static trial the leg is not measured."""
    right, left = (hip_offset_m(PelvisSize(0.24, 0.15, float("nan")), s) for s in (Side.RIGHT, Side.LEFT))
    assert np.allclose(right, left * np.array([1.0, 1.0, -1.0]))
    assert np.allclose(right * 1e3, [-0.24 * 150 - 9.9, -0.305 * 240 - 10.9, 0.33 * 240 + 7.3])


def keypoints(names: tuple[str, ...], n: int = 50) -> Landmarks3D:
    """A standing person as a keypoint model sees one, swaying a little."""
    p = place(Pose(), n)
    near = {
        "Hip": "GT",
        "Knee": "LFE",
        "Ankle": "LM",
        "Shoulder": "AC",
        "Heel": "HEEL",
        "BigToe": "TOE",
        "SmallToe": "MT5",
    }
    tracks = {f"{s}{k}": p[f"{s}{m}"] for s in "RL" for k, m in near.items()}
    tracks |= {"Neck": p["C7"], "Head": p["HEAD"]}
    sway = 0.01 * np.sin(np.linspace(0, 6, n))[:, None] * np.array([1.0, 0.0, 0.0])
    return as_landmarks({k: v + sway for k, v in tracks.items() if k in names})


@pytest.mark.parametrize(("names", "tier"), [(COCO_17.landmarks, Tier.T0), (HALPE_26.landmarks, Tier.T1)])
def test_keypoints_alone_give_no_pelvic_tilt_and_nothing_that_rests_on_it(names: tuple[str, ...], tier: Tier) -> None:
    result = analyse(keypoints(names))
    assert result.tier is tier
    summaries = {(s.id, s.side): s for s in result.summaries}
    for angle_id in ("pelvis_tilt", "lumbar_extension", "trunk_pelvis_extension", "hip_flexion", "hip_adduction"):
        for side in next(a for a in ANGLES if a.id == angle_id).sided.sides:
            summary = summaries[angle_id, side]
            assert np.isnan(summary.mean_rad)
            assert summary.n == 0
            assert summary.reason is not None
            assert "not observable" in summary.reason
    for angle_id, side in (
        ("pelvis_rotation", Side.BOTH),
        ("pelvis_obliquity", Side.BOTH),
        ("thigh_vertical", Side.LEFT),
    ):
        assert summaries[angle_id, side].n == 50
        assert summaries[angle_id, side].reason is None
    assert ("foot_pitch", Side.LEFT) in summaries
    assert np.isfinite(summaries["foot_pitch", Side.LEFT].mean_rad) == (tier >= Tier.T1)


def test_every_angle_is_listed_and_other_trials_have_no_gait() -> None:
    for kind in (TrialKind.OTHER, TrialKind.STATIC):
        result = analyse(as_landmarks(place(wiggle(3), 40)), kind)
        listed = [(s.id, s.side) for s in result.summaries]
        assert sorted(listed) == sorted((a.id, side) for a in ANGLES for side in a.sided.sides)
        assert result.metrics == ()
        assert result.strides == ()
        assert result.events is None


def test_without_a_static_absolute_angles_are_flagged() -> None:
    trial = as_landmarks(place(wiggle(3), 40))
    absolute = analyse(trial)
    referenced = analyse(trial, static=as_landmarks(still(place(Pose()))))
    assert "unreferenced" in absolute.notes["static"]
    assert "static" not in referenced.notes
    for a, b in zip(absolute.summaries, referenced.summaries, strict=True):
        definition = next(d for d in ANGLES if d.id == a.id)
        assert not a.referenced
        assert b.referenced == definition.static_referenced
        assert np.isfinite(a.mean_rad)


def test_a_missing_epicondyle_leaves_sagittal_angles_only() -> None:
    points = {k: v for k, v in place(wiggle(5), 40).items() if k not in ("RMFE", "LMFE")}
    found = angles_of(points)
    assert found["hip_flexion", Side.RIGHT].reason is None
    for angle_id in ("hip_adduction", "hip_rotation"):
        assert found[angle_id, Side.RIGHT].reason == "needs the medial and the lateral epicondyle"


def test_landmarks_that_only_the_static_shows_are_carried_by_clusters() -> None:
    pose = wiggle(8)
    points, standing = place(pose, 40), place(Pose())
    for tracks, p in ((points, pose), (standing, Pose())):
        n = len(tracks["C7"])
        R_thigh = baker_matrix(p.pelvis) @ jcs_matrix(p.hip.get("R", zero(n)))
        middle = 0.5 * (tracks["RLFE"] + tracks["RMFE"])
        for i, place_m in enumerate(((0.05, 0.2, 0.06), (0.06, 0.1, 0.0), (-0.03, 0.15, 0.07)), start=1):
            tracks[f"RTH{i}"] = middle + R_thigh @ np.array(place_m)
    whole = angles_of(points, standing)
    hidden = {k: v for k, v in points.items() if k not in ("RLFE", "RMFE")}
    carried = angles_of(hidden, standing)
    for angle_id in ("hip_flexion", "hip_adduction", "hip_rotation", "knee_flexion"):
        assert np.allclose(carried[angle_id, Side.RIGHT].ref_rad, whole[angle_id, Side.RIGHT].ref_rad, atol=1e-9)


def test_hidden_asis_is_carried_by_the_back_of_the_pelvis() -> None:
    points, standing = place(wiggle(8), 40), place(Pose())
    whole = angles_of(points, standing)["pelvis_tilt", Side.BOTH].ref_rad
    points["RASIS"] = points["RASIS"].copy()
    points["RASIS"][5:30] = np.nan
    carried = angles_of(points, standing)["pelvis_tilt", Side.BOTH].ref_rad
    assert np.allclose(carried, whole, atol=1e-9)


def test_a_cluster_that_does_not_fit_carries_nothing() -> None:
    points, standing = place(wiggle(8), 40), place(Pose())
    points["RASIS"] = np.full((40, 3), np.nan)
    points["S3"] = points["S3"] + np.array([0.0, 0.06, 0.0])
    found = angles_of(points, standing)["pelvis_tilt", Side.BOTH]
    assert np.isnan(found.raw_rad).all()
    assert found.reason is not None


def test_missing_landmarks_are_named() -> None:
    points = {k: v for k, v in place(Pose(), 5).items() if k not in ("RLFE", "RAC")}
    with pytest.raises(InputError, match="missing RLFE, RAC"):
        analyse(as_landmarks(points))


def test_empty_and_uneven_trials_are_refused() -> None:
    good = as_landmarks(place(Pose(), 20))
    with pytest.raises(InputError, match="empty"):
        analyse(good.with_positions(np.full_like(good.xyz_m, np.nan)))
    times = np.array(good.times_s)
    times[10:] += 0.05
    with pytest.raises(InputError, match="not evenly spaced"):
        analyse(replace(good, times_s=times))


def test_every_metric_has_a_rule() -> None:
    assert set(RULES) == {m.id for m in METRICS}


def test_a_landmark_without_any_position_is_told_apart_from_one_that_nobody_asked_for() -> None:
    standing = keypoints(COCO_17.landmarks)
    gone = np.array([n == "LKnee" for n in standing.landmarks])
    unseen = replace(standing, xyz_m=np.where(gone[None, :, None], np.nan, standing.xyz_m))
    with pytest.raises(InputError, match=r"no tier: LKnee.* no position in any frame.*two cameras"):
        analyse(unseen)
    with pytest.raises(InputError, match=r"no tier: missing .*LKnee.*landmarks found: RHip"):
        analyse(keypoints(tuple(n for n in COCO_17.landmarks if n != "LKnee")))
