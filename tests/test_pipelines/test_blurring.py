"""Blurring: what is left of a face, what stays untouched, and where heads are taken to be."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.projection import project
from labsys.core.arrays import FloatArray
from labsys.core.session import TrialKind
from labsys.storage.films import BlurredFaces
from pipelines.playback.blurring import blur_all, blur_discs
from pipelines.playback.faces_told import tell_blurred
from pipelines.playback.find_heads import heads_in
from pipelines.playback.heads import Heads, Sights, place_heads, size_of_metre, unknown_heads
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial

RATE_HZ = 60.0


def _picture(seed: int = 1, *, colours: bool = True) -> np.ndarray:
    shape = (120, 160, 3) if colours else (120, 160)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("colours", [True, False])
def test_nothing_but_the_circle_changes(colours: bool) -> None:
    picture = _picture(colours=colours)
    blurred = blur_discs(picture, np.array([[80.0, 50.0, 20.0], [np.nan, 1.0, 5.0]]))
    rows, columns = np.indices((120, 160))
    outside = (columns - 80) ** 2 + (rows - 50) ** 2 > 21.0**2
    assert (blurred[outside] == picture[outside]).all()
    inside = (columns - 80) ** 2 + (rows - 50) ** 2 <= 20.0**2
    assert (blurred[inside] != picture[inside]).mean() > 0.95
    assert (picture == _picture(colours=colours)).all(), "the picture that was given stays as it was"


def test_faces_that_differ_in_detail_come_out_equal() -> None:
    """What is averaged away cannot be brought back: 27 numbers are left of a face, however sharp it was."""
    face, other = np.full((120, 160, 3), 120, np.uint8), np.full((120, 160, 3), 120, np.uint8)
    # Eyes and a mouth on one, the same light spread over the squares on the other.
    detail = np.kron(np.array([[60, -60], [-60, 60]]), np.ones((7, 7), dtype=int))
    face[30:72, 59:101] += np.tile(detail, (3, 3))[..., None].astype(np.uint8)
    disc = np.array([[79.5, 50.5, 20.5]])
    rows, columns = np.indices((120, 160))
    inside = (columns - 79.5) ** 2 + (rows - 50.5) ** 2 <= 20.5**2
    assert (face[inside] != other[inside]).all()
    assert (blur_discs(face, disc)[inside] == blur_discs(other, disc)[inside]).all()
    assert np.linalg.matrix_rank(blur_discs(_picture(colours=False), disc)[40:60, 70:90].astype(float), tol=12.0) <= 3


def test_circles_at_the_edge_and_outside_do_no_harm() -> None:
    picture = _picture()
    assert (blur_discs(picture, np.array([[-40.0, 50.0, 20.0], [80.0, 400.0, 9.0]])) == picture).all()
    corner = blur_discs(picture, np.array([[0.0, 0.0, 15.0]]))
    assert corner[:8, :8].std() < 0.2 * picture[:8, :8].std()
    assert (corner[20:, 20:] == picture[20:, 20:]).all()


def test_of_a_whole_picture_only_spots_are_left() -> None:
    assert blur_all(_picture()).std(axis=(0, 1)).max() < 12.0 < _picture().std(axis=(0, 1)).min()


def test_heads_of_a_runner_lie_inside_the_circles_of_every_camera() -> None:
    posed = make_trial(RunnerParameters(), kind=TrialKind.RUN, seconds=1.0, rate_hz=RATE_HZ, seed=3)
    rig, truth = make_rig(4, size_px=(640, 480)), posed.landmarks
    seen = observe(posed, rig, NoiseModel(sigma_px=2.0), 1)
    directions = np.random.default_rng(2).normal(size=(60, 3))
    sphere_m = 0.15 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    for c, camera in enumerate(rig.cameras):
        own = {name: seen.xy_px[:, c, k] for k, name in enumerate(seen.landmarks)}
        heads = heads_in(own, truth.times_s, camera, truth)
        assert heads.found.all()
        surface_px = project(camera, truth.point_m("HEAD")[:, None] + sphere_m)
        assert _covered(heads, surface_px).all()
        # Generous, but not the whole runner: the pelvis is never blurred.
        assert not _covered(heads, project(camera, truth.point_m("S3"))[:, None]).any()


def _covered(heads: Heads, points_px: FloatArray) -> np.ndarray:
    """(N, Q) whether each of a frame's points lies in one of its circles; those outside every lens are no matter."""
    off_px = np.linalg.norm(points_px[:, :, None] - heads.discs_px[:, None, :, :2], axis=3)
    inside = off_px <= heads.discs_px[:, None, :, 2]
    return np.asarray(inside.any(axis=2) | ~np.isfinite(points_px).all(axis=2))


