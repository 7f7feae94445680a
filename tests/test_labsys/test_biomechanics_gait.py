"""Angles and metrics of runs and walks of the synthetic runner, who knows them."""

from __future__ import annotations

import numpy as np
import pytest

from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import METRICS, find_metric
from labsys.core.motion import Metric, MotionResult, Quality
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side, Tier
from pipelines.synthetic.trial import SyntheticTrial
from tests.test_labsys.gait_scene import analyse, assert_alike, at_strikes, metric, per_stride, still, synthetic, turn


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


@pytest.mark.slow
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
