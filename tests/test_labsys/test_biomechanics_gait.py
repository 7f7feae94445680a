"""Runs and walks of the synthetic runner, whose angles, contacts and metrics are known; and trials that are refused."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from calibration.triangulation.triangulate import triangulate_robust
from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.cardan import rotation_about
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import METRICS, find_metric
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import default_error_table
from labsys.core.motion import EventKind, Metric, MotionResult, Quality, Stride, StrideValues
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side, Tier, mirrored_name
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import Anatomy, RunnerParameters, Strike, Variability
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

ERRORS = default_error_table(tuple(m.id for m in METRICS))
BOOK = Anatomy.REGRESSION


@lru_cache(maxsize=32)
def synthetic(
    kind: TrialKind = TrialKind.RUN,
    rate_hz: float = 100.0,
    seconds: float = 12.0,
    strike: Strike = Strike.REAR,
    speed_mps: float = 3.0,
) -> SyntheticTrial:
    speed = 1.3 if kind is TrialKind.WALK else speed_mps
    parameters = RunnerParameters(speed_mps=speed, strike=strike, anatomy=BOOK)
    return make_trial(parameters, kind=kind, seconds=seconds, rate_hz=rate_hz, seed=4, visit_seed=4)


def analyse(
    trial: Landmarks3D,
    *,
    still: Landmarks3D | None = None,
    kind: TrialKind = TrialKind.RUN,
    surface: Surface | None = None,
    speed_mps: float | None = 3.0,
    heading_known: bool = True,
    settings: AnalysisSettings | None = None,
    height_m: float | None = None,
) -> MotionResult:
    return analyse_motion(
        trial,
        static=still,
        kind=kind,
        surface=surface,
        declared_speed_mps=speed_mps,
        heading_known=heading_known,
        settings=settings or AnalysisSettings(),
        errors=ERRORS,
        leg_length_m=None,
        height_m=height_m,
    )


def still() -> Landmarks3D:
    return synthetic(TrialKind.STATIC, seconds=5.0).anatomy


def per_stride(result: MotionResult) -> list[Metric]:
    return [m for m in result.metrics if not find_metric(m.id).derived_from]


def assert_alike(one: MotionResult, other: MotionResult, within: float) -> None:
    """Every metric of both, differences and spreads too: the same number, or missing for the same reason."""
    for a, b in zip(one.metrics, other.metrics, strict=True):
        assert a.reason == b.reason, (a.id, a.reason, b.reason)
        assert a.reason is not None or abs(a.mean - b.mean) < within, (a.id, a.side, a.mean, b.mean)
    assert all(m.reason is None for m in per_stride(one)), "every metric of a stride is given"


def metric(result: MotionResult, metric_id: str, side: Side) -> Metric:
    return next(m for m in result.metrics if m.id == metric_id and m.side is side)


def turn(landmarks: Landmarks3D, yaw_rad: float) -> Landmarks3D:
    return landmarks.with_positions(landmarks.xyz_m @ rotation_about("y", yaw_rad).T)


def only(landmarks: Landmarks3D, names: tuple[str, ...]) -> Landmarks3D:
    index = [landmarks.index(n) for n in names]
    return Landmarks3D.from_positions(names, landmarks.times_s, landmarks.xyz_m[:, index])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TrialKind.RUN, TrialKind.WALK, TrialKind.OTHER])
def test_angles_are_the_true_segment_poses_with_filtering_off(kind: TrialKind) -> None:
    trial = synthetic(kind)
    settings = AnalysisSettings(filter_enabled=False)
    result = analyse(trial.anatomy, still=still(), kind=kind, speed_mps=None, settings=settings)
    assert result.tier is Tier.T3
    for truth in trial.angles.series:
        found = result.angles.find(truth.id, truth.side)
        for which in ("raw_rad", "ref_rad"):
            ours, true = getattr(found, which), getattr(truth, which)
            assert (np.isfinite(ours) == np.isfinite(true)).all(), (truth.id, which)
            error_deg = np.rad2deg(np.abs(ours - true))
            assert not np.isfinite(error_deg).any() or np.nanmax(error_deg) < 0.05, (truth.id, truth.side, which)


@pytest.mark.slow
def test_the_default_low_pass_costs_little_where_the_clinician_looks() -> None:
    """Bias of the default cut-offs on a noise-free run; the hip moves fast at impact, so excursions lose most."""
    trial = synthetic()
    result = analyse(trial.anatomy, still=still())
    for angle_id, side, limit_deg in (
        ("hip_flexion", Side.RIGHT, 0.6), ("pelvis_rotation", Side.BOTH, 0.15), ("pelvis_tilt", Side.BOTH, 0.15),
        ("lumbar_extension", Side.BOTH, 0.15),
    ):  # fmt: skip
        ours, true = result.angles.find(angle_id, side), trial.angles.find(angle_id, side)
        inner = slice(50, -50)
        error = np.rad2deg(ours.raw_rad - true.raw_rad)[inner]
        assert np.sqrt(np.mean(error**2)) < limit_deg, angle_id


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [100.0, 250.0])
@pytest.mark.parametrize("strike", list(Strike))
def test_events_are_true_contacts_within_half_a_frame(rate_hz: float, strike: Strike) -> None:
    trial = synthetic(rate_hz=rate_hz, strike=strike, seconds=8.0)
    result = analyse(trial.anatomy)
    for kind in EventKind:
        errors = event_errors(trial, result, kind)
        assert len(errors) >= 16
        assert np.abs(errors).max() <= 0.5 / rate_hz, kind


def event_errors(trial: SyntheticTrial, result: MotionResult, kind: EventKind) -> FloatArray:
    """Ours minus truth, s, away from the ends of the capture; every true event must have been found."""
    assert trial.events is not None
    assert result.events is not None
    end = trial.landmarks.times_s[-1] - 0.4
    errors = []
    for side in (Side.LEFT, Side.RIGHT):
        found = np.array(result.events.times_s(kind, side))
        for true in trial.events.times_s(kind, side):
            if 0.4 < true < end:
                errors.append(found[np.abs(found - true).argmin()] - true)
    return np.array(errors)


@pytest.mark.slow
@pytest.mark.parametrize("strike", list(Strike))
def test_events_stand_three_millimetres_of_noise(strike: Strike) -> None:
    trial = synthetic(strike=strike)
    noise = 0.003 * np.random.default_rng(1).standard_normal(trial.landmarks.xyz_m.shape)
    result = analyse(trial.landmarks.with_positions(trial.landmarks.xyz_m + noise))
    for kind in EventKind:
        errors = event_errors(trial, result, kind)
        assert np.sqrt(np.mean(errors**2)) < 0.010, kind


def test_walking_events_are_true_contacts() -> None:
    trial = synthetic(TrialKind.WALK)
    result = analyse(trial.anatomy, kind=TrialKind.WALK, speed_mps=None)
    for kind in EventKind:
        assert np.abs(event_errors(trial, result, kind)).max() < 0.025, kind
    flight = metric(result, "flight_time", Side.LEFT)
    assert (flight.n, flight.reason) == (0, "walking")


# Tolerances in inside units: what the default low-pass costs on a noise-free runner, rounded up. Ranges of curves with
# two like peaks per stride are those of the usual stride, 0.2 to 0.3° below the mean of every stride's own:
# pelvis_tilt_rom and lumbar_ext_rom miss 0.004 by it (0.00402 and 0.0053), the price of docs/adr/0015.
METRIC_TOLERANCE = {
    "hip_ext_excursion_stance": 0.010, "hip_ext_pelvis_peak": 0.003, "hip_ext_pelvis_at_to": 0.003,
    "hip_sagittal_rom": 0.003, "hip_add_peak_stance": 0.002, "thigh_ext_excursion_stance": 0.010,
    "thigh_ext_vertical_peak": 0.003, "thigh_ext_vertical_at_to": 0.003, "pelvis_rot_rom": 0.003,
    "pelvis_rot_to_ext_side_at_to": 0.002, "pelvis_rot_lag_to_hip_ext": 0.005, "pelvis_drop_contra_peak_stance": 0.002,
    "pelvis_tilt_mean": 0.001, "pelvis_tilt_rom": 0.0045, "pelvis_tilt_at_peak_thigh_ext": 0.001,
    "pelvis_tilt_rise_late_stance": 0.001, "lumbar_ext_peak": 0.004, "lumbar_ext_rom": 0.006,
    "lumbar_ext_at_peak_hip_ext": 0.002, "trunk_pelvis_ext_peak": 0.005, "trunk_pelvis_ext_rom": 0.007,
    "trunk_pelvis_ext_at_peak_hip_ext": 0.002, "lhci_dyn": 0.003, "phci_dyn": 0.003, "lhci_abs": 0.003,
    "thigh_ext_rise_late_stance": 0.003, "hip_ext_rise_late_stance": 0.003, "lumbar_ext_rise_late_stance": 0.002,
    "lean_rise_late_stance": 0.002, "trunk_lean_stance_mean": 0.001, "body_lean_ankle": 0.003, "waist_break": 0.004,
    "trailing_limb_angle_at_to": 0.003, "foot_push_angle_at_to": 0.006, "behind_body_at_to": 0.002,
    "behind_body_at_to_pelvis": 0.002, "behind_body_at_to_per_leg": 0.002, "behind_body_at_to_per_leg_pelvis": 0.002,
    "ahead_at_fs": 0.002, "ahead_at_fs_pelvis": 0.002, "ahead_at_fs_hip": 0.002, "ahead_at_fs_per_leg": 0.003,
    "ahead_at_fs_per_leg_pelvis": 0.002, "front_back_ratio": 0.008, "front_back_ratio_pelvis": 0.006,
    "shank_angle_at_fs": 0.005, "foot_angle_at_fs": 0.012, "knee_flex_at_fs": 0.012, "knee_flex_peak_stance": 0.003,
    "knee_flex_at_to": 0.006, "knee_ext_excursion_push": 0.006, "ankle_df_peak_stance": 0.003,
    "vertical_oscillation": 0.002, "vertical_oscillation_pelvis": 0.002, "vertical_oscillation_per_leg": 0.002,
    "vertical_oscillation_per_leg_pelvis": 0.002, "vertical_oscillation_per_step_length": 0.001,
    "vertical_oscillation_per_step_length_pelvis": 0.001, "contact_time": 0.002, "flight_time": 0.002,
    "duty_factor": 0.003, "step_time": 0.001, "stride_time": 0.001, "cadence": 0.01, "step_length": 0.006,
    "stride_length": 0.008, "stride_length_per_height": 0.005, "step_width": 0.001, "speed": 0.015,
}  # fmt: skip


@pytest.mark.slow
def test_metrics_are_the_true_ones() -> None:
    trial = synthetic(seconds=24.0)
    settings = AnalysisSettings(discard_first_strides=0, discard_last_strides=0)
    result = analyse(trial.anatomy, still=still(), settings=settings, height_m=trial.parameters.height_m)
    assert set(METRIC_TOLERANCE) == {m.id for m in METRICS}
    for found in per_stride(result):
        assert found.reason is None, (found.id, found.reason)
        true = mean_of_truth(trial, result, found)
        assert abs(found.mean - true) < METRIC_TOLERANCE[found.id], (found.id, found.side, found.mean, true)
        assert found.n >= 25
        assert found.quality is (Quality.LOW if find_metric(found.id).low_confidence else Quality.OK)
        assert found.ci95_strides[0] <= found.mean <= found.ci95_strides[1]


def at_strikes(strides: tuple[Stride, ...], values: StrideValues) -> dict[float, float]:
    """When each stride of a metric begins, s, and its value; metrics of the midline are read over right strides."""
    side = Side.RIGHT if values.side is Side.BOTH else values.side
    begins = {s.index: s.foot_strike_s for s in strides if s.side is side}
    return {begins[i]: float(v) for i, v in zip(values.stride_index, values.values, strict=True)}


def mean_of_truth(trial: SyntheticTrial, result: MotionResult, found: Metric) -> float:
    """Mean true value of the strides that the metric rests on; the trial has a right stride more."""
    measured, true = (
        next(v for v in values if (v.id, v.side) == (found.id, found.side))
        for values in (result.stride_values, trial.stride_values)
    )
    begun = list(at_strikes(result.strides, measured))
    values = [v for t, v in at_strikes(trial.strides, true).items() if np.min(np.abs(np.array(begun) - t)) < 0.02]
    assert len(values) == found.n
    return float(np.mean(values))


def test_first_five_and_last_two_strides_do_not_count() -> None:
    result = analyse(synthetic().anatomy)
    for side in (Side.LEFT, Side.RIGHT):
        own = [s for s in result.strides if s.side is side]
        assert [s.index for s in own] == list(range(len(own)))
        assert all(s.reason == "one of the first 5 strides" for s in own[:5])
        assert all(s.reason == "one of the last 2 strides" for s in own[-2:])
        assert all(s.valid for s in own[5:-2])
        assert result.n_strides(side) == len(own) - 7
    assert metric(result, "contact_time", Side.LEFT).quality is Quality.INDICATIVE
    curve = next(c for c in result.curves if c.id == "hip_flexion" and c.side is Side.LEFT)
    assert curve.values_rad.shape == (result.n_strides(Side.LEFT), 101)


def test_missing_static_leaves_excursions_and_takes_referenced_metrics() -> None:
    result = analyse(synthetic().anatomy, height_m=1.75)
    for definition in METRICS:
        for side in definition.sided.sides:
            found = metric(result, definition.id, side)
            if definition.static_referenced:
                assert found.n == 0
                assert np.isnan(found.mean)
                assert "no static trial" in (found.reason or "")
            else:
                assert found.reason is None, found


@pytest.mark.slow
def test_what_the_static_trial_cannot_reference_is_indicative_and_says_so() -> None:
    """Without the back of the pelvis in standing the hip's excursion is absolute, unlike that of a whole static."""
    standing = still()
    part = only(standing, tuple(n for n in standing.landmarks if n not in ("RPSIS", "LPSIS")))
    whole, lacking = (analyse(synthetic(seconds=24.0).anatomy, still=s, settings=LONG) for s in (standing, part))
    for metric_id, side in (("hip_ext_excursion_stance", Side.LEFT), ("hip_ext_excursion_stance_asym", Side.BOTH)):
        assert metric(whole, metric_id, side).reason is None
        assert metric(whole, metric_id, side).quality is Quality.OK
        absolute = metric(lacking, metric_id, side)
        assert np.isfinite(absolute.mean)
        assert absolute.quality is Quality.INDICATIVE
        assert absolute.reason == "absolute: the static trial lacks the landmarks for hip_flexion"
    knee = metric(lacking, "knee_ext_excursion_push", Side.LEFT)
    assert (knee.quality, knee.reason) == (Quality.OK, None)


