"""What each metric rests on, and how much of that was filled in: stated with the metric, by the rule for strides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.contributions import Contributions, find_contributions
from labsys.biomechanics.kinematics import joint_angles
from labsys.biomechanics.metric_source import Circumstances, make_source
from labsys.biomechanics.metrics import RULES, metric_values
from labsys.biomechanics.preparation import Prepared, prepare_points
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.strides import strides_of
from labsys.biomechanics.treadmill import Travel, find_travel
from labsys.core.catalogue import METRICS
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import default_error_table
from labsys.core.motion import Metric, MotionResult, Stride
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side
from pipelines.synthetic.parameters import Anatomy, RunnerParameters
from pipelines.synthetic.trial import SyntheticTrial, make_trial

pytestmark = pytest.mark.slow

UNFILTERED = AnalysisSettings(filter_enabled=False)
Key = tuple[str, Side]
TIMES = frozenset({"contact_time", "flight_time", "duty_factor", "step_time", "stride_time", "cadence"})
PELVIS = {"RASIS", "LASIS", "RPSIS", "LPSIS"}
# One way in which the hip, knee and foot can be seen per set: as keypoints, by trochanters, without medial points, …
KEYPOINTS = {"GT": "Hip", "LFE": "Knee", "LM": "Ankle", "AC": "Shoulder", "ELB": "Elbow", "WRI": "Wrist"}
LESS = {
    "whole": (),
    "no_medial_points": ("RMFE", "LMFE", "RMM", "LMM", "RMT1", "LMT1"),
    "no_pelvis": ("RASIS", "LASIS", "IJ", "XP"),
    "no_neck": ("C7", "IJ"),
}


def _trial(kind: TrialKind, seconds: float) -> SyntheticTrial:
    parameters = RunnerParameters(anatomy=Anatomy.REGRESSION)
    return make_trial(parameters, kind=kind, seconds=seconds, rate_hz=100.0, seed=4, visit_seed=4)


@pytest.fixture(scope="module")
def run() -> Landmarks3D:
    return _trial(TrialKind.RUN, 28.0).anatomy


@pytest.fixture(scope="module")
def still() -> Landmarks3D:
    return _trial(TrialKind.STATIC, 3.0).anatomy


def _analyse(trial: Landmarks3D, still: Landmarks3D | None) -> MotionResult:
    return analyse_motion(
        trial,
        static=still,
        kind=TrialKind.RUN,
        surface=Surface.TREADMILL,
        declared_speed_mps=3.0,
        heading_known=True,
        # Outliers are filled in as well, and the search for them finds a few samples of clean motion.
        settings=UNFILTERED,
        errors=default_error_table(tuple(m.id for m in METRICS)),
        leg_length_m=None,
    )


@pytest.fixture(scope="module")
def strides_found(run: Landmarks3D, still: Landmarks3D) -> tuple[Stride, ...]:
    return _analyse(run, still).strides


def _known(result: MotionResult) -> dict[Key, Metric]:
    return {(m.id, m.side): m for m in result.metrics if m.n}


def _hide(landmarks: Landmarks3D, name: str, frames: np.ndarray) -> Landmarks3D:
    xyz = landmarks.xyz_m.copy()
    xyz[frames, landmarks.index(name)] = np.nan
    return replace(landmarks, xyz_m=xyz)


def _frames(result: MotionResult, side: Side) -> np.ndarray:
    """Frames of the strides of a side that count."""
    times = result.angles.times_s
    own = [s for s in result.strides if s.valid and s.side is side]
    return np.any([(times >= s.foot_strike_s) & (times <= s.next_foot_strike_s) for s in own], axis=0)


def test_without_gaps_nothing_was_filled_in(run: Landmarks3D, still: Landmarks3D) -> None:
    metrics = _analyse(run, still).metrics
    assert {m.interpolated_share for m in metrics if m.n} == {0.0}
    assert all(math.isnan(m.interpolated_share) for m in metrics if not m.n)


def test_the_share_is_that_of_the_samples_that_were_missing(run: Landmarks3D) -> None:
    """One frame of C7 in every 25, none of anything else; without a static no cluster fills it."""
    hidden = np.arange(10, run.times_s.size, 25)
    result = _analyse(_hide(run, "C7", hidden), None)
    found = _known(result)
    gaps = np.isin(np.arange(run.times_s.size), hidden)
    for side in (Side.LEFT, Side.RIGHT):
        inside = _frames(result, side)
        of_c7 = gaps[inside].mean()
        assert of_c7 == pytest.approx(0.04, abs=0.004)
        lean = found["trunk_lean_stance_mean", side]
        assert lean.interpolated_share == pytest.approx(of_c7 / 5.0), "C7 and the pelvis that the hips are placed by"
        assert found["body_lean_ankle", side].interpolated_share == pytest.approx(of_c7 / 7.0), "two of the ankle, too"
        assert found["hip_sagittal_rom", side].interpolated_share == 0.0
        assert found["contact_time", side].interpolated_share == 0.0
    right = gaps[_frames(result, Side.RIGHT)].mean()
    assert found["lumbar_ext_rom", Side.BOTH].interpolated_share == pytest.approx(right / 8.0)
    assert found["lumbar_ext_rom_drift", Side.BOTH].interpolated_share == pytest.approx(right / 8.0)
    assert found["lumbar_extension_curve_sd", Side.BOTH].interpolated_share == pytest.approx(right / 8.0)
    lean = [found["body_lean_ankle", s].interpolated_share for s in (Side.LEFT, Side.RIGHT)]
    assert found["body_lean_ankle_asym", Side.BOTH].interpolated_share == pytest.approx(np.mean(lean))


def test_a_metric_that_no_stride_gives_names_what_was_missing(run: Landmarks3D, still: Landmarks3D) -> None:
    """A wrist that is away too long to be filled in, several times a stride, takes the centre of mass with it."""
    hidden = np.arange(run.times_s.size) % 30 < 15
    metrics = {(m.id, m.side): m for m in _analyse(_hide(run, "RWRI", hidden), still).metrics}
    of_mass = metrics["vertical_oscillation", Side.BOTH]
    assert of_mass.n == 0
    assert of_mass.reason in {f"missing in part of every stride: RWRI ({n} % of the time)" for n in (49, 50, 51)}
    assert metrics["vertical_oscillation_pelvis", Side.BOTH].n > 10


def test_what_reconstruction_filled_in_counts_too(run: Landmarks3D, still: Landmarks3D) -> None:
    flags = run.interpolated.copy()
    flags[:, run.index("RLFE")] = np.arange(run.times_s.size) % 10 == 0
    result = _analyse(replace(run, interpolated=flags), still)
    found = _known(result)
    share = (np.arange(run.times_s.size) % 10 == 0)[_frames(result, Side.RIGHT)].mean()
    assert found["thigh_ext_vertical_peak", Side.RIGHT].interpolated_share == pytest.approx(share / 6.0)
    assert found["thigh_ext_vertical_peak", Side.LEFT].interpolated_share == 0.0


def test_exclusion_goes_by_the_same_share(run: Landmarks3D, still: Landmarks3D) -> None:
    """Of the trunk's six landmarks one: just below and just above a tenth of their samples."""
    for share, counts in ((0.5, True), (0.7, False)):
        flags = run.interpolated.copy()
        flags[:, run.index("C7")] = np.arange(run.times_s.size) % 10 < 10 * share
        assert (share / 6.0 <= UNFILTERED.max_interpolated_share) is counts
        result = _analyse(replace(run, interpolated=flags), still)
        assert (result.n_strides(Side.RIGHT) > 3) is counts
        if counts:
            found = _known(result)["trunk_lean_stance_mean", Side.RIGHT].interpolated_share
            assert found == pytest.approx(share / 5.0, abs=0.01)


