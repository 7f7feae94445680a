"""How much later than its clock says each camera looks, read from the body's own motion.

A camera that looks later sees every landmark further along its path. With points triangulated from all cameras, what
remains in the image along the landmark's velocity is the offset; the points are eliminated, so that an error of time is
not hidden in them (Gauss-Newton, robust). Moments are drawn at random: on the grid of the frames, tracks are smoothest
half way between two, and offsets would be drawn there (Albl et al. 2017, doi:10.1109/CVPR.2017.296, for the problem).
The first camera is the gauge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration.projection import project_rig
from calibration.triangulation.triangulate import RobustSettings, triangulate_robust
from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.cameras import CameraRig
from labsys.core.frame_clock import CameraClocks, FrameClock
from labsys.storage.exchange.tracks import CameraTrack
from pipelines.retiming.interpolate import carry_track
from pipelines.retiming.search import search_offsets
from pipelines.retiming.smooth import HALF_WINDOW_S, SmoothTrack

_N_MOMENTS = 600
_TURNS = 15
_SETTLED_S = 1e-5
_LEAP_EVERY = 4
_SLOWEST = 0.9  # ratio of one step to the one before that is still extrapolated
_STEP_M = 1e-3
_MIN_SPAN_FOR_DRIFT_S = 5.0
_BLOCK_S = 0.5
_MAX_ERROR_PX = 40.0  # offsets of a frame move the image of a foot by 20 px
_BELIEVED_TIMES = 6.0
_LEAST_PX = 0.05
_CAUCHY = 2.0  # typical residuals at which an observation counts half
_MOVING_TIMES = 8.0
_FAINT = 1e-3  # px²/m², against 1e5 and more of a point that two cameras see
_COURSE_TURNS = 8
_COURSE_SETTLED_S = 1e-4
_CHUNKS = 2
_FAR_S = 0.02  # where a search of a part of the recording ends beyond this, the estimate begins there


@dataclass(frozen=True)
class CameraOffset:
    """What the landmarks say about one camera's clock, against the first camera's.

    Attributes:
        offset_s: it looks this much later than its clock says, in the middle of the recording; sd_s: standard error.
        drift: s/s, how fast that grows; drift_sd: standard error.
    """

    offset_s: float
    sd_s: float
    drift: float
    drift_sd: float


def estimate_offsets(
    tracks: Mapping[str, CameraTrack],
    clocks: CameraClocks,
    rig: CameraRig,
    *,
    min_confidence: float = 0.1,
    search: bool = True,
    seed: int = 0,
) -> dict[str, CameraOffset]:
    """Estimate every camera's offset and drift from the landmarks; infinite errors where nothing moves.

    Args:
        rig: the cameras of the tracks, in their order, calibrated.
        search: look up to a third of a stride to both sides first; without it offsets of up to about a frame are found.

    Raises:
        InputError: fewer than two cameras, or cameras that never ran together.
    """
    start_s, end_s = clocks.grid_s()[[0, -1]]
    smooth = [_smooth(tracks[n], clocks.clocks[n], min_confidence) for n in tracks]
    moments = np.sort(np.random.default_rng(seed).uniform(start_s, end_s, _N_MOMENTS))
    middle_s = 0.5 * (start_s + end_s)
    basis = _drift_basis(moments, middle_s, with_drift=end_s - start_s >= _MIN_SPAN_FOR_DRIFT_S)
    n_cameras = len(smooth)
    change = np.zeros((n_cameras, basis.shape[1]))
    if search:
        change[:, 0] = search_offsets(smooth, rig, moments)
    sd, step = np.full_like(change, math.inf), np.zeros_like(change)
    bound_px = _MAX_ERROR_PX
    for turn in range(_TURNS):
        last = step
        step, sd, typical_px = _turn(smooth, rig, moments, basis, change, bound_px)
        bound_px = _BELIEVED_TIMES * typical_px
        ahead = _still_ahead(step, last)
        change += step + (ahead if turn % _LEAP_EVERY == _LEAP_EVERY - 1 else 0.0)
        if np.abs(step[:, 0]).max() < _SETTLED_S:
            break
    sd = np.hypot(sd, ahead)
    scale = 1.0 / max(end_s - start_s, 1e-9)
    return {
        name: CameraOffset(
            float(change[i, 0]),
            float(sd[i, 0]),
            float(change[i, 1] * scale) if basis.shape[1] > 1 else 0.0,
            float(sd[i, 1] * scale) if basis.shape[1] > 1 else math.inf if i else 0.0,
        )
        for i, name in enumerate(tracks)
    }


def measure_course(
    tracks: Mapping[str, CameraTrack],
    clocks: CameraClocks,
    rig: CameraRig,
    offsets: Mapping[str, CameraOffset],
    edges_s: FloatArray,
    *,
    min_confidence: float = 0.1,
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """Every camera's offset in every part of the recording, (C, P) s, and its standard error; the first camera's 0.

    Args:
        offsets: of the recording as a whole, from which the parts set out.
        edges_s: (P + 1,) ascending, on the clocks' time.
    """
    smooth = [_smooth(tracks[n], clocks.clocks[n], min_confidence) for n in tracks]
    moments = np.sort(np.random.default_rng(seed).uniform(edges_s[0], edges_s[-1], _N_MOMENTS))
    part = np.clip(np.searchsorted(edges_s, moments, side="right") - 1, 0, edges_s.size - 2)
    basis = np.eye(edges_s.size - 1)[part]
    change = np.repeat(np.array([[offsets[n].offset_s] for n in tracks]), basis.shape[1], axis=1)
    for some in np.array_split(np.arange(_N_MOMENTS), _CHUNKS):
        found = search_offsets(smooth, rig, moments[some])
        far = np.abs(found - change[:, 0]) > _FAR_S
        change[np.ix_(far, np.unique(part[some]))] = found[far, None]
    bound_px = _MAX_ERROR_PX
    for _ in range(_COURSE_TURNS):
        step, sd, typical_px = _turn(smooth, rig, moments, basis, change, bound_px)
        bound_px = max(_BELIEVED_TIMES * typical_px, 0.5 * bound_px)
        change += step
        if np.quantile(np.abs(step), 0.9) < _COURSE_SETTLED_S:
            break
    return change, sd


def _still_ahead(step: FloatArray, last: FloatArray) -> FloatArray:
    """How far the steps still lead if each goes on to be as much smaller than the one before (Aitken 1926).

    Among outliers steps shrink slowly, as every turn believes a few more observations.
    """
    before = float((last[:, 0] ** 2).sum())
    ratio = float((step[:, 0] * last[:, 0]).sum()) / before if before > 0.0 else 0.0
    ratio = min(max(ratio, 0.0), _SLOWEST)
    return step * ratio / (1.0 - ratio)


def shift_clocks(clocks: CameraClocks, offsets: Mapping[str, CameraOffset]) -> CameraClocks:
    """The clocks with the offsets and drifts taken in."""
    start_s, end_s = clocks.grid_s()[[0, -1]]
    middle_s = 0.5 * (start_s + end_s)
    moved = {n: c.shifted(offsets[n].offset_s, offsets[n].drift, middle_s) for n, c in clocks.clocks.items()}
    return CameraClocks(moved, True, clocks.n_repeated, clocks.n_bad)


def _smooth(track: CameraTrack, clock: FrameClock, min_confidence: float) -> SmoothTrack:
    """Measurements without leaps, with short gaps closed."""
    xy, confidence, _ = carry_track(
        clock.times_s,
        track.xy_px,
        track.confidence,
        clock.measured,
        clock.times_s,
        period_s=clock.period_s,
        max_gap_frames=1,
        min_confidence=min_confidence,
    )
    rows = clock.measured
    return SmoothTrack(clock.times_s[rows], xy[rows], confidence[rows], clock.period_s)


def _drift_basis(moments: FloatArray, middle_s: float, *, with_drift: bool) -> FloatArray:
    """(Q, 1 or 2): 1, and time in lengths of the recording."""
    ones = np.ones((moments.size, 1))
    if not with_drift:
        return ones
    return np.column_stack([ones, (moments - middle_s) / max(moments[-1] - moments[0], 1e-9)])


def _turn(
    smooth: list[SmoothTrack],
    rig: CameraRig,
    moments: FloatArray,
    basis: FloatArray,
    change: FloatArray,
    bound_px: float,
) -> tuple[FloatArray, FloatArray, float]:
    """One step of every camera's offsets, (C, B), its standard error, and the median residual, px."""
    shift = basis @ change.T
    seen = [track.at(moments - shift[:, c]) for c, track in enumerate(smooth)]
    xy, velocity, confidence = (np.stack(parts, axis=2) for parts in zip(*seen, strict=True))
    found = triangulate_robust(rig, xy, confidence, settings=RobustSettings(max_error_px=bound_px))
    rows = np.argwhere(found.used.sum(axis=-1) >= 2)
    if not len(rows):
        return np.zeros_like(change), np.full_like(change, math.inf), bound_px
    q, k = rows.T
    used, image, slope = found.used[q, k], *_image_and_slope(rig, found.xyz_m[q, k])
    residual = np.where(used[..., None], xy[q, k] - image, 0.0)
    typical_px = max(float(np.median(np.linalg.norm(residual, axis=-1)[used])), _LEAST_PX)
    weight = _robust_weight(residual, used, typical_px) * confidence[q, k]
    moving = np.where(used[..., None], velocity[q, k], 0.0)
    matrix, right = _eliminate_points(slope, residual, moving, weight)
    step, sd = _solve(matrix, right, basis[q], (k, np.floor(moments[q] / _BLOCK_S).astype(np.int64)))
    sd[1:] *= _yielding(residual, moving, weight, confidence[q, k], typical_px)
    if np.quantile(np.linalg.norm(moving, axis=-1)[used], 0.9) < _MOVING_TIMES * typical_px / HALF_WINDOW_S:
        sd[1:] = math.inf  # what looks like motion may be noise, which would draw every offset to 0
    return step, sd, typical_px