@pytest.mark.slow
def test_what_no_stride_shows_throughout_has_no_number() -> None:
    """The right knee is out of sight for a moment of every swing: longer than a filled gap, shorter than a stride."""
    trial = synthetic().anatomy
    whole = analyse(trial)
    xyz = np.array(trial.xyz_m)
    for stride in (s for s in whole.strides if s.side is Side.RIGHT):
        middle = round(100.0 * 0.5 * (stride.toe_off_s + stride.next_foot_strike_s))
        xyz[middle - 9 : middle + 9, [trial.index("RLFE"), trial.index("RMFE")]] = np.nan
    part = analyse(trial.with_positions(xyz))
    for metric_id, side in (("hip_sagittal_rom", Side.RIGHT), ("vertical_oscillation", Side.BOTH)):
        lost = metric(part, metric_id, side)
        assert np.isnan(lost.mean), lost
        assert lost.n == 0
        assert lost.reason, metric_id
    kept = metric(part, "hip_sagittal_rom", Side.LEFT)
    assert kept.mean == pytest.approx(metric(whole, "hip_sagittal_rom", Side.LEFT).mean, abs=0.002)


LONG = AnalysisSettings(discard_first_strides=0, discard_last_strides=0)
FOOT = ("HEEL", "MT5", "MT1", "TOE", "LM")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "lost_frames", "valid"), [(("HEEL",), 1, True), (("HEEL",), 4, True), (FOOT[:3], 4, False)]
)
def test_an_event_rests_on_what_was_measured_of_the_foot(names: tuple[str, ...], lost_frames: int, valid: bool) -> None:
    """A lost landmark has no say in the event; with most of the foot lost, the stride does not count."""
    trial = synthetic().anatomy
    strike = analyse(trial).strides[14]
    frame = round(strike.foot_strike_s * 100.0)
    xyz = np.array(trial.xyz_m)
    for name in names:
        xyz[frame - 1 : frame - 1 + lost_frames, trial.index(f"{strike.side.letter}{name}")] = np.nan
    again = analyse(trial.with_positions(xyz))
    same = next(s for s in again.strides if s.side is strike.side and s.index == strike.index)
    assert same.valid is valid, same.reason
    if valid:
        assert abs(same.foot_strike_s - strike.foot_strike_s) < 0.010
    else:
        assert same.reason == "an event of low quality"


