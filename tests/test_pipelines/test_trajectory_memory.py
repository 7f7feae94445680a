"""A long trial: the solve's room to work in does not grow with it, and its parts are laid out as the whole is."""

from __future__ import annotations

import tracemalloc
from dataclasses import fields

import numpy as np
import pytest

from benchmarks.scenes import Scene, moving_body, observe, ring_rig
from calibration.trajectory import correlation, sections
from calibration.trajectory.sample import Observed
from calibration.trajectory.spread import RobustSums
from calibration.trajectory.trajectory import Trajectory, solve_trajectory
from calibration.triangulation.triangulate import Triangulation, triangulate_robust

RATE_HZ = 100.0
CHAIN = tuple((i, i + 1) for i in range(5))


def _scene(n_frames: int) -> Scene:
    truth = moving_body(n_frames, 6, rate_hz=RATE_HZ, seed=3)
    return observe(ring_rig(4), truth, sigma_px=1.0, outliers=0.05, missing=0.1, seed=4)


def _solve(scene: Scene, start: Triangulation | None = None) -> Trajectory:
    start = start or triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    return solve_trajectory(scene.rig, scene.xy_px, scene.confidence, start, bones=CHAIN, rate_hz=RATE_HZ)


def _size(found: Trajectory) -> int:
    arrays = (getattr(found, field.name) for field in fields(found))
    return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))


def _room_to_work_in(n_frames: int) -> tuple[int, int]:
    """Bytes that a solve takes at most beyond its input, its results and one number per point; and its sections."""
    scene = _scene(n_frames)
    start = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    tracemalloc.start()
    try:
        found = _solve(scene, start)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak - _size(found) - 8 * scene.confidence[..., 0].size, found.report.sections


@pytest.mark.slow
def test_twice_the_sections_need_no_more_room_to_work_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "_SECTION_BYTES", 1.0)
    monkeypatch.setattr(correlation, "_MOST_FRAMES", 1000)
    _solve(_scene(20))  # what is compiled is loaded before memory is traced
    (short, n_short), (long, n_long) = (_room_to_work_in(n) for n in (4000, 8000))
    assert (n_short, n_long) == (4, 8)
    assert long < 1.05 * short
    assert short > 1e6  # it was counted at all


def test_a_part_is_laid_out_as_the_whole_is_wherever_a_point_is_to_be_found() -> None:
    rng = np.random.default_rng(5)
    xy, confidence = rng.normal(size=(60, 3, 2, 2)), rng.random((60, 3, 2))
    start = rng.normal(size=(60, 3, 3))
    start[rng.random((60, 3)) < 0.5] = np.nan
    xy[rng.random((60, 3, 2)) < 0.1] = np.nan
    trial = Observed(xy, confidence, start, min_confidence=0.2, max_gap=4)
    whole = trial.part(0, 60)
    assert 0 < (~whole.there).sum() < 90
    for first, last in ((0, 20), (7, 31), (33, 60), (59, 60)):
        part = trial.part(first, last)
        there = whole.there[first:last]
        assert (part.there == there).all()
        assert (part.pixels == whole.pixels[first:last]).all()
        assert (part.confidence == whole.confidence[first:last]).all()
        apart = (part.points != whole.points[first:last]).any(axis=1)
        assert not (apart & there).any()


def test_sums_over_parts_of_a_trial_give_the_factor_of_the_whole() -> None:
    distance = np.random.default_rng(6).chisquare(2.0, size=(300, 4))
    distance[::7, 1] = np.nan
    explained = np.full(distance.shape, 0.3)
    cuts = (slice(0, 50), slice(50, 51), slice(51, None))
    parts = [RobustSums.of(distance[cut], explained[cut], 3.0) for cut in cuts]
    whole = RobustSums.of(distance, explained, 3.0)
    assert (parts[0] + parts[1] + parts[2]).factor() == pytest.approx(whole.factor(), rel=1e-14)


def test_points_do_not_depend_on_how_pixels_lie_in_memory_nor_on_chunks() -> None:
    scene = _scene(3000)
    views = np.moveaxis(np.ascontiguousarray(np.moveaxis(scene.xy_px, 2, 1)), 1, 2)
    together = triangulate_robust(scene.rig, scene.xy_px, scene.confidence)
    strided = triangulate_robust(scene.rig, views, scene.confidence)
    flat = triangulate_robust(scene.rig, scene.xy_px.reshape(-1, 4, 2), scene.confidence.reshape(-1, 4))
    assert not views.flags.c_contiguous
    assert strided.xyz_m.tobytes() == together.xyz_m.tobytes() == flat.xyz_m.tobytes()
    assert strided.covariance_m2.tobytes() == together.covariance_m2.tobytes()
