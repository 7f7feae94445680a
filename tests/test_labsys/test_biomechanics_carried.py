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

pytestmark = pytest.mark.slow


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


def _grades(result: MotionResult) -> dict[tuple[str, Side], tuple[Quality, str | None]]:
    return {(m.id, m.side): (m.quality, m.reason) for m in result.metrics if m.n}


@pytest.fixture(scope="module")
def usual(run: SyntheticTrial, still: Landmarks3D) -> dict[tuple[str, Side], tuple[Quality, str | None]]:
    return _grades(_analyse(run.anatomy, still))


def test_nothing_carried_gives_no_reason(usual: dict[tuple[str, Side], tuple[Quality, str | None]]) -> None:
    assert {reason for _, reason in usual.values()} == {None}


def test_a_carried_thorax_lowers_what_rests_on_it_and_nothing_else(
    run: SyntheticTrial, still: Landmarks3D, usual: dict[tuple[str, Side], tuple[Quality, str | None]]
) -> None:
    found = _grades(_analyse(_without(run.anatomy, "XP"), still))
    why = "XP not found in this trial: carried from the static trial by the rest of the thorax"
    lowered = {key for key, (_, reason) in found.items() if reason == why}
    for metric in ("lumbar_ext_rom", "lumbar_ext_peak", "lumbar_extension_curve_sd"):
        assert usual[metric, Side.BOTH][0] is Quality.OK
        assert found[metric, Side.BOTH] == (Quality.LOW, why)
    assert found["lumbar_ext_at_peak_hip_ext_asym", Side.BOTH] == (Quality.LOW, why)
    assert found["lhci_dyn", Side.LEFT] == (Quality.LOW, why)
    assert {key[0].partition("_")[0] for key in lowered} <= {"lumbar", "lhci", "lean"}
    assert {key: found[key] for key in found if key not in lowered} == {k: usual[k] for k in found if k not in lowered}


def test_a_carried_foot_lowers_its_own_side(
    run: SyntheticTrial, still: Landmarks3D, usual: dict[tuple[str, Side], tuple[Quality, str | None]]
) -> None:
    found = _grades(_analyse(_without(run.anatomy, "RMT1"), still))
    why = "RMT1 not found in this trial: carried from the static trial by the rest of the right foot"
    for metric in ("ankle_df_peak_stance", "contact_time"):
        assert usual[metric, Side.RIGHT][0] is Quality.OK
        assert found[metric, Side.RIGHT] == (Quality.LOW, why)
        assert found[metric, Side.LEFT] == usual[metric, Side.LEFT]
        assert found[f"{metric}_asym", Side.BOTH] == (Quality.LOW, why)
    assert {found["flight_time", s] for s in (Side.LEFT, Side.RIGHT)} == {(Quality.LOW, why)}
    for metric in ("hip_sagittal_rom", "foot_angle_at_fs", "knee_flex_peak_stance"):
        assert found[metric, Side.RIGHT] == usual[metric, Side.RIGHT]


def _with_thigh_markers(landmarks: Landmarks3D) -> Landmarks3D:
    """Three markers that the thigh carries, off its line."""
    a, b, c = (landmarks.point_m(n) for n in ("RGT", "RLFE", "RMFE"))
    markers = [0.5 * (a + b), 0.5 * (b + c), 0.7 * a + 0.3 * c]
    xyz = np.concatenate([landmarks.xyz_m, np.stack(markers, axis=1)], axis=1)
    return Landmarks3D.from_positions((*landmarks.landmarks, "RTH1", "RTH2", "RTH3"), landmarks.times_s, xyz)


def test_markers_of_a_thigh_are_there_to_carry_it(
    run: SyntheticTrial, still: Landmarks3D, usual: dict[tuple[str, Side], tuple[Quality, str | None]]
) -> None:
    result = _analyse(_without(_with_thigh_markers(run.anatomy), "RMFE"), _with_thigh_markers(still))
    assert "RMFE" in result.notes["carried"]
    assert _grades(result)["hip_sagittal_rom", Side.RIGHT] == usual["hip_sagittal_rom", Side.RIGHT]


def test_a_carried_pelvis_is_said_beside_every_metric_but_times(run: SyntheticTrial, still: Landmarks3D) -> None:
    found = _grades(_analyse(_without(run.anatomy, "RASIS"), still))
    why = "RASIS not found in this trial: carried from the static trial by the rest of the pelvis"
    assert found["hip_sagittal_rom", Side.RIGHT] == (Quality.INDICATIVE, why)
    assert found["pelvis_tilt_curve_sd", Side.BOTH] == (Quality.INDICATIVE, why)
    assert found["contact_time", Side.RIGHT][1] is None


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