@pytest.mark.slow
@pytest.mark.parametrize("strike", list(Strike))
@pytest.mark.parametrize("speed_mps", [2.5, 4.0])
def test_events_stand_the_noise_of_a_2d_detector(strike: Strike, speed_mps: float) -> None:
    """Four cameras at 100 Hz, 2D errors heavy-tailed, correlated and hidden at times.

    Events cost at most one stride in ten; landmarks filled in for too long may cost a few more.
    """
    parameters = RunnerParameters(speed_mps=speed_mps, strike=strike)
    trial = make_trial(parameters, kind=TrialKind.RUN, seconds=14.0, rate_hz=100.0, seed=31, visit_seed=31)
    result = analyse(reconstruct_noisy(trial, seed=31), speed_mps=speed_mps)
    for kind in EventKind:
        errors = event_errors(trial, result, kind)
        assert np.sqrt(np.mean(errors**2)) <= 0.010, kind
    judged = [s for s in result.strides if not (s.reason or "").startswith("one of the")]
    lost_to_landmarks = sum("filled in" in (s.reason or "") for s in judged)
    assert sum(s.valid for s in judged) >= 0.9 * len(judged) - lost_to_landmarks
    assert lost_to_landmarks <= 0.15 * len(judged)


def reconstruct_noisy(trial: SyntheticTrial, seed: int) -> Landmarks3D:
    rig = make_rig(4)
    seen = observe(trial, rig, NoiseModel.dlc_like(), seed)
    found = triangulate_robust(rig, np.moveaxis(seen.xy_px, 1, 2), np.moveaxis(seen.confidence, 1, 2))
    return Landmarks3D.from_positions(seen.landmarks, seen.times_s, found.xyz_m)