def _as_keypoints(landmarks: Landmarks3D) -> Landmarks3D:
    """A subject as a network for keypoints sees it: hips, knees and ankles as points, heels and toes."""
    kept = [n for n in landmarks.landmarks if n[1:] in KEYPOINTS or n[1:] in ("HEEL", "TOE", "MT5") or n == "HEAD"]
    names = tuple(n[0] + KEYPOINTS[n[1:]] if n[1:] in KEYPOINTS else n for n in kept)
    xyz = landmarks.xyz_m[:, [landmarks.index(n) for n in kept]]
    return Landmarks3D.from_positions(names, landmarks.times_s, xyz)


def _without(landmarks: Landmarks3D, *names: str) -> Landmarks3D:
    kept = [n for n in landmarks.landmarks if n not in names]
    return Landmarks3D.from_positions(
        tuple(kept), landmarks.times_s, landmarks.xyz_m[:, [landmarks.index(n) for n in kept]]
    )


def _travel(trial: Landmarks3D, still: Landmarks3D | None) -> Travel:
    prepared = prepare_points(trial, still, UNFILTERED)
    return find_travel(prepared, declared=Surface.TREADMILL, heading_known=True)


def _values(travel: Travel, prepared: Prepared, strides: tuple[Stride, ...]) -> dict[Key, np.ndarray]:
    moved = replace(travel, prepared=prepared)
    source = make_source(moved, joint_angles(prepared), Circumstances(TrialKind.RUN, "", 1.8))
    return {(v.id, v.side): v.values for v in metric_values(source, strides)[0]}


