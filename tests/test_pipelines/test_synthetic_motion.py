"""The synthetic runner obeys physics and anatomy: laws that its truth rests on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.motion import EventKind
from labsys.core.session import TrialKind
from labsys.core.skeleton import LABSYS_RUN_37, Side, mirrored_name
from pipelines.synthetic.anatomy import make_body
from pipelines.synthetic.parameters import NO_VARIABILITY, Anatomy, Asymmetry, RunnerParameters, Strike, Variability
from pipelines.synthetic.shoe import contact_from_ankle
from pipelines.synthetic.trial import SyntheticTrial, make_trial

SIDES = (Side.LEFT, Side.RIGHT)
SHOE = ("HEEL", "TOE", "MT1", "MT5")


@lru_cache(maxsize=32)
def _trial(
    parameters: RunnerParameters = RunnerParameters(),  # noqa: B008 - frozen
    kind: TrialKind = TrialKind.RUN,
    seconds: float = 5.0,
    rate_hz: float = 200.0,
    seed: int = 1,
    visit_seed: int = 1,
) -> SyntheticTrial:
    return make_trial(parameters, kind=kind, seconds=seconds, rate_hz=rate_hz, seed=seed, visit_seed=visit_seed)


def _sole_m(trial: SyntheticTrial, side: str) -> FloatArray:
    """Lowest point of the sole, (T, 3) m, from the pose of the shoe alone."""
    body = make_body(trial.parameters.height_m, trial.parameters.anatomy, trial.seed)
    R, ankle = trial.rotations[f"{side}foot"], trial.joint_centres[f"{side}AJC"]
    lowest = contact_from_ankle(body.sole, np.arcsin(R[:, 1, 0]))
    heading = R[:, :, 0] * [1.0, 0.0, 1.0]
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    return np.asarray(ankle + lowest[:, :1] * heading + lowest[:, 1:] * [0.0, 1.0, 0.0])


def _planted(trial: SyntheticTrial, side: Side) -> np.ndarray:
    times = trial.landmarks.times_s
    inside = [(times >= c.strike_s) & (times <= c.toe_off_s) for c in trial.contacts if c.side is side]
    return np.any(inside, axis=0)


ALL_GAITS = [
    *(pytest.param(RunnerParameters(strike=s), TrialKind.RUN, id=s.value) for s in Strike),
    pytest.param(
        RunnerParameters(hip_extension_cap_rad=math.radians(4), lumbar_gain=0.5, speed_mps=3.5),
        TrialKind.RUN,
        id="capped",
    ),
    pytest.param(RunnerParameters(speed_mps=1.3), TrialKind.WALK, id="walk"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "kind"), ALL_GAITS)
def test_flat_shoe_moves_exactly_with_the_belt(parameters: RunnerParameters, kind: TrialKind) -> None:
    trial = _trial(parameters, kind)
    checked = 0
    for contact in trial.contacts:
        at = np.flatnonzero(
            (trial.landmarks.times_s >= contact.flat_from_s) & (trial.landmarks.times_s <= contact.flat_to_s)
        )
        for name in SHOE:
            track = trial.anatomy.point_m(f"{contact.side.letter}{name}")[at]
            velocity = np.diff(track, axis=0) * trial.landmarks.rate_hz
            assert np.abs(velocity - [-parameters.speed_mps, 0.0, 0.0]).max() < 1e-3
            checked += velocity.shape[0]
    assert checked > 100


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "kind"), ALL_GAITS)
def test_sole_stays_on_the_belt_in_stance_and_off_it_in_swing(parameters: RunnerParameters, kind: TrialKind) -> None:
    trial = _trial(parameters, kind)
    times = trial.landmarks.times_s
    for side in SIDES:
        height = _sole_m(trial, side.letter)[:, 1]
        first, last = trial.contacts[1].strike_s, trial.contacts[-2].toe_off_s
        known = (times > first) & (times < last)
        planted = _planted(trial, side)
        assert np.abs(height[planted]).max() < 1e-6
        assert height[known & ~planted].min() > -1e-6
        swing_middle = [
            (times > a.toe_off_s + 0.06) & (times < b.strike_s - 0.06)
            for a, b in zip(_of(trial, side)[:-1], _of(trial, side)[1:], strict=True)
        ]
        assert height[np.any(swing_middle, axis=0)].min() > 0.005


def _of(trial: SyntheticTrial, side: Side) -> list:
    return [c for c in trial.contacts if c.side is side]


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "kind"), ALL_GAITS)
def test_rolling_shoe_does_not_slip(parameters: RunnerParameters, kind: TrialKind) -> None:
    """The material point under the shoe moves with the belt, also while the shoe rolls over heel and toes."""
    trial = make_trial(parameters, kind=kind, seconds=2.5, rate_hz=2000.0, seed=1)
    for side in SIDES:
        R, ankle = trial.rotations[f"{side.letter}foot"], trial.joint_centres[f"{side.letter}AJC"]
        local = np.einsum("tji,tj->ti", R, _sole_m(trial, side.letter) - ankle)
        planted = np.flatnonzero(_planted(trial, side))
        rolling = planted[(np.diff(planted, prepend=-9) == 1) & (np.diff(planted, append=10**9) == 1)]
        before = ankle[rolling - 1] + np.einsum("tij,tj->ti", R[rolling - 1], local[rolling])
        after = ankle[rolling + 1] + np.einsum("tij,tj->ti", R[rolling + 1], local[rolling])
        velocity = (after - before) * 1000.0
        pitch = np.arcsin(R[:, 1, 0])
        pitch_rate = np.abs(np.gradient(pitch) * 2000.0)[rolling]
        # Where a sole lies flat, its end is taken, which the flat part carries with it.
        assert np.abs(velocity - [-parameters.speed_mps, 0.0, 0.0]).max() < 1e-3
        landed = [np.interp([c.flat_from_s, c.flat_to_s], trial.landmarks.times_s, pitch) for c in _of(trial, side)]
        assert np.abs(landed).max() < 1e-4
        assert pitch_rate.max() > 3.0


@pytest.mark.slow
@pytest.mark.parametrize("speed_mps", [2.3, 3.0, 4.5])
@pytest.mark.parametrize("strike", list(Strike))
def test_shoes_land_with_an_impact(speed_mps: float, strike: Strike) -> None:
    """Shoes come down on the belt at 0.3 to 1.8 m/s; one that settles without speed would have no moment of contact."""
    parameters = RunnerParameters(speed_mps=speed_mps, strike=strike)
    trial = _trial(parameters, seconds=3.0, rate_hz=1000.0)
    for side in SIDES:
        height = _sole_m(trial, side.letter)[:, 1]
        for contact in _of(trial, side):
            frame = int(contact.strike_s * 1000.0)
            if frame > 12:
                speed = (height[frame - 6] - height[frame - 1]) / 0.005
                assert 0.3 < speed < 1.8


@pytest.mark.slow
def test_segment_lengths_are_constant() -> None:
    trial = _trial()
    for a, b in (("HJC", "KJC"), ("KJC", "AJC")):
        for side in "RL":
            length = np.linalg.norm(trial.joint_centres[side + a] - trial.joint_centres[side + b], axis=1)
            assert np.ptp(length) < 1e-9
    for a, b in (("RASIS", "LASIS"), ("RASIS", "LPSIS"), ("C7", "IJ"), ("L1", "L5"), ("RHEEL", "RTOE"), ("LLM", "LMM")):
        length = np.linalg.norm(trial.landmarks.point_m(a) - trial.landmarks.point_m(b), axis=1)
        assert np.ptp(length) < 1e-9


@pytest.mark.slow
def test_running_flies_and_falls_freely() -> None:
    trial = _trial(RunnerParameters(variability=NO_VARIABILITY), rate_hz=1000.0)
    hips = 0.5 * (trial.joint_centres["RHJC"] + trial.joint_centres["LHJC"])[:, 1]
    times = trial.landmarks.times_s
    acceleration = np.gradient(np.gradient(hips, times), times)
    on_belt = _planted(trial, Side.LEFT) | _planted(trial, Side.RIGHT)
    inner = (times > trial.contacts[0].strike_s) & (times < trial.contacts[-1].toe_off_s)
    flight = inner & ~on_belt
    deep = flight & np.roll(flight, 4) & np.roll(flight, -4)
    assert deep.sum() > 500
    assert np.abs(acceleration[deep] + 9.81).max() < 0.05
    assert all(s.contra_foot_strike_s > s.toe_off_s for s in trial.strides)


@pytest.mark.slow
def test_walking_has_two_double_supports_per_stride() -> None:
    trial = _trial(RunnerParameters(speed_mps=1.3), TrialKind.WALK, seconds=8.0)
    assert len(trial.strides) >= 10
    for stride in trial.strides:
        # The other foot lands before this one leaves, and this one lands before the other has left.
        assert stride.contra_foot_strike_s < stride.toe_off_s
        assert (
            0.55 < (stride.toe_off_s - stride.foot_strike_s) / (stride.next_foot_strike_s - stride.foot_strike_s) < 0.68
        )
    assert trial.metric("flight_time", Side.LEFT).reason == "walking"


@pytest.mark.slow
@pytest.mark.parametrize("asymmetry", [Asymmetry(hip_extension_rad=0.06, contact_time_s=0.012)])
def test_mirrored_parameters_mirror_the_motion(asymmetry: Asymmetry) -> None:
    """Exchanging the sides' parameters gives the mirror image, half a stride later."""
    parameters = RunnerParameters(
        anatomy=Anatomy.REGRESSION, variability=NO_VARIABILITY, asymmetry=asymmetry, cadence_hz=2.5
    )
    trial, other = _trial(parameters), _trial(parameters.mirrored())
    step = round(0.4 * trial.landmarks.rate_hz)
    order = [LABSYS_RUN_37.landmarks.index(mirrored_name(n)) for n in LABSYS_RUN_37.landmarks]
    mirror = other.landmarks.xyz_m[:, order] * [1.0, 1.0, -1.0]
    # The solver places feet to a few micrometres.
    assert np.abs(mirror[step:] - trial.landmarks.xyz_m[:-step]).max() < 2e-5
    right, left = (trial.metric("hip_ext_pelvis_peak", s).mean for s in (Side.RIGHT, Side.LEFT))
    assert right - left == pytest.approx(0.06, abs=1e-3)
    assert np.abs(trial.landmarks.xyz_m - other.landmarks.xyz_m).max() > 0.01


