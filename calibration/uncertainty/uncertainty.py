"""How surely each 3D landmark is known, and how errors hang together: pixels, calibration, up and heading.

What no camera can see is not in it: an error that a detector makes alike in all views (where it believes a landmark to
be), and stickers that were placed elsewhere than last time. The first camera's gauge is taken out: the rig as a whole
lies where its placement put it, with that placement's uncertainty of up and heading.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from calibration.processors import n_processors
from calibration.projection import project_rig
from calibration.rig.covariance import VolumeErrors, no_errors, turn_shapes, volume_errors
from calibration.trajectory.spread import taper
from calibration.uncertainty.time import (
    ErrorTimes,
    fading_times,
    find_period,
    find_times,
    lasting_part,
    middle,
    widened_by_doubt,
)
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.landmarks import Landmarks3D
from labsys.core.point_errors import PointErrors

_SAMPLE = 200  # points that stand for the volume
_SEED = 11
_MOST = 0.98
_FRAMES_AT_ONCE = 500


@dataclass(frozen=True, eq=False)
class Sighting:
    """What triangulation, before any smoothing, made of the images.

    Attributes:
        rig: the cameras in the order of the images.
        xy_px: (T, K, C, 2). xyz_m: (T, K, 3). used: (T, K, C) which cameras a point rests on.
        covariance_m2: (T, K, 3, 3) m² from pixel noise.
    """

    rig: CameraRig
    xy_px: FloatArray
    xyz_m: FloatArray
    used: BoolArray
    covariance_m2: FloatArray


def add_uncertainty(
    landmarks: Landmarks3D,
    sighting: Sighting,
    calibration: Calibration,
    *,
    error_correlation: FloatArray | None = None,
) -> Landmarks3D:
    """The landmarks with all that is known of their errors; unchanged where not even pixel noise is known.

    Args:
        landmarks: with the covariance from pixel noise, smoothed or not.
        calibration: of `sighting.rig`, in that order of cameras.
        error_correlation: (K, L) autocorrelation of the errors at lag 0 to L - 1 frames after smoothing; None where
            nothing was smoothed.
    """
    if not np.isfinite(landmarks.covariance_m2).any() or not np.isfinite(landmarks.rate_hz):
        return landmarks
    volume = _volume(sighting, calibration)
    times = _times(sighting, landmarks.rate_hz, volume)
    steady, repeating = _shares(times, _smoothing(sighting.covariance_m2, landmarks.covariance_m2))
    fade_s = times.fade_s
    if error_correlation is not None:
        # Without the solve's taper: what stays would else fall with the lag and be taken off what fades.
        untapered = (error_correlation / taper(error_correlation.shape[1])).T
        part = lasting_part(untapered, steady, repeating, times.period_s, landmarks.rate_hz)
        steady, repeating = part * steady, part * repeating
        fade_s = fading_times(untapered, steady, repeating, times.period_s, landmarks.rate_hz)
    steady, repeating, growth = widened_by_doubt(steady, repeating, _freedom(sighting))
    heading_sd = calibration.heading_sd_rad if calibration.heading_known else float("nan")
    shapes = np.concatenate([volume.shapes_m, turn_shapes(calibration.up_sd_rad, heading_sd)])
    errors = PointErrors(
        steady=steady,
        repeating=repeating,
        fade_s=fade_s,
        period_s=times.period_s,
        centre_m=volume.centre_m,
        shapes_m=shapes,
        calibration_included=calibration.covariance is not None,
        calibration=_fingerprint(calibration),
    )
    return replace(landmarks, covariance_m2=_with_common(landmarks, growth, errors), errors=errors)


def _with_common(landmarks: Landmarks3D, growth: FloatArray, errors: PointErrors) -> FloatArray:
    """Covariance (T, K, 3, 3) m², grown (K,), with the calibration's part; some frames at a time, for its terms are
    many."""
    total = np.empty(landmarks.covariance_m2.shape)

    def add_part(first: int) -> None:
        part = slice(first, first + _FRAMES_AT_ONCE)
        own = landmarks.covariance_m2[part] * growth[:, None, None]
        np.add(own, errors.common_covariance_m2(landmarks.xyz_m[part]), out=total[part])

    with ThreadPoolExecutor(max_workers=n_processors()) as pool:
        list(pool.map(add_part, range(0, len(total), _FRAMES_AT_ONCE)))
    total.setflags(write=False)
    return total


def _fingerprint(calibration: Calibration) -> str:
    """The same for two trials only where the shapes' factors mean the same."""
    digest = hashlib.sha256(np.array([calibration.up_sd_rad, calibration.heading_sd_rad]).tobytes())
    for camera in calibration.rig.cameras:
        digest.update(camera.name.encode() + camera.T_cam_lab.rotation.tobytes())
        digest.update(camera.T_cam_lab.translation_m.tobytes())
    if calibration.covariance is not None:
        digest.update(calibration.covariance.matrix.tobytes())
    return digest.hexdigest()[:16]


def _volume(sighting: Sighting, calibration: Calibration) -> VolumeErrors:
    points = sighting.xyz_m[np.isfinite(sighting.xyz_m).all(axis=-1)]
    if len(points) > _SAMPLE:
        # By chance: every nth point may be the same landmark each time, one place instead of a volume.
        points = points[np.random.default_rng(_SEED).choice(len(points), _SAMPLE, replace=False)]
    if calibration.covariance is None:
        return no_errors(points)
    return volume_errors(sighting.rig, calibration.covariance, points)


def _times(sighting: Sighting, rate_hz: float, volume: VolumeErrors) -> ErrorTimes:
    looked_at = middle(sighting.xyz_m)
    used = middle(sighting.used)
    residuals = np.where(used[..., None], middle(sighting.xy_px) - project_rig(sighting.rig, looked_at), np.nan)
    n_frames, n_landmarks = residuals.shape[:2]
    freedom = _freedom(sighting)
    return find_times(
        np.moveaxis(residuals.reshape(n_frames, n_landmarks, -1), 1, 2),
        freedom,
        period_s=find_period(looked_at, rate_hz),
        rate_hz=rate_hz,
        # Residuals are smaller than errors by the coordinates that the point itself uses up.
        known_steady=volume.residual_px2 * freedom / (freedom + 3.0),
    )


def _freedom(sighting: Sighting) -> FloatArray:
    """(K,) redundant image coordinates per frame, 2 C - 3 with C views."""
    n_used = sighting.used.sum(axis=-1, dtype=np.int16)
    views = n_used.sum(axis=0) / np.maximum((n_used > 0).sum(axis=0), 1)
    return np.asarray(np.maximum(2.0 * views - 3.0, 0.0))


def _smoothing(before: FloatArray, after: FloatArray) -> FloatArray:
    """By how much smoothing lowered each landmark's variance, (K,), at most 1."""
    out = np.ones(before.shape[1])
    for k in range(out.size):
        raw, smoothed = (np.trace(c[:, k], axis1=-2, axis2=-1) for c in (before, after))
        both = np.isfinite(raw) & np.isfinite(smoothed)
        if both.any():
            out[k] = np.median(smoothed[both]) / max(float(np.median(raw[both])), 1e-300)
    return np.clip(out, 1e-3, 1.0)


def _shares(times: ErrorTimes, smoothing: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares of the variance that smoothing left: what stays and what repeats passes it, the rest does not."""
    steady, repeating = times.steady / smoothing, times.repeating / smoothing[:, None]
    total = np.maximum((steady + repeating.sum(axis=1)) / _MOST, 1.0)
    return steady / total, repeating / total[:, None]