def _contributions(travel: Travel) -> Contributions:
    source = make_source(travel, joint_angles(travel.prepared), Circumstances(TrialKind.RUN, "", 1.8))
    return find_contributions(travel.prepared, source)


def _changed(a: np.ndarray, b: np.ndarray) -> bool:
    return a.size != b.size or not np.allclose(a, b, rtol=0.0, atol=1e-7)


@pytest.mark.parametrize(
    ("without", "referenced"),
    [("whole", True), ("no_medial_points", False), ("no_pelvis", True), ("no_neck", False), ("keypoints", True)],
)
def test_a_landmark_contributes_where_moving_it_changes_the_metric(
    without: str, referenced: bool, strides_found: tuple[Stride, ...], run: Landmarks3D, still: Landmarks3D
) -> None:
    """The law behind the share: of events that stay, exactly the landmarks that are named move a metric's values."""
    less = _as_keypoints if without == "keypoints" else lambda landmarks: _without(landmarks, *LESS[without])
    static = less(still) if referenced else None
    few = slice(1000, 1400)
    part = Landmarks3D.from_positions(run.landmarks, run.times_s[few], run.xyz_m[few])
    strides = tuple(
        s
        for s in strides_found
        if s.valid and s.foot_strike_s > part.times_s[0] and s.next_foot_strike_s < part.times_s[-1]
    )
    travel = _travel(less(part), static)
    base, named = _values(travel, travel.prepared, strides), _contributions(travel)
    rng = np.random.default_rng(8)
    moves: dict[Key, set[str]] = {key: set() for key in base}
    for role, track in travel.prepared.points.tracks.items():
        noise = rng.normal(scale=0.005, size=track.shape)
        points = travel.prepared.points.with_tracks({**travel.prepared.points.tracks, role: track + noise})
        found = _values(travel, replace(travel.prepared, points=points), strides)
        for key, values in base.items():
            if _changed(found[key], values):
                moves[key].add(role)
    moved = {key: roles for key, roles in moves.items() if key[0] not in TIMES and base[key].size}
    assert len(moved) > 20
    read_over = {side: strides_of(strides, side)[0].side for side in Side}
    assert {(m, side): named.metric_roles(m, side, read_over[side]) for m, side in moved} == moved


def test_times_rest_on_what_events_are_found_on(run: Landmarks3D, still: Landmarks3D) -> None:
    named = _contributions(_travel(run, still))
    foot = {"HEEL", "MT5", "MT1", "TOE", "LM"}
    right, left = ({f"{s}{n}" for n in foot} for s in "RL")
    assert set(RULES) >= TIMES
    assert named.metric_roles("contact_time", Side.RIGHT, Side.RIGHT) == right
    assert named.metric_roles("flight_time", Side.LEFT, Side.LEFT) == right | left
    assert named.metric_roles("cadence", Side.BOTH, Side.LEFT) == left
    overground = replace(named, overground=True)
    assert overground.metric_roles("speed", Side.BOTH, Side.RIGHT) == PELVIS
