"""Where to begin the estimate of the cameras' offsets: the shift at which rays to one landmark meet best.

Gait repeats itself: a shift of a stride fits as well as none. So the search ends at a third of a stride to both sides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.projection import essential_matrix, undistort
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from pipelines.retiming.smooth import SmoothTrack

_STRIDE_S = (0.4, 1.6)
_USUAL_STRIDE_S = 0.75
_STEP_S = 0.008
_N_MOMENTS = 100
_TRUNCATED_PX = 30.0


def search_offsets(smooth: Sequence[SmoothTrack], rig: CameraRig, moments: FloatArray) -> FloatArray:
    """(C,) s, the first camera's 0: a coarse search, one camera after the other against those already placed."""
    reach_s = find_stride_s(smooth, moments) / 3.0
    n_steps = round(reach_s / _STEP_S)
    shifts = np.linspace(-n_steps * _STEP_S, n_steps * _STEP_S, 2 * n_steps + 1)
    few = moments[:: max(1, moments.size // _N_MOMENTS)]
    placed = np.zeros(len(smooth))
    rays = [_shifted_rays(track, rig, c, few, shifts) for c, track in enumerate(smooth)]
    zero = int(np.argmin(np.abs(shifts)))
    chosen = [zero] * len(smooth)
    for sweep in range(3):
        for c in range(1, len(smooth)):
            others = [b for b in range(len(smooth)) if b != c and (sweep > 0 or b < c)]
            cost = sum(_pair_cost(rig, rays[c], c, rays[b][chosen[b]], b) for b in others)
            chosen[c] = int(np.argmin(cost))
            placed[c] = shifts[chosen[c]]
    return placed


def find_stride_s(smooth: Sequence[SmoothTrack], moments: FloatArray) -> float:
    """The period after which the landmarks' velocities repeat themselves best; the usual stride where nothing does."""
    span_s = float(moments[-1] - moments[0])
    lags = np.arange(*_STRIDE_S, 0.02)
    lags = lags[lags < 0.5 * span_s]
    begin = np.linspace(moments[0], moments[-1] - _STRIDE_S[1], 50) if span_s > 2 * _STRIDE_S[1] else None
    if begin is None or not lags.size:
        return _USUAL_STRIDE_S
    now = smooth[0].at(begin)[1]
    likeness = [_likeness(now, smooth[0].at(begin + lag)[1]) for lag in lags]
    best = int(np.nanargmax(likeness)) if np.isfinite(likeness).any() else -1
    return float(lags[best]) if best >= 0 and likeness[best] > 0.5 else _USUAL_STRIDE_S


def _likeness(first: FloatArray, second: FloatArray) -> float:
    both = np.isfinite(first).all(axis=-1) & np.isfinite(second).all(axis=-1)
    if not both.any():
        return float("nan")
    a, b = first[both], second[both]
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float((a * b).sum() / max(np.sqrt((a**2).sum() * (b**2).sum()), 1e-12))


def _shifted_rays(
    track: SmoothTrack, rig: CameraRig, camera: int, moments: FloatArray, shifts: FloatArray
) -> FloatArray:
    """(S, Q, K, 3) rays of one camera, as they would be were it later by each shift; z is 1."""
    asked = moments[None, :] - shifts[:, None]
    after = np.clip(np.searchsorted(track.times_s, asked), 1, track.times_s.size - 1)
    t0, t1 = track.times_s[after - 1], track.times_s[after]
    share = (asked - t0) / (t1 - t0)
    inside = (share >= 0.0) & (share <= 1.0) & (t1 - t0 < 2.5 * track.period_s)
    plain = undistort(rig.cameras[camera].intrinsics, track.xy_px)
    between = plain[after - 1] + share[..., None, None] * (plain[after] - plain[after - 1])
    rays = np.concatenate([between, np.ones((*between.shape[:-1], 1))], axis=-1)
    rays[~inside] = np.nan
    return rays


def _pair_cost(rig: CameraRig, rays: FloatArray, c: int, other: FloatArray, b: int) -> FloatArray:
    """(S,) mean truncated squared distance, px², of camera c's rays (S, Q, K, 3) to the epipolar lines of camera b."""
    essential = essential_matrix(rig.cameras[c], rig.cameras[b])
    line = np.einsum("ij,qkj->qki", essential, other)
    back = np.einsum("ji,sqkj->sqki", essential, rays)
    size = line[..., 0] ** 2 + line[..., 1] ** 2 + back[..., 0] ** 2 + back[..., 1] ** 2
    focal = rig.cameras[c].intrinsics.matrix[0, 0]
    distance2 = focal**2 * np.einsum("qki,sqki->sqk", line, rays) ** 2 / size
    known = np.isfinite(distance2)
    total = np.where(known, np.minimum(distance2, _TRUNCATED_PX**2), 0.0).sum(axis=(1, 2))
    count = known.sum(axis=(1, 2))
    # A shift beyond the recording's end leaves little to judge by.
    return np.asarray(np.where(count >= 0.5 * count.max(), total / np.maximum(count, 1), np.inf), dtype=np.float64)