@pytest.mark.slow
def test_contact_times_keep_what_really_differs_between_strides() -> None:
    """Laying strides over each other must not make them alike: what spreads twice as much is found to."""
    parameters = RunnerParameters(anatomy=BOOK, variability=Variability(scale=2.0))
    trial = make_trial(parameters, kind=TrialKind.RUN, seconds=20.0, rate_hz=100.0, seed=4, visit_seed=4)
    noise = 0.0015 * np.random.default_rng(5).standard_normal(trial.landmarks.xyz_m.shape)
    result = analyse(trial.landmarks.with_positions(trial.landmarks.xyz_m + noise))
    for side in (Side.LEFT, Side.RIGHT):
        ours, true = metric(result, "contact_time", side), trial.metric("contact_time", side)
        assert 0.8 < ours.sd / true.sd < 1.8


@pytest.mark.slow
def test_heading_is_found_from_the_feet_when_it_is_not_known() -> None:
    trial = synthetic().anatomy
    straight = analyse(trial, still=still(), height_m=1.75)
    turned = analyse(turn(trial, 2.0), still=still(), heading_known=False, height_m=1.75)
    assert "heading unknown" in turned.notes["heading"]
    for angle_id in ("pelvis_rotation", "trunk_lean"):
        a, b = (r.angles.find(angle_id, Side.BOTH).raw_rad for r in (straight, turned))
        assert np.rad2deg(np.abs(a - b)).max() < 0.5
    assert_alike(straight, turned, 0.01)