def _track(at: tuple[float, float], n: int = 30) -> FloatArray:
    return np.tile(np.array(at), (n, 1))


def _placed(points: dict[str, FloatArray], *more: dict[str, FloatArray]) -> Heads:
    sights = [Sights(p) for p in (points, *more)]
    n = len(next(iter(points.values())))
    return place_heads(sights, np.full(n, 100.0), np.arange(n) / RATE_HZ)


def test_short_gaps_are_bridged_and_long_ones_counted() -> None:
    head, neck = _track((50.0, 40.0)), _track((50.0, 65.0))
    head[:, 0] += np.arange(30)
    head[5:9], head[15:25] = np.nan, np.nan  # 5 steps of 1/60 s, and 11
    found = _placed({"HEAD": head, "C7": neck})
    assert np.flatnonzero(~found.found).tolist() == list(range(15, 25))
    np.testing.assert_allclose(found.discs_px[7, 0], [57.0, 40.0, 22.0])
    assert not found.hidden.any()
    around = found.discs_px[20][np.isfinite(found.discs_px[20]).all(axis=1)]
    np.testing.assert_allclose(around, [[50.0, 65.0, 50.0]])  # wide enough for any head on this neck
    assert np.isnan(found.discs_px[0, 1]).all(), "where the head is known the shoulders stay in sight"
    bare = _placed({"HEAD": head})
    assert np.flatnonzero(bare.hidden).tolist() == list(range(15, 25))


def test_a_head_far_from_its_neck_is_none() -> None:
    head, neck = _track((50.0, 40.0)), _track((50.0, 65.0))
    head[10:20] = (140.0, 40.0)  # 0.9 m off: somebody who looks on
    found = _placed({"HEAD": head, "C7": neck})
    assert np.flatnonzero(~found.found).tolist() == list(range(10, 20))


def test_both_places_are_blurred_where_picture_and_space_differ() -> None:
    found = _placed({"HEAD": _track((50.0, 40.0))}, {"HEAD": _track((80.0, 40.0))})
    assert np.isfinite(found.discs_px).all()
    assert found.discs_px[0, :, 0].tolist() == [50.0, 80.0]


def test_every_landmark_of_a_face_counts_and_none_is_unknown() -> None:
    assert _placed({"LEar": _track((50.0, 40.0)), "RKnee": _track((50.0, 200.0))}).found.all()
    nothing = _placed({"RKnee": _track((50.0, 200.0))})
    assert (nothing.found.any(), nothing.hidden.all()) == (False, True)
    assert unknown_heads(3).hidden.tolist() == [True] * 3


def test_size_of_a_metre_comes_from_the_longest_segment() -> None:
    thigh = {"RHip": _track((0.0, 0.0)), "RKnee": _track((0.0, 36.0)), "RAnkle": _track((0.0, 50.0))}
    assert size_of_metre(thigh) == pytest.approx(100.0)
    assert np.isnan(size_of_metre({"Nose": _track((0.0, 0.0))}))
    assert np.isnan(size_of_metre({name: np.full((5, 2), np.nan) for name in thigh}))


def test_what_is_to_be_looked_at_is_said_first() -> None:
    assert tell_blurred(BlurredFaces(3600, 12, 3)) == (
        "Look before you share: in 12 of 3,600 pictures no face was found; 9 are blurred widely around neck and "
        "shoulders and 3 are blurred as a whole. In all others faces are blurred. Only the runner's face is looked "
        "for: other people in the pictures are not blurred."
    )
    assert tell_blurred(BlurredFaces(3600, 0, 0)).startswith("Faces are blurred. In each of 3,600 pictures")