@pytest.mark.slow
def test_hip_cap_moves_hip_extension_and_leaves_pelvic_rotation_alone() -> None:
    free = RunnerParameters(variability=NO_VARIABILITY)
    rotation, peak, tilt, lumbar = [], [], [], []
    for cap_deg in (None, 10.0, 5.0):
        cap = None if cap_deg is None else math.radians(cap_deg)
        trial = _trial(replace(free, hip_extension_cap_rad=cap))
        peak.append(math.degrees(trial.metric("hip_ext_pelvis_peak", Side.RIGHT).mean))
        rotation.append(math.degrees(trial.metric("pelvis_rot_rom", Side.BOTH).mean))
        tilt.append(math.degrees(trial.metric("pelvis_tilt_mean", Side.BOTH).mean))
        lumbar.append(math.degrees(trial.metric("lumbar_ext_peak", Side.BOTH).mean))
    assert peak[0] > 12.0
    assert peak[1:] == pytest.approx([10.0, 5.0], abs=0.1)
    assert np.ptp(rotation) < 0.05
    assert np.ptp(tilt) < 0.05
    assert np.ptp(lumbar) < 0.05


@pytest.mark.slow
def test_a_cap_above_what_the_runner_does_changes_nothing() -> None:
    free = RunnerParameters(variability=NO_VARIABILITY)
    capped = replace(free, hip_extension_cap_rad=math.radians(40.0))
    assert np.array_equal(_trial(free).landmarks.xyz_m, _trial(capped).landmarks.xyz_m)