@pytest.mark.slow
def test_overground_reads_like_the_treadmill() -> None:
    trial = synthetic()
    moved = np.array(trial.anatomy.xyz_m)
    moved[..., 0] += (3.0 * trial.anatomy.times_s)[:, None]
    belt = analyse(trial.anatomy, still=still(), surface=Surface.TREADMILL, height_m=1.75)
    outdoors = turn(trial.anatomy.with_positions(moved), 0.7)
    ground = analyse(outdoors, still=still(), surface=Surface.OVERGROUND, height_m=1.75)
    assert_alike(belt, ground, 0.012)
    assert metric(ground, "speed", Side.BOTH).mean == pytest.approx(3.0, abs=0.03)


@pytest.mark.slow
def test_noise_does_not_slow_the_belt_down() -> None:
    trial = synthetic().anatomy
    noise = 0.003 * np.random.default_rng(3).standard_normal(trial.xyz_m.shape)
    clean, found = (metric(analyse(t), "speed", Side.BOTH) for t in (trial, trial.with_positions(trial.xyz_m + noise)))
    assert clean.mean == pytest.approx(3.0, abs=0.003)
    # Nine strides of 0.037 m/s each. Read until 70 % of contact, where the forefoot rolls over the toes, it was 2.965.
    assert found.mean == pytest.approx(3.0, abs=0.015)


