"""Lenses from board corners, and whether the corners can tell them.

A low reprojection error does not make a lens right: a board that is far away, seldom tilted, or always in the middle of
the image leaves focal length, distance and distortion to be traded for one another. So what lenses in general look like
is stated as a prior, the rig is solved with it, and what the corners add to it is measured: where they leave the focal
length or the cameras' places too uncertain, the lenses are refused, and the message says what to film.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.board.coverage import map_coverage
from calibration.board.detect import MIN_CORNERS, BoardCorners
from calibration.lens_jacobian import LENS_PARAMETERS, pack_lenses
from calibration.match import match_cameras
from calibration.rig.bundle import BLOCK, POSE, LensPrior
from calibration.rig.solve import SolvedRig
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import Intrinsics, LensModel
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.units import degrees

_MOST_VIEWS = 40
_MIN_VIEWS = 8


@dataclass(frozen=True)
class LensExpectations:
    """What lenses and sensors in general look like, as standard deviations.

    Attributes:
        aspect: of fx / fy around 1 (square pixels).
        centre: of the principal point around the image's centre, in image widths.
        k1, k2, tangential: of the distortion around 0; k3 and the fisheye's last two are held at 0.
        fisheye: of a fisheye's k1 and k2 around 0.
    """

    aspect: float = 0.003
    centre: float = 0.02
    k1: float = 0.3
    k2: float = 0.3
    tangential: float = 0.002
    fisheye: float = 0.1


@dataclass(frozen=True)
class LensLimits:
    """What the corners must be able to tell before lenses from them are used.

    Attributes:
        focal: largest relative standard deviation of the focal length.
        coverage: least share of the image that boards covered.
        depth_ratio: least ratio of the farthest to the nearest board.
        tilt_rad: least tilt, against the camera, that a tenth of the boards had.
    """

    focal: float = 0.005
    coverage: float = 0.3
    depth_ratio: float = 1.3
    tilt_rad: float = 0.35


def guess_lens(corners: BoardCorners, index: int, *, model: LensModel = LensModel.PINHOLE) -> Intrinsics:
    """A first guess of one camera's lens from its own views: focal length and one distortion term.

    Raises:
        GateRefusedError: too few boards to tell anything.
    """
    size = corners.sizes_px[index]
    frames = _choose_views(corners, index)
    if len(frames) < _MIN_VIEWS:
        raise GateRefusedError(
            f"{corners.cameras[index]} saw {len(frames)} boards well enough to tell its lens",
            remedy=f"Show it the board at least {_MIN_VIEWS} times, near and far, tilted, over its whole image; "
            "or give --intrinsics",
        )
    seen = corners.seen[frames, index]
    board_m = [corners.board.corners_m[s].astype(np.float32) for s in seen]
    image_px = [corners.xy_px[f, index, s].astype(np.float32) for f, s in zip(frames, seen, strict=True)]
    focal, k1 = _fit_focal(board_m, image_px, size)
    matrix = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1.0]])
    if model is LensModel.FISHEYE:
        return Intrinsics(matrix, np.zeros(4), size, model)
    return Intrinsics(matrix, np.array([k1, 0.0, 0.0, 0.0, 0.0]), size, model)


def _choose_views(corners: BoardCorners, index: int) -> IntArray:
    """Views with most corners, spread over the take."""
    count = corners.seen[:, index].sum(axis=1)
    usable = np.asarray(np.flatnonzero(count >= max(2 * MIN_CORNERS - 2, corners.board.n_corners // 2)), dtype=np.int64)
    if len(usable) <= _MOST_VIEWS:
        return usable
    return usable[np.linspace(0, len(usable) - 1, _MOST_VIEWS).round().astype(np.int64)]


def _fit_focal(board_m: list[FloatArray], image_px: list[FloatArray], size: tuple[int, int]) -> tuple[float, float]:
    start = np.array([[size[0], 0, (size[0] - 1) / 2], [0, size[0], (size[1] - 1) / 2], [0, 0, 1.0]], dtype=np.float64)
    held = cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_FIX_PRINCIPAL_POINT
    held |= cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3
    best = (np.inf, float(size[0]), 0.0)
    for extra in (0, cv2.CALIB_FIX_K1):
        rms, K, k, _, _ = cv2.calibrateCamera(board_m, image_px, size, start.copy(), np.zeros(5), flags=held | extra)
        focal, k1 = float(K[0, 0]), float(np.ravel(k)[0])
        if np.isfinite(rms) and 0.2 * size[0] < focal < 6 * size[0] and abs(k1) < 1.0 and rms < 0.98 * best[0]:
            best = (float(rms), focal, k1)
    return best[1], best[2]


def expect_lenses(lenses: tuple[Intrinsics, ...], expectations: LensExpectations | None = None) -> LensPrior:
    """The prior for solving these lenses together with the rig; their own values are only where the solve sets out."""
    chosen = expectations or LensExpectations()
    mean = pack_lenses(list(lenses)).values.copy()
    information = np.zeros((len(lenses), LENS_PARAMETERS, LENS_PARAMETERS))
    free = np.ones((len(lenses), LENS_PARAMETERS), dtype=np.bool_)
    for i, lens in enumerate(lenses):
        width, height = lens.size_px
        mean[i, 2:] = [(width - 1) / 2, (height - 1) / 2, 0, 0, 0, 0, 0]
        square = (chosen.aspect * lens.matrix[0, 0]) ** -2
        information[i, :2, :2] = square * np.array([[1.0, -1.0], [-1.0, 1.0]])
        mean[i, :2] = lens.matrix[0, 0]
        fisheye = lens.model is LensModel.FISHEYE
        sd = [chosen.fisheye] * 2 if fisheye else [chosen.k1, chosen.k2, chosen.tangential, chosen.tangential]
        sds = [chosen.centre * width] * 2 + sd
        information[i, range(2, 2 + len(sds)), range(2, 2 + len(sds))] = np.array(sds) ** -2.0
        free[i, 2 + len(sds) :] = False
    return LensPrior(mean, information, free)


def focal_sd(covariance: FloatArray, lenses: tuple[Intrinsics, ...]) -> FloatArray:
    """Relative standard deviation of every camera's focal length, (C,), from the bundle's covariance."""
    at = np.arange(len(lenses)) * BLOCK + POSE
    return np.asarray(np.sqrt(np.diag(covariance)[at]) / [c.matrix[0, 0] for c in lenses], dtype=np.float64)


def check_support(corners: BoardCorners, solved: SolvedRig, *, limits: LensLimits | None = None) -> None:
    """Refuse lenses that the boards shown cannot tell, however small the error in px.

    Raises:
        GateRefusedError: per camera, what is missing; and what to film.
    """
    chosen = limits or LensLimits()
    lenses = tuple(c.intrinsics for c in solved.rig.cameras)
    sd = focal_sd(solved.bundle.covariance, lenses)
    lacking: list[str] = []
    film: set[str] = set()
    for i, name in enumerate(corners.cameras):
        depth, tilt = _depth_and_tilt(solved, i)
        coverage = float(map_coverage(corners.xy_px[:, i], corners.sizes_px[i]).mean())
        reasons = {
            "up to the edges and corners of the image": coverage < chosen.coverage,
            "near (half the image) as well as far": depth < chosen.depth_ratio,
            "leaning 30 to 45 degrees to every side": tilt < chosen.tilt_rad or sd[i] > chosen.focal,
        }
        if any(reasons.values()):
            film.update(text for text, missing in reasons.items() if missing)
            lacking.append(
                f"{name} (boards over {100 * coverage:.0f} % of the image, farthest/nearest {depth:.1f}, "
                f"tilt {degrees(tilt):.0f} degrees, focal length ± {100 * sd[i]:.1f} %)"
            )
    if lacking:
        raise GateRefusedError(
            "these boards cannot tell the lens of " + "; ".join(lacking),
            remedy=f"Film the board for each of these cameras {', '.join(sorted(film))}; or give --intrinsics",
        )


def _depth_and_tilt(solved: SolvedRig, index: int) -> tuple[float, float]:
    """Ratio of far to near boards (95th to 5th percentile) and the tilt that a tenth of the boards exceeded, rad."""
    at = solved.views.camera == index
    state, frames = solved.bundle.state, solved.views.frame[at]
    if not at.any():
        return 1.0, 0.0
    centre = solved.views.corners_m.mean(axis=0)
    R = state.R_cam_rig[index]
    placed = (state.R_rig_board[frames] @ centre + state.t_rig_board_m[frames]) @ R.T + state.t_cam_rig_m[index]
    distance = np.linalg.norm(placed, axis=1)
    normal = (R @ state.R_rig_board[frames])[..., 2]
    cosine = np.abs((normal * placed).sum(axis=1)) / distance
    far, near = np.percentile(distance, [95, 5])
    return float(far / near), float(np.percentile(np.arccos(np.clip(cosine, 0.0, 1.0)), 90))


def check_sizes_fit(sizes_px: Mapping[str, tuple[int, int]], lenses: Mapping[str, Intrinsics]) -> None:
    """Refuse a lens that belongs to another resolution.

    Args:
        sizes_px: camera -> (width, height) of its pictures; names match those of the lenses as camera names do.

    Raises:
        InputError: names the camera and both sizes.
        UnknownNameError: a camera without a lens.
    """
    match = match_cameras(lenses, sizes_px)
    for name, size in sizes_px.items():
        own = lenses[match[name]].size_px
        if tuple(size) != tuple(own):
            turned = ", turned by a quarter" if (size[1], size[0]) == tuple(own) else ""
            raise InputError(
                f"the video is {size[0]}x{size[1]}, its intrinsics are for {own[0]}x{own[1]}{turned}",
                where=f"camera {name}",
                remedy="Record in the mode that the intrinsics were made for, or give intrinsics of this mode",
            )