@pytest.mark.slow
def test_lumbar_gain_moves_lost_extension_into_the_back_and_keeps_the_trailing_thigh() -> None:
    capped = RunnerParameters(variability=NO_VARIABILITY, hip_extension_cap_rad=math.radians(5.0))
    gains = (0.0, 0.5, 1.0)
    trials = [_trial(replace(capped, lumbar_gain=g)) for g in gains]
    hip, lumbar, thigh = (
        [math.degrees(t.metric(m, Side.RIGHT).mean) for t in trials]
        for m in ("hip_ext_pelvis_peak", "lumbar_ext_at_peak_hip_ext", "thigh_ext_vertical_peak")
    )
    assert hip == pytest.approx([5.0] * 3, abs=0.1)
    assert np.all(np.diff(lumbar) > 3.0)
    assert np.all(np.diff(thigh) > 3.0)


@pytest.mark.slow
def test_the_cap_holds_on_average_with_variability() -> None:
    parameters = RunnerParameters(hip_extension_cap_rad=math.radians(6.0))
    peak = _trial(parameters, seconds=30.0, rate_hz=50.0).metric("hip_ext_pelvis_peak", Side.LEFT)
    assert math.degrees(peak.mean) == pytest.approx(6.0, abs=0.5)
    assert 0.3 < math.degrees(peak.sd) < 2.5