@pytest.mark.slow
def test_noise_does_not_shorten_strides() -> None:
    """Lengths rest on the speed of the ground: read until 70 % of contact, strides were 13 to 21 mm too short."""
    trial = synthetic().anatomy
    draws = [0.003 * np.random.default_rng(seed).standard_normal(trial.xyz_m.shape) for seed in (3, 4, 5)]
    clean, *noisy = (analyse(trial.with_positions(trial.xyz_m + noise)) for noise in (0.0 * trial.xyz_m, *draws))
    ground = [r.events.belt_speed_mps for r in (clean, *noisy) if r.events is not None]
    assert ground[0] == pytest.approx(3.0, abs=0.003)
    assert ground[1:] == pytest.approx([3.0] * 3, abs=0.015)
    for metric_id, side in (("stride_length", Side.BOTH), ("step_length", Side.LEFT), ("step_length", Side.RIGHT)):
        shorter = [metric(clean, metric_id, side).mean - metric(r, metric_id, side).mean for r in noisy]
        assert abs(np.mean(shorter)) < 0.003, metric_id
        assert max(np.abs(shorter)) < 0.010, metric_id


@pytest.mark.slow
def test_a_tilted_heading_and_another_speed_are_pointed_out() -> None:
    result = analyse(turn(synthetic().anatomy, np.deg2rad(5.0)), speed_mps=2.7)
    assert "5." in result.notes["heading"]
    assert "+1" in result.notes["speed"]
    assert "speed" not in analyse(synthetic().anatomy, speed_mps=3.0).notes


def test_keypoint_like_landmarks_are_assessed_as_far_as_they_go() -> None:
    names = tuple(f"{s}{n}" for s in "RL" for n in ("GT", "LFE", "LM", "HEEL", "MT5", "TOE", "AC"))
    result = analyse(only(synthetic().anatomy, names))
    assert result.tier is Tier.T1
    assert "hjc_gt" in result.notes["hip_centres"]
    assert "were not measured" in result.notes["tier"]
    for definition in METRICS:
        for side in definition.sided.sides:
            found = metric(result, definition.id, side)
            if definition.tier > Tier.T1:
                assert np.isnan(found.mean)
                assert "not observable" in (found.reason or "")
    assert metric(result, "pelvis_rot_rom", Side.BOTH).reason is None
    assert metric(result, "thigh_ext_vertical_peak", Side.LEFT).reason is None
    assert "arms" in (metric(result, "vertical_oscillation", Side.BOTH).reason or "")


def test_without_feet_there_are_strides_and_no_contact_times() -> None:
    names = tuple(f"{s}{n}" for s in "RL" for n in ("GT", "LFE", "LM", "AC"))
    result = analyse(only(synthetic().anatomy, names))
    assert result.tier is Tier.T0
    true = synthetic().metric("cadence", Side.BOTH).mean
    assert metric(result, "cadence", Side.BOTH).mean == pytest.approx(true, rel=0.02)
    assert metric(result, "contact_time", Side.LEFT).reason is not None


