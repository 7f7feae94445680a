"""Draws from what is known of landmarks' errors: of a stretch of frames, of single frames, of a standing subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from labsys.biomechanics.filtering import low_pass
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.landmarks import Landmarks3D
from labsys.core.point_errors import PointErrors

_MEDIAN_COSTS = 1.57  # variance of a median over that of a mean


@dataclass(frozen=True, eq=False)
class FrameErrors:
    """Errors of K landmarks in some frames of a trial.

    Attributes:
        times_s: (N,). xyz_m: (N, K, 3) m in LAB.
        roots: (N, K, 3, 3) m, root of each landmark's own covariance.
    """

    times_s: FloatArray
    xyz_m: FloatArray
    roots: FloatArray
    errors: PointErrors

    def draw_stretch(self, rng: np.random.Generator, factors: FloatArray) -> FloatArray:
        """Errors (N, K, 3) m of frames that follow each other; factors: (M,) of the calibration's shapes."""
        e, shape = self.errors, self.xyz_m.shape
        own = np.sqrt(e.steady)[:, None] * rng.standard_normal(shape[1:])
        turn = 2.0 * np.pi * (self.times_s / e.period_s if e.repeating.shape[1] else 0.0 * self.times_s)
        waves = np.zeros(shape)
        for h in range(e.repeating.shape[1]):
            a, b = np.sqrt(e.repeating[:, h])[:, None] * rng.standard_normal((2, *shape[1:]))
            waves += np.cos((h + 1) * turn)[:, None, None] * a + np.sin((h + 1) * turn)[:, None, None] * b
        rest = np.sqrt(np.maximum(rest_of(e), 0.0))[:, None] * self._fading(rng)
        return self._placed(own + waves + rest) + e.displacement_m(self.xyz_m, factors)

    def move_frames(self, noise: FloatArray, factors: FloatArray, passed: FloatArray) -> FloatArray:
        """Errors (N, K, 3) m of single frames, far from each other, from standard normal noise of that shape.

        passed: (K,) share of the variance that a low-pass leaves. factors: (M,) of the calibration's shapes.
        """
        return self._placed(np.sqrt(passed)[:, None] * noise) + self.errors.displacement_m(self.xyz_m, factors)

    def _placed(self, standard: FloatArray) -> FloatArray:
        return np.asarray((self.roots @ standard[..., None])[..., 0])

    def _fading(self, rng: np.random.Generator) -> FloatArray:
        """Noise (N, K, 3) of unit variance, each landmark's fading in its own time."""
        white = rng.standard_normal(self.xyz_m.shape)
        keep = fading_ratio(self.errors.fade_s, _step_s(self.times_s))
        white[1:] *= np.sqrt(1.0 - keep**2)[:, None]
        for k in np.flatnonzero(keep > 0.0):
            white[:, k] = lfilter([1.0], [1.0, -keep[k]], white[:, k], axis=0)
        return white


def frame_errors(landmarks: Landmarks3D, errors: PointErrors, frames: IntArray) -> FrameErrors:
    """Errors of some frames of a trial."""
    xyz = landmarks.xyz_m[frames]
    own = landmarks.covariance_m2[frames] - errors.common_covariance_m2(xyz)
    return FrameErrors(landmarks.times_s[frames], _filled(xyz), _roots(_filled(own)), errors)


def _filled(values: FloatArray) -> FloatArray:
    """Values (N, K, ...) with the landmark's median where unknown, and zero where it is never known."""
    known = np.asarray(np.isfinite(values).reshape(*values.shape[:2], -1).all(axis=-1), dtype=np.bool_)
    out = values.copy()
    for k in np.flatnonzero(~known.all(axis=0)):
        some = known[:, k]
        out[~some, k] = np.median(values[some, k], axis=0) if some.any() else 0.0
    return out


def _roots(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2))


def rest_of(errors: PointErrors) -> FloatArray:
    """Share of the variance that fades, (K,)."""
    return np.asarray(1.0 - errors.steady - errors.repeating.sum(axis=1))


def fading_ratio(fade_s: FloatArray, step_s: float) -> FloatArray:
    """Correlation from one frame to the next, (K,)."""
    return np.where(fade_s > 0.0, np.exp(-step_s / np.where(fade_s > 0.0, fade_s, 1.0)), 0.0)


def _step_s(times_s: FloatArray) -> float:
    return float((times_s[-1] - times_s[0]) / (times_s.size - 1)) if times_s.size > 1 else 0.0


def passed_variance(errors: PointErrors, *, cutoff_hz: float, rate_hz: float) -> FloatArray:
    """Share of each landmark's own variance that the low-pass leaves, (K,): what stays and repeats, and slow noise."""
    length = max(9, round(2.0 * rate_hz) | 1)
    impulse = np.zeros((length, 1))
    impulse[length // 2] = 1.0
    response = low_pass(impulse, cutoff_hz=cutoff_hz, rate_hz=rate_hz)[:, 0]
    own = np.correlate(response, response, mode="full")
    lags = np.abs(np.arange(own.size) - (length - 1))
    keep = fading_ratio(errors.fade_s, 1.0 / rate_hz)
    with np.errstate(under="ignore"):
        gain = (own * keep[:, None] ** lags).sum(axis=1)
    return np.asarray(1.0 - rest_of(errors) * (1.0 - np.minimum(gain, 1.0)))


@dataclass(frozen=True, eq=False)
class StandingErrors:
    """Errors of the median frame of a quiet stance.

    Attributes:
        frame: of that one frame. share: (K,) of its variance that the median leaves: what stays, and some of the rest.
    """

    frame: FrameErrors
    share: FloatArray

    def draw(self, rng: np.random.Generator, factors: FloatArray) -> FloatArray:
        """Errors (K, 3) m; factors: (M,) of the calibration's shapes."""
        noise = rng.standard_normal(self.frame.xyz_m.shape)
        return np.asarray(self.frame.move_frames(noise, factors, self.share)[0])


def standing_errors(static: Landmarks3D) -> StandingErrors | None:
    """Errors of a static trial's median frame; None where they are not known."""
    e = static.errors
    if e is None:
        return None
    everything = frame_errors(static, e, np.arange(static.times_s.size))
    keep = fading_ratio(e.fade_s, _step_s(static.times_s))
    independent = np.maximum(static.times_s.size * (1.0 - keep) / (1.0 + keep), 1.0)
    share = e.steady + e.repeating.sum(axis=1) + rest_of(e) * np.minimum(_MEDIAN_COSTS / independent, 1.0)
    middle = [np.median(a, axis=0)[None] for a in (everything.xyz_m, everything.roots)]
    return StandingErrors(FrameErrors(static.times_s[:1], middle[0], middle[1], e), share)