@pytest.mark.slow
def test_strides_vary_with_memory_and_drift() -> None:
    steady = Variability(scale=1.0, lag1=0.8)
    trial = _trial(RunnerParameters(variability=steady), seconds=60.0, rate_hz=50.0)
    assert trial.metric("hip_ext_pelvis_peak", Side.RIGHT).lag1 > 0.25
    tiring = Variability(scale=0.0, lag1=0.0, hip_extension_drift_rad_per_min=math.radians(-6.0))
    values = next(
        v.values
        for v in _trial(RunnerParameters(variability=tiring), seconds=60.0, rate_hz=50.0).stride_values
        if v.id == "hip_ext_pelvis_peak" and v.side is Side.RIGHT
    )
    assert math.degrees(values[-1] - values[0]) == pytest.approx(-6.0, abs=1.0)
    still = _trial(RunnerParameters(variability=NO_VARIABILITY))
    assert math.degrees(still.metric("hip_ext_pelvis_peak", Side.RIGHT).sd) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "kind"), ALL_GAITS)
def test_joints_and_landmarks_stay_in_human_ranges(parameters: RunnerParameters, kind: TrialKind) -> None:
    trial = _trial(parameters, kind)
    for side in SIDES:
        knee = np.degrees(trial.angles.find("knee_flexion", side).raw_rad)
        hip = np.degrees(trial.angles.find("hip_flexion", side).ref_rad)
        ankle = np.degrees(trial.angles.find("ankle_dorsiflexion", side).ref_rad)
        assert knee.min() > 0.0
        assert knee.max() < 130.0
        assert -25.0 < hip.min() < hip.max() < 70.0
        assert -60.0 < ankle.min() < ankle.max() < 45.0
    heights = trial.landmarks.xyz_m[..., 1]
    # Stickers may sit 8 mm off their place.
    assert trial.anatomy.xyz_m[..., 1].min() > -0.001
    assert heights.max() < 1.85
    assert np.abs(trial.landmarks.xyz_m[..., 2]).max() < 0.6


@pytest.mark.slow
@pytest.mark.parametrize("strike", list(Strike))
def test_strike_type_is_what_was_asked(strike: Strike) -> None:
    """Foot pitch at strike by Altman & Davis: above 8 deg rearfoot, below -1.6 deg forefoot."""
    trial = _trial(RunnerParameters(strike=strike, variability=NO_VARIABILITY), rate_hz=500.0)
    pitch = trial.angles.find("foot_pitch", Side.RIGHT)
    strikes = np.array(trial.events.times_s(EventKind.FOOT_STRIKE, Side.RIGHT)) if trial.events else np.empty(0)
    degrees = np.degrees(np.interp(strikes, trial.landmarks.times_s, pitch.ref_rad))
    limits = {Strike.REAR: (8.0, 20.0), Strike.MID: (-1.6, 8.0), Strike.FORE: (-15.0, -1.6)}[strike]
    assert limits[0] < degrees.min() <= degrees.max() < limits[1]


@pytest.mark.slow
def test_published_figures_are_met() -> None:
    """Cadence 162 / 171 / 183 steps/min and duty factor 39.4 / 34.8 / 32.8 % at 2.5 / 3.5 / 4.5 m/s (Fukuchi 2017)."""
    for speed, cadence, duty in ((2.5, 162, 39.4), (3.5, 171, 34.8), (4.5, 183, 32.8)):
        trial = _trial(RunnerParameters(speed_mps=speed, variability=NO_VARIABILITY))
        assert 60 * trial.metric("cadence", Side.BOTH).mean == pytest.approx(cadence, abs=2.5)
        assert 100 * trial.metric("duty_factor", Side.LEFT).mean == pytest.approx(duty, abs=0.5)
        # 77 ± 12 mm (Malisoux 2023), 17.8 ± 4.0 deg knee flexion at strike (Heiderscheit 2011)
        assert 50 < 1000 * trial.metric("vertical_oscillation", Side.BOTH).mean < 92
        assert 12 < math.degrees(trial.metric("knee_flex_at_fs", Side.LEFT).mean) < 24


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "metric", "scale", "expected"),
    [
        (lambda p: replace(p, pelvis_rotation_rom_rad=math.radians(17.0)), "pelvis_rot_rom", 180 / math.pi, 17.0),
        (lambda p: replace(p, cadence_hz=3.0), "cadence", 60.0, 180.0),
        (lambda p: replace(p, vertical_oscillation_m=0.085), "vertical_oscillation_pelvis", 1000.0, 85.0),
        (lambda p: replace(p, vertical_oscillation_m=0.055), "vertical_oscillation_pelvis", 1000.0, 55.0),
    ],
)
def test_parameters_reach_the_truth(
    change: Callable[[RunnerParameters], RunnerParameters], metric: str, scale: float, expected: float
) -> None:
    trial = _trial(change(RunnerParameters(variability=NO_VARIABILITY, anatomy=Anatomy.REGRESSION)))
    assert scale * trial.metric(metric, Side.BOTH).mean == pytest.approx(expected, rel=0.06)