def _image_and_slope(rig: CameraRig, xyz_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Images (N, C, 2) px and their slopes (N, C, 2, 3) px/m by central differences; 0 where there is no image."""
    slopes = [
        (project_rig(rig, xyz_m + step) - project_rig(rig, xyz_m - step)) / (2 * _STEP_M)
        for step in _STEP_M * np.eye(3)
    ]
    return np.nan_to_num(project_rig(rig, xyz_m)), np.nan_to_num(np.stack(slopes, axis=-1))


def _robust_weight(residual: FloatArray, used: BoolArray, scale_px: float) -> FloatArray:
    """(N, C) Cauchy weights against a typical residual; 0 for cameras not used."""
    size = np.linalg.norm(residual, axis=-1)
    return np.asarray(np.where(used, 1.0 / (1.0 + (size / (_CAUCHY * scale_px)) ** 2), 0.0), dtype=np.float64)


def _yielding(
    residual: FloatArray, moving: FloatArray, weight: FloatArray, confidence: FloatArray, scale_px: float
) -> float:
    """By how much a robust estimate's standard error exceeds that of its last weighted least squares, 1 or more.

    Large residuals pull less the larger they get, so an offset changes the pull by less than the weights say
    (Huber, Robust Statistics, 1981, section 6.3: the slope of the pull, not the weight).
    """
    pull = weight * (moving**2).sum(axis=-1)
    robust = weight / np.where(confidence > 0.0, confidence, 1.0)
    less = 2.0 * weight * robust * (residual * moving).sum(axis=-1) ** 2 / (_CAUCHY * scale_px) ** 2
    slope = float((pull - less).sum())
    return max(1.0, float(pull.sum()) / slope) if slope > 0.0 else math.inf


def _eliminate_points(
    slope: FloatArray, residual: FloatArray, moving: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Normal equations of the offsets per point, (N, C, C) and (N, C), with the point's own position taken out."""
    normal = np.einsum("nc,ncia,ncib->nab", weight, slope, slope)
    inverse = np.linalg.inv(normal + _FAINT * np.eye(3))
    along = np.einsum("nc,ncia,nci->nca", weight, slope, moving)
    pull = np.einsum("nc,ncia,nci->na", weight, slope, residual)
    matrix = -np.einsum("nca,nab,ndb->ncd", along, inverse, along)
    diagonal = np.arange(weight.shape[1])
    matrix[:, diagonal, diagonal] += weight * (moving**2).sum(axis=-1)
    right = weight * (moving * residual).sum(axis=-1) - np.einsum("nca,nab,nb->nc", along, inverse, pull)
    return matrix, right


def _solve(
    matrix: FloatArray, right: FloatArray, basis: FloatArray, clusters: tuple[IntArray, ...]
) -> tuple[FloatArray, FloatArray]:
    """Solve for (C, B), camera 0 held; standard errors add what a landmark shares and what half a second shares."""
    n_cameras, n_basis = right.shape[1], basis.shape[1]
    size = n_cameras * n_basis
    full = np.einsum("ncd,na,nb->cadb", matrix, basis, basis, optimize=True).reshape(size, size)
    scores = np.einsum("nc,na->nca", right, basis).reshape(-1, size)
    free = np.arange(n_basis, size)
    step, sd = np.zeros(size), np.zeros(size)
    inverse = np.linalg.pinv(full[np.ix_(free, free)], rcond=1e-9, hermitian=True)
    step[free] = inverse @ scores[:, free].sum(axis=0)
    each = scores - np.einsum("ncd,na,nb,db->nca", matrix, basis, basis, step.reshape(n_cameras, n_basis),
                              optimize=True).reshape(-1, size)  # fmt: skip
    variance = np.zeros(free.size)
    for label in clusters:
        groups = np.zeros((int(label.max()) - int(label.min()) + 1, free.size))
        np.add.at(groups, label - label.min(), each[:, free])
        count = max(int((np.abs(groups).sum(axis=1) > 0).sum()), 2)
        spread = inverse @ (groups.T @ groups) @ inverse * count / (count - 1)
        variance += np.diag(spread)
    sd[free] = np.where(np.diag(full)[free] > 1e-9, np.sqrt(variance), math.inf)
    return step.reshape(n_cameras, n_basis), sd.reshape(n_cameras, n_basis)
