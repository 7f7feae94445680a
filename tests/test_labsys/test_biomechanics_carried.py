"""Landmarks that a trial never shows: carried from the static, said, and counted in quality."""

from __future__ import annotations

import numpy as np
import pytest

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.cast import carry_clusters
from labsys.biomechanics.points import BodyPoints, name_roles
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import METRICS
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import default_error_table
from labsys.core.motion import Metric, MotionResult, Quality
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side
from pipelines.synthetic.parameters import Anatomy, RunnerParameters
from pipelines.synthetic.trial import SyntheticTrial, make_trial


def _trial(kind: TrialKind, seconds: float) -> SyntheticTrial:
    parameters = RunnerParameters(anatomy=Anatomy.REGRESSION)
    return make_trial(parameters, kind=kind, seconds=seconds, rate_hz=100.0, seed=4, visit_seed=4)


@pytest.fixture(scope="module")
def run() -> SyntheticTrial:
    return _trial(TrialKind.RUN, 25.0)


@pytest.fixture(scope="module")
def still() -> Landmarks3D:
    return _trial(TrialKind.STATIC, 3.0).anatomy


def _without(landmarks: Landmarks3D, *names: str) -> Landmarks3D:
    xyz = landmarks.xyz_m.copy()
    xyz[:, [landmarks.index(n) for n in names]] = np.nan
    return Landmarks3D.from_positions(landmarks.landmarks, landmarks.times_s, xyz)


def _analyse(trial: Landmarks3D, still: Landmarks3D) -> MotionResult:
    return analyse_motion(
        trial,
        static=still,
        kind=TrialKind.RUN,
        surface=Surface.TREADMILL,
        declared_speed_mps=3.0,
        heading_known=True,
        settings=AnalysisSettings(),
        errors=default_error_table(tuple(m.id for m in METRICS)),
        leg_length_m=None,
    )


def _metric(result: MotionResult, metric_id: str, side: Side) -> Metric:
    return next(m for m in result.metrics if (m.id, m.side) == (metric_id, side))


def test_a_carried_landmark_is_named_and_makes_what_rests_on_it_indicative(
    run: SyntheticTrial, still: Landmarks3D
) -> None:
    result = _analyse(_without(run.anatomy, "RASIS"), still)
    assert "RASIS not found in this trial: carried from the static trial" in result.notes["carried"]
    sacrum = _analyse(_without(run.anatomy, "S3"), still)
    assert "carried" not in sacrum.notes, "no angle rests on S3"
    assert Quality.INDICATIVE not in {_metric(sacrum, "hip_sagittal_rom", s).quality for s in (Side.LEFT, Side.RIGHT)}
    for side in (Side.LEFT, Side.RIGHT):
        found = _metric(result, "hip_sagittal_rom", side)
        assert found.quality is Quality.INDICATIVE
        assert np.rad2deg(found.mean) == pytest.approx(np.rad2deg(run.metric("hip_sagittal_rom", side).mean), abs=2.0)
    assert result.n_strides(Side.RIGHT) > 5, "strides are not lost by what the static carries throughout"


def _points(still: Landmarks3D, *, without: tuple[str, ...], back_m: float) -> tuple[BodyPoints, BodyPoints]:
    """A subject who does not move but for L5, and the static; positions of the first frame."""
    first = name_roles(Landmarks3D.from_positions(still.landmarks, still.times_s[:1], still.xyz_m[:1]))
    tracks = {r: t.copy() for r, t in first.tracks.items() if r not in without}
    tracks["L5"] = tracks["L5"] + np.array([back_m, 0.0, 0.0])
    return BodyPoints(first.times_s, tracks, {r: np.zeros(1) for r in tracks}), first


def test_the_back_does_not_move_the_pelvis_unless_the_pelvis_alone_is_too_few(still: Landmarks3D) -> None:
    points, static = _points(still, without=("RASIS",), back_m=0.01)
    carried = carry_clusters(points, static, residual_max_m=0.008)
    assert np.allclose(carried["RASIS"], static["RASIS"], atol=1e-9)
    assert carried.carried == {"RASIS"}
    assert carried.filled["RASIS"].all()
    points, static = _points(still, without=("RASIS", "LASIS", "S3"), back_m=0.0)
    assert np.allclose(carry_clusters(points, static, residual_max_m=0.008)["LASIS"], static["LASIS"], atol=1e-9)


def test_no_strides_that_count_are_explained(run: SyntheticTrial, still: Landmarks3D) -> None:
    n = 420
    short = Landmarks3D.from_positions(run.anatomy.landmarks, run.anatomy.times_s[:n], run.anatomy.xyz_m[:n])
    result = _analyse(short, still)
    assert result.n_strides(Side.LEFT) == 0
    n_found = sum(s.side is Side.LEFT for s in result.strides)
    assert n_found > 0
    assert f"0 left ({n_found} found, 5 first and 2 last per side are left out" in result.notes["strides"]