@pytest.mark.slow
def test_trunk_lean_moves_by_what_was_asked() -> None:
    lean = [
        math.degrees(
            _trial(RunnerParameters(variability=NO_VARIABILITY, trunk_lean_rad=math.radians(a)))
            .metric("trunk_lean_stance_mean", Side.LEFT)
            .mean
        )
        for a in (4.0, 10.0)
    ]
    # The trunk line runs through a lumbar spine that takes part of the lean.
    assert 3.0 < lean[1] - lean[0] < 6.5


def test_static_is_quiet_and_neutral() -> None:
    trial = _trial(kind=TrialKind.STATIC)
    assert trial.events is None
    assert trial.metrics == ()
    speed = np.linalg.norm(np.diff(trial.landmarks.xyz_m, axis=0), axis=-1) * trial.landmarks.rate_hz
    assert 1e-4 < speed.max() < 0.03
    for series in trial.angles.series:
        if np.isfinite(series.ref_rad).all():
            assert np.abs(np.degrees(series.ref_rad)).max() < 0.6
            assert abs(np.degrees(np.median(series.ref_rad))) < 0.05


def test_other_is_no_gait() -> None:
    trial = _trial(kind=TrialKind.OTHER, seconds=8.0)
    assert trial.events is None
    assert trial.strides == ()
    bend = np.degrees(trial.angles.find("lumbar_bending", Side.BOTH).raw_rad)
    assert np.ptp(bend) > 5.0
    assert np.degrees(trial.angles.find("knee_flexion", Side.LEFT).raw_rad).min() >= -1e-9


@pytest.mark.slow
def test_seeds_decide_body_capture_and_stickers() -> None:
    first, again = (make_trial(RunnerParameters(), seconds=2.0, seed=4, visit_seed=7) for _ in range(2))
    assert np.array_equal(first.landmarks.xyz_m, again.landmarks.xyz_m)
    other_visit = make_trial(RunnerParameters(), seconds=2.0, seed=4, visit_seed=8)
    assert np.array_equal(first.anatomy.xyz_m, other_visit.anatomy.xyz_m)
    moved = np.linalg.norm(first.landmarks.xyz_m - first.anatomy.xyz_m, axis=-1)
    assert 0.003 - 1e-9 <= moved.min() <= moved.max() <= 0.008 + 1e-9
    assert np.linalg.norm(other_visit.landmarks.xyz_m - first.landmarks.xyz_m, axis=-1).min() > 1e-5
    stranger = make_trial(RunnerParameters(), seconds=2.0, seed=5, visit_seed=7)
    assert np.abs(stranger.anatomy.xyz_m - first.anatomy.xyz_m).max() > 0.005


def test_speeds_that_nobody_runs_or_walks_are_refused() -> None:
    with pytest.raises(InputError, match="no running speed"):
        make_trial(RunnerParameters(speed_mps=1.3), kind=TrialKind.RUN, seconds=2.0)
    with pytest.raises(InputError, match="no walking speed"):
        make_trial(RunnerParameters(speed_mps=3.0), kind=TrialKind.WALK, seconds=2.0)
    with pytest.raises(InputError, match="9 m/s"):
        RunnerParameters(speed_mps=9.0)
    with pytest.raises(InputError, match="no frames"):
        make_trial(RunnerParameters(), seconds=0.0)
    with pytest.raises(InputError, match="hip extension"):
        make_trial(RunnerParameters(hip_extension_cap_rad=math.radians(-45.0)), seconds=2.0)
