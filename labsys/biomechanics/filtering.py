"""Outliers, gaps and low-pass of landmark tracks. All work on (T, N) columns; missing is NaN and stays NaN."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import median_filter
from scipy.signal import butter, filtfilt

from labsys.biomechanics.points import is_seen
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import InputError

_MAD_TO_SD = 1.4826
# A deviation below this is never an outlier: a planted foot stands so still that its MAD is next to nothing.
_HAMPEL_FLOOR_M = 0.005
_MIN_SEGMENT = 5


@lru_cache(maxsize=16)
def butterworth_coefficients(cutoff_hz: float, rate_hz: float) -> tuple[FloatArray, FloatArray]:
    """2nd-order Butterworth whose forward-and-backward pass has gain 0.707 at the cut-off.

    Corrected for two passes in the bilinear domain (Winter, Biomechanics and Motor Control of Human Movement).

    Raises:
        InputError: the cut-off is not below half the sample rate.
    """
    if not 0.0 < cutoff_hz < 0.5 * rate_hz:
        raise InputError(
            f"a low-pass at {cutoff_hz:g} Hz needs more than {2 * cutoff_hz:g} samples/s, this trial has {rate_hz:g}",
            remedy="Record faster, or lower the cut-off in the analysis settings",
        )
    correction = (2.0**0.5 - 1.0) ** 0.25
    warped = np.tan(np.pi * cutoff_hz / rate_hz) / correction
    b, a = butter(2, 2.0 * np.arctan(warped) / np.pi)
    for coefficients in (b, a):
        coefficients.setflags(write=False)  # whoever asks next gets the same
    return np.asarray(b), np.asarray(a)


def low_pass(columns: FloatArray, *, cutoff_hz: float, rate_hz: float) -> FloatArray:
    """Zero-lag 4th-order Butterworth of (T, N) columns, each contiguous stretch on its own, odd padding of up to 1 s.

    Stretches shorter than five samples cannot be filtered and become missing.
    """
    b, a = butterworth_coefficients(cutoff_hz, rate_hz)
    rows = np.ascontiguousarray(columns.T)  # filters run along memory
    out = np.full_like(rows, np.nan)
    whole = np.isfinite(rows).all(axis=1)
    if whole.any() and len(columns) >= _MIN_SEGMENT:
        out[whole] = _two_pass(b, a, rows[whole], rate_hz)
    for n in np.flatnonzero(~whole):
        for first, last in stretches(np.isfinite(rows[n])):
            if last - first >= _MIN_SEGMENT:
                out[n, first:last] = _two_pass(b, a, rows[n, first:last], rate_hz)
    return np.ascontiguousarray(out.T)


def _two_pass(b: FloatArray, a: FloatArray, rows: FloatArray, rate_hz: float) -> FloatArray:
    pad = min(round(rate_hz), rows.shape[-1] - 1)
    return np.asarray(filtfilt(b, a, rows, padtype="odd", padlen=pad), dtype=np.float64)


def stretches(mask: BoolArray) -> list[tuple[int, int]]:
    """[first, last) of every run of True in a mask (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(i), int(j)) for i, j in edges.reshape(-1, 2)]


def find_outliers(columns: FloatArray, *, frames: int, mads: float) -> BoolArray:
    """Hampel's rule on (T, N) columns in m: further than `mads` scaled MADs, and 5 mm, from the window's median."""
    outliers = np.zeros(columns.shape, dtype=np.bool_)
    if len(columns) < frames:
        return outliers
    bridged = _bridge(columns)
    deviation = np.abs(bridged - median_filter(bridged, size=(frames, 1), mode="nearest"))
    suspects = (deviation > _HAMPEL_FLOOR_M) & np.isfinite(columns)
    half = frames // 2
    padded = np.pad(bridged, ((half, half), (0, 0)), mode="edge")
    t, n = np.nonzero(suspects)
    windows = padded[t[:, None] + np.arange(frames), n[:, None]]
    centre = np.median(windows, axis=1, keepdims=True)
    mad = np.median(np.abs(windows - centre), axis=1)
    outliers[t, n] = deviation[t, n] > mads * _MAD_TO_SD * mad
    return outliers


def _bridge(columns: FloatArray) -> FloatArray:
    """Straight lines over gaps, so that medians have something to look at."""
    bridged = columns.copy()
    index = np.arange(len(columns))
    for n in np.flatnonzero(~np.isfinite(columns).all(axis=0)):
        finite = np.isfinite(columns[:, n])
        bridged[:, n] = np.interp(index, index[finite], columns[finite, n]) if finite.any() else 0.0
    return bridged


def too_fast(tracks_m: FloatArray, *, limit_mps2: float, rate_hz: float) -> BoolArray:
    """Samples of (T, N, 3) tracks whose acceleration over ±20 ms exceeds what a body can do, (T, N).

    The second difference spans 40 ms, so that white noise of a few millimetres does not look like an acceleration.
    """
    lag = max(1, round(0.02 * rate_hz))
    fast = np.zeros(tracks_m.shape[:2], dtype=np.bool_)
    if len(tracks_m) > 2 * lag:
        second = tracks_m[2 * lag :] - 2.0 * tracks_m[lag:-lag] + tracks_m[: -2 * lag]
        acceleration = np.linalg.norm(second, axis=-1) * (rate_hz / lag) ** 2
        fast[lag:-lag] = acceleration > limit_mps2
    return fast


def fill_gaps(track_m: FloatArray, *, longest_frames: int) -> tuple[FloatArray, BoolArray]:
    """Bridge gaps of a track (T, 3) of at most that many frames by PCHIP; gaps at the ends and longer ones stay.

    Returns the track and (T,) True where it was filled.
    """
    present = is_seen(track_m)
    filled = np.zeros(len(track_m), dtype=np.bool_)
    if present.all() or present.sum() < 4:
        return track_m, filled
    index = np.arange(len(track_m))
    first, last = index[present][0], index[present][-1]
    for i, j in stretches(~present):
        if i > first and j <= last and j - i <= longest_frames:
            filled[i:j] = True
    bridged = track_m.copy()
    if filled.any():
        bridged[filled] = PchipInterpolator(index[present], track_m[present], axis=0)(index[filled])
    return bridged, filled
