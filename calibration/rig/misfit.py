"""Why cameras contradict each other: one runs late by whole frames, or its picture is mirrored.

Both make every other check blame something else: a rig that is forced through such videos looks as if a camera had
moved or had another lens. So when a check refuses, this looks for them first. Two cameras that belong together see the
board in poses that give the same transform between them at every instant; how far the instants disagree is compared for
the videos as they are, shifted in time, and mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.board.detect import BoardCorners
from calibration.board.observations import BoardViews, collect_views
from calibration.rig.extrinsics import ViewPoses, find_view_poses, spread_of_pair
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import Intrinsics
from labsys.core.errors import GateRefusedError, InputError

_MOST_INSTANTS = 300
_COMPARED = 60  # instants of a pair that are compared with each other
_LEAST_SHARED = 8
_TRIES = 60  # lags to either side, then refined
_CLEARLY = 0.5  # the most that an explanation may leave of the disagreement of the camera with the others


@dataclass(frozen=True, eq=False)
class _Sightings:
    """One camera's board poses: (n,) frames ascending, (n, 3, 3), (n, 3) m."""

    frame: IntArray
    R: FloatArray
    t_m: FloatArray


def explain_misfit(corners: BoardCorners, lenses: tuple[Intrinsics, ...]) -> GateRefusedError | InputError | None:
    """The refusal that says why the cameras contradict each other; None when neither time nor mirroring explains it."""
    taken = _window(corners)
    seen = [_sight(taken, i, lens) for i, lens in enumerate(lenses)]
    if len(seen) < 2:
        return None
    apart = [_disagreement(seen, i, own, 0) for i, own in enumerate(seen)]
    # Who is wrong disagrees with all others, who is right with one; two are looked at, as two may be all there are.
    suspects = sorted(range(len(seen)), key=lambda i: -apart[i])[:2]
    mirrored = _find_mirrored(taken, lenses, seen, suspects)
    if mirrored is not None:
        return InputError(
            "the image is mirrored: only its mirror image fits what the other cameras see"
            + (" (of two cameras it cannot be told which one)" if len(seen) == 2 else ""),
            where=f"camera {mirrored}",
            remedy="Switch off mirror mode and record again",
        )
    return _find_late(taken, seen, suspects)


def _window(corners: BoardCorners) -> BoardCorners:
    """Neighbouring instants, at most 300, where most cameras saw the board."""
    count = len(corners.times_s)
    if count <= _MOST_INSTANTS:
        return corners
    shared = np.convolve(corners.has_board.sum(axis=1), np.ones(_MOST_INSTANTS), mode="valid")
    first = int(np.argmax(shared))
    index = np.arange(count)
    return corners.at_frames(np.asarray((index >= first) & (index < first + _MOST_INSTANTS), dtype=np.bool_))


def _sight(corners: BoardCorners, index: int, lens: Intrinsics) -> _Sightings:
    views: BoardViews = collect_views(corners.of_cameras((corners.cameras[index],)))
    poses: ViewPoses = find_view_poses(views, [lens])
    return _Sightings(views.frame[poses.found], poses.R_cam_board[poses.found], poses.t_cam_board_m[poses.found])


def _disagreement(seen: list[_Sightings], camera: int, own: _Sightings, lag: int) -> float:
    """How far the instants disagree about where the camera stands to each other one: 0 not at all, 2 wholly; mean."""
    spreads = []
    for other, theirs in enumerate(seen):
        if other == camera:
            continue
        _, at_own, at_other = np.intersect1d(own.frame - lag, theirs.frame, return_indices=True)
        if len(at_own) >= _LEAST_SHARED:
            some = np.linspace(0, len(at_own) - 1, min(len(at_own), _COMPARED)).round().astype(np.int64)
            a, b = at_own[some], at_other[some]
            spreads.append(spread_of_pair(own.R[a], own.t_m[a], theirs.R[b], theirs.t_m[b]))
    return float(np.mean(spreads)) if spreads else 2.0


def _find_mirrored(
    corners: BoardCorners, lenses: tuple[Intrinsics, ...], seen: list[_Sightings], suspects: list[int]
) -> str | None:
    best = (_CLEARLY, "")
    for i in suspects:
        before = _disagreement(seen, i, seen[i], 0)
        after = _disagreement(seen, i, _sight(_mirror(corners, i), i, lenses[i]), 0)
        if after < best[0] * before:
            best = (after / before, corners.cameras[i])
    return best[1] or None


def _mirror(corners: BoardCorners, index: int) -> BoardCorners:
    xy = corners.xy_px.copy()
    xy[:, index, :, 0] = corners.sizes_px[index][0] - 1 - xy[:, index, :, 0]
    return BoardCorners(corners.board, corners.cameras, corners.sizes_px, corners.times_s, xy)


def _find_late(corners: BoardCorners, seen: list[_Sightings], suspects: list[int]) -> GateRefusedError | None:
    """The camera whose video, shifted by whole frames, agrees clearly better with the others."""
    found = []
    for i in suspects:
        before = _disagreement(seen, i, seen[i], 0)
        lag, after = _best_lag(seen, i, len(corners.times_s))
        if lag != 0 and after < _CLEARLY * before:
            found.append((before - after, i, lag))
    if not found:
        return None
    _, camera, lag = max(found)
    period_s = float(np.median(np.diff(corners.times_s)))
    word = "behind" if lag > 0 else "ahead of"
    pair = "the other (of two cameras it cannot be told which one is right)" if len(seen) == 2 else "the others"
    return GateRefusedError(
        f"{corners.cameras[camera]} runs {1000 * abs(lag) * period_s:.0f} ms {word} {pair}, {abs(lag)} frame(s)",
        where=f"camera {corners.cameras[camera]}",
        remedy="Give --timestamps, or videos that begin at the same moment",
    )


def _best_lag(seen: list[_Sightings], camera: int, n_frames: int) -> tuple[int, float]:
    """Frames by which the camera's video is late, with the least disagreement left."""
    step = max(1, n_frames // 2 // _TRIES)
    tried = {
        lag: _disagreement(seen, camera, seen[camera], lag) for lag in range(-_TRIES * step, _TRIES * step + 1, step)
    }
    near = min(tried, key=lambda k: (tried[k], abs(k)))
    tried |= {lag: _disagreement(seen, camera, seen[camera], lag) for lag in range(near - step, near + step + 1)}
    best = min(tried, key=lambda k: (tried[k], abs(k)))
    return best, tried[best]
