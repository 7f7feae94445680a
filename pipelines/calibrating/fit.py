"""Whether a calibration is that of the cameras whose 2D landmarks are given."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from calibration.triangulation.triangulate import triangulate_weighted
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from pipelines.sides import find_pairs

# Plain triangulation of one person misses by 1.5 % of the person's size in a public recording with OpenPose 2D. Well
# beyond that the calibration belongs to other cameras.
_MAX_ERROR_SHARE = 0.03
# Below this nothing is wrong; above it, an exchange of two cameras that takes most of the error away is what happened.
# (A person in the middle of a level ring of cameras hides an exchange: there it misses by only 1 to 4.5 %.)
_SUSPECT_SHARE = 0.005
_EXCHANGE_GAIN = 0.5
_ALL_SETS = 6  # cameras, of which every set is tried
_FRAMES_LOOKED_AT = 60
_BELIEVED = 0.3


def check_calibration_fits(landmarks: Landmarks2D, calibration: Calibration) -> None:
    """Refuse a calibration of other cameras, and files given to the wrong cameras; both show in triangulation.

    Raises:
        InputError: two cameras are exchanged (named), left and right are in some cameras (named), or the rays to one
            landmark miss each other everywhere.
    """
    rig = calibration.rig.select(landmarks.cameras)
    step = max(1, landmarks.times_s.size // _FRAMES_LOOKED_AT)
    xy_px, confidence = landmarks.xy_px[::step], landmarks.confidence[::step]
    weights = np.where(confidence >= _BELIEVED, confidence, 0.0)
    error_px, person_px = _median_error_px(rig, xy_px, weights), _person_size_px(xy_px, weights)
    if not error_px > _SUSPECT_SHARE * person_px:
        return
    exchanged = _without_sides(rig, landmarks.landmarks, xy_px, weights)
    _refuse_exchange(rig, xy_px, weights, min([error_px, *exchanged.values()]))
    is_far_off = error_px > _MAX_ERROR_SHARE * person_px
    # Fewer than half of the cameras are put right later, by the others.
    _refuse_sides(rig, exchanged, error_px, least=1 if is_far_off else (len(rig.cameras) + 1) // 2)
    if is_far_off:
        raise InputError(
            f"the calibration is not of these cameras: rays to one landmark miss each other by {error_px:.0f} px "
            f"(median; the person is {person_px:.0f} px long)",
            where=f"cameras {', '.join(landmarks.cameras)}",
            remedy="Check that each file is given to its own camera, that the calibration is of this recording, and "
            "that all cameras follow the same person",
        )


def _refuse_exchange(rig: CameraRig, xy_px: FloatArray, weights: FloatArray, error_px: float) -> None:
    errors_px = {}
    for i, j in itertools.combinations(range(len(rig.cameras)), 2):
        order = list(range(len(rig.cameras)))
        order[i], order[j] = j, i
        errors_px[i, j] = _median_error_px(rig, xy_px[:, order], weights[:, order])
    (i, j), least_px = min(errors_px.items(), key=lambda item: item[1])
    if least_px < _EXCHANGE_GAIN * error_px:
        raise InputError(
            f"the calibration of {rig.names[i]} fits the landmarks of {rig.names[j]} and the other way round: rays "
            f"miss each other by {error_px:.1f} px as given, by {least_px:.1f} px exchanged",
            remedy="Give each file to its own camera",
        )


def _without_sides(
    rig: CameraRig, names: tuple[str, ...], xy_px: FloatArray, weights: FloatArray
) -> dict[tuple[int, ...], float]:
    """Cameras in which left and right are exchanged, at most half of all -> error then, px; {} where there is no side.

    Of many cameras one after the other is added that takes most of the error away: all sets would be too many.
    """
    pairs = find_pairs(names)
    if not len(pairs):
        return {}
    order = np.arange(len(names))
    order[pairs[:, 0]], order[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]

    def error_px(cameras: tuple[int, ...]) -> float:
        xy, w = xy_px.copy(), weights.copy()
        xy[:, cameras], w[:, cameras] = xy[:, cameras][:, :, order], w[:, cameras][:, :, order]
        return _median_error_px(rig, xy, w)

    found: dict[tuple[int, ...], float] = {}
    best: tuple[int, ...] = ()
    for count in range(1, len(rig.cameras) // 2 + 1):
        more = itertools.combinations(range(len(rig.cameras)), count)
        tried = {c: error_px(c) for c in more if len(rig.cameras) <= _ALL_SETS or set(best) < set(c)}
        found |= tried
        best = min(tried, key=lambda c: tried[c])
    return found


def _refuse_sides(rig: CameraRig, errors_px: Mapping[tuple[int, ...], float], error_px: float, *, least: int) -> None:
    cameras, least_px = min(errors_px.items(), key=lambda item: item[1], default=((), error_px))
    if not least_px < _EXCHANGE_GAIN * error_px or len(cameras) < least:
        return
    those = ", ".join(rig.names[i] for i in cameras)
    others = ", ".join(n for i, n in enumerate(rig.names) if i not in cameras)
    which = f"{those} or in {others}" if 2 * len(cameras) == len(rig.cameras) else those
    raise InputError(
        f"left and right are exchanged in {which}, in most frames: rays to one landmark miss each other by "
        f"{error_px:.0f} px as given, by {least_px:.1f} px exchanged back",
        remedy="Look at a frame of each: a mirrored picture, or a model with other names for the sides; the "
        "calibration itself fits",
    )


def _median_error_px(rig: CameraRig, xy_px: FloatArray, weights: FloatArray) -> float:
    """Median reprojection error of plain triangulation, px; NaN where nothing is seen twice. xy_px: (T, C, K, 2)."""
    residual_px = triangulate_weighted(rig, np.moveaxis(xy_px, 1, 2), np.moveaxis(weights, 1, 2)).residual_px
    found = residual_px[np.isfinite(residual_px)]
    return float(np.median(found)) if found.size else float("nan")


def _person_size_px(xy_px: FloatArray, weights: FloatArray) -> float:
    """Median diagonal of the box around the person, over frames and cameras."""
    believed = np.where(weights[..., None] > 0, xy_px, np.nan)
    counted = np.isfinite(believed).all(axis=-1).sum(axis=-1) > 1
    if not counted.any():
        return float("nan")
    boxes = believed[counted]
    return float(np.median(np.linalg.norm(np.nanmax(boxes, axis=1) - np.nanmin(boxes, axis=1), axis=-1)))