def test_a_stopped_belt_is_refused() -> None:
    with pytest.raises(InputError, match=r"belt stands still|do not repeat"):
        analyse(synthetic(TrialKind.STATIC, seconds=5.0).anatomy)


def test_facing_backwards_is_refused() -> None:
    trial = synthetic().anatomy
    with pytest.raises(InputError, match="faces backwards"):
        analyse(turn(trial, np.pi))
    backward = replace(trial, xyz_m=trial.xyz_m[::-1])
    with pytest.raises(InputError, match="faces backwards"):
        analyse(backward, heading_known=False)


@pytest.mark.slow
@pytest.mark.parametrize("stems", [("GT", "LFE", "MFE", "LM", "MM", "HEEL", "MT1", "MT5", "TOE"), ("LFE", "MFE")])
def test_a_run_with_its_legs_exchanged_is_refused(stems: tuple[str, ...]) -> None:
    trial = synthetic().anatomy
    names = [mirrored_name(n) if n[1:] in stems else n for n in trial.landmarks]
    with pytest.raises(InputError, match=r"right knee lies \d+ mm to the left.*exchanged.*in this trial"):
        analyse(trial.with_positions(trial.xyz_m[:, [trial.index(n) for n in names]]))


@pytest.mark.slow
def test_landmarks_lost_for_part_of_the_trial_cost_strides_and_change_no_number() -> None:
    """The pelvis is out of sight for three seconds: its metrics rest on fewer strides, and are the same."""
    trial = synthetic(seconds=24.0).anatomy
    settings = AnalysisSettings(discard_first_strides=0, discard_last_strides=0)
    xyz = np.array(trial.xyz_m)
    for name in ("RASIS", "LASIS", "RPSIS", "LPSIS", "S3", "L5"):
        xyz[1000:1300, trial.index(name)] = np.nan
    whole, part = (analyse(t, still=still(), settings=settings) for t in (trial, trial.with_positions(xyz)))
    seen = {(v.id, v.side): at_strikes(part.strides, v) for v in part.stride_values}
    for values in whole.stride_values:
        before, after = at_strikes(whole.strides, values), seen[values.id, values.side]
        # Numbers of strides shift where some are lost: strides are the same that begin together.
        pairs = [(v, w) for t, v in before.items() for u, w in after.items() if abs(t - u) < 0.02]
        assert 20 <= len(pairs) <= len(before), values.id
        assert abs(np.mean(np.subtract(*np.transpose(pairs)))) < 0.002, (values.id, values.side)
    assert metric(part, "hip_ext_pelvis_peak", Side.LEFT).n <= metric(whole, "hip_ext_pelvis_peak", Side.LEFT).n - 4


def test_contradicting_surface_is_refused_with_both_speeds() -> None:
    with pytest.raises(InputError, match=r"declared surface is overground.*[23]\.\d\d m/s.*0\.0\d m/s: treadmill"):
        analyse(synthetic().anatomy, surface=Surface.OVERGROUND)


@pytest.mark.slow
def test_walking_in_a_run_is_refused() -> None:
    with pytest.raises(InputError, match="walking, not running"):
        analyse(synthetic(TrialKind.WALK).anatomy, speed_mps=None)


def test_running_in_a_walk_is_refused() -> None:
    """By the rules of walking its contacts come out 40 ms long."""
    with pytest.raises(InputError, match=r"running, not walking: each foot stands for 4\d %.*--kind run"):
        analyse(synthetic().anatomy, kind=TrialKind.WALK, speed_mps=None)


def test_two_strides_give_no_mean() -> None:
    trial = synthetic().anatomy
    n = 190
    short = Landmarks3D.from_positions(trial.landmarks, trial.times_s[:n], trial.xyz_m[:n])
    settings = AnalysisSettings(discard_first_strides=0, discard_last_strides=0)
    result = analyse(short, settings=settings)
    assert 0 < result.n_strides(Side.RIGHT) < 3
    assert "at least 3 are needed" in (metric(result, "stride_time", Side.BOTH).reason or "")
