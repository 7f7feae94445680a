"""What a gait trial lacks: refused, pointed out, or without a number; never a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import METRICS
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import Quality
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side, Tier, mirrored_name
from tests.test_labsys.gait_scene import LONG, analyse, at_strikes, metric, only, still, synthetic, turn


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_knee_seen_wrongly_for_a_moment_costs_that_stride_and_turns_no_other_around() -> None:
    """Its epicondyles change places while the knee bends most in one swing: half a turn on the way in, less on the way
    out, which carried every later stride around by a whole turn.
    """
    trial, settings = synthetic().anatomy, AnalysisSettings(discard_first_strides=0, discard_last_strides=0)
    whole = analyse(trial, still=still(), settings=settings)
    stride = next(s for s in whole.strides if s.side is Side.LEFT and s.foot_strike_s > 5.0)
    flexion_deg = np.rad2deg(whole.angles.find("knee_flexion", Side.LEFT).raw_rad)
    first = round(100.0 * stride.toe_off_s)
    most = first + int(np.argmax(flexion_deg[first : round(100.0 * stride.next_foot_strike_s)]))
    assert flexion_deg[most] > 95.0
    less = most + int(np.argmax(flexion_deg[most:] < 75.0))
    pair, xyz = [trial.index("LLFE"), trial.index("LMFE")], np.array(trial.xyz_m)
    xyz[most:less, pair] = xyz[most:less, pair[::-1]]
    part = analyse(trial.with_positions(xyz), still=still(), settings=settings)
    for metric_id in ("knee_flex_at_fs", "knee_flex_peak_stance", "knee_flex_at_to"):
        before, after = (
            next(v for v in r.stride_values if v.id == metric_id and v.side is Side.LEFT) for r in (whole, part)
        )
        assert set(before.stride_index) - set(after.stride_index) <= {stride.index, stride.index + 1}
        kept = np.isin(before.stride_index, after.stride_index)
        assert np.rad2deg(np.abs(before.values[kept] - after.values)).max() < 1.0, metric_id
