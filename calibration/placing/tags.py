"""Tags on the treadmill's chassis: found in pictures, surveyed once, and from then on what LAB is.

A tag's own frame is x right, y up in its picture, z out of it, origin in its middle; corners run from the upper left
clockwise as OpenCV gives them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from calibration.board.detector import Gray
from calibration.placing.lab_frame import LabPlacement, lab_from_points
from calibration.placing.tag_edges import refine_corners
from calibration.rig.quality import triangulate_corners
from labsys.capture.tags import TagPose, TagSet
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.rigid import RigidTransform
from labsys.core.units import millimetres

LEAST_TAGS = 3
_SIZE_TOLERANCE = 0.03
_FLAT_TOLERANCE_M = 0.01
_SURVEY_TOLERANCE_M = 0.01
_REST_TOLERANCE_M = 0.004
_STILL_PX = 3.0


@dataclass(frozen=True, eq=False)
class TagViews:
    """Tags as the cameras of a rig see them.

    Attributes:
        ids: n tag numbers, in the order of the tag set.
        xy_px: (C, n, 4, 2) px in IMAGE, median over the pictures, NaN where not seen.
    """

    cameras: tuple[str, ...]
    ids: tuple[int, ...]
    xy_px: FloatArray

    @property
    def seen(self) -> tuple[tuple[int, ...], ...]:
        """Numbers of the tags that each camera sees."""
        there = np.asarray(np.isfinite(self.xy_px).all(axis=(2, 3))).tolist()
        return tuple(tuple(i for i, found in zip(self.ids, row, strict=True) if found) for row in there)


def find_tags(pictures: Iterable[Gray], tags: TagSet) -> FloatArray:
    """Corners (n, 4, 2) px of every tag of the set, median over the pictures; NaN where it was not seen, or moved."""
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, tags.dictionary))
    detector = cv2.aruco.ArucoDetector(dictionary, cv2.aruco.DetectorParameters())
    row = {tag.id: i for i, tag in enumerate(tags.tags)}
    found: list[list[FloatArray]] = [[] for _ in tags.tags]
    for picture in pictures:
        corners, ids, _ = detector.detectMarkers(picture)
        for number, quad in zip(() if ids is None else np.ravel(ids), corners, strict=True):
            if int(number) in row:
                rough = np.reshape(np.asarray(quad, dtype=np.float64), (4, 2))
                found[row[int(number)]].append(refine_corners(picture, rough))
    return np.stack([_steady(views) for views in found])


def _steady(views: list[FloatArray]) -> FloatArray:
    if not views:
        return np.full((4, 2), np.nan)
    stacked = np.stack(views)
    middle = np.median(stacked, axis=0)
    off = np.median(np.linalg.norm(stacked - middle, axis=-1))
    return np.asarray(middle if off < _STILL_PX else np.full((4, 2), np.nan), dtype=np.float64)


def tag_corners(size_m: float) -> FloatArray:
    """Corners (4, 3) m of a tag in its own frame, from the upper left clockwise."""
    half = size_m / 2.0
    return np.array([[-half, half, 0.0], [half, half, 0.0], [half, -half, 0.0], [-half, -half, 0.0]])


def surveyed_corners(tags: TagSet) -> FloatArray:
    """Corners (n, 4, 3) m in LAB of a surveyed set.

    Raises:
        InputError: the set is not surveyed.
    """
    corners = []
    for tag in tags.tags:
        if tag.pose is None:
            raise InputError(
                f"the tags of {tags.name} are not surveyed",
                remedy="Survey them once: labsys calibrate … --tags FILE --survey-tags FILE, with a levelled board",
            )
        T_lab_tag = RigidTransform.from_rotvec(tag.pose.rotvec_rad, tag.pose.translation_m)
        corners.append(T_lab_tag.apply(tag_corners(tag.size_m)))
    return np.stack(corners)


def triangulate_tags(views: TagViews, rig: CameraRig) -> FloatArray:
    """Corners (n, 4, 3) m of the tags in the rig's world, NaN where fewer than two cameras see a tag."""
    xy = views.xy_px.reshape(1, len(views.cameras), -1, 2)
    return np.reshape(triangulate_corners(xy, rig.select(views.cameras))[0], (-1, 4, 3))


def lab_from_tags(views: TagViews, rig: CameraRig, tags: TagSet) -> LabPlacement:
    """LAB from surveyed tags.

    Raises:
        InputError: not surveyed, fewer than three tags seen by two cameras, or a tag that no longer is where it was.
        GateRefusedError: the tags fit only a mirrored world.
    """
    known = surveyed_corners(tags)
    found = triangulate_tags(views, rig)
    there = np.isfinite(found).all(axis=(1, 2))
    if there.sum() < LEAST_TAGS:
        raise InputError(
            f"{int(there.sum())} tags are seen by two cameras, {LEAST_TAGS} are needed",
            where="; ".join(f"{c} sees {', '.join(map(str, s)) or 'none'}"
                            for c, s in zip(views.cameras, views.seen, strict=True)),
            remedy="Clean the tags, light them, and keep people and the board from hiding them at the beginning",
        )  # fmt: skip
    _check_in_place(found[there], known[there], tuple(np.array(views.ids)[there]))
    placed = lab_from_points(found[there].reshape(-1, 3), known[there].reshape(-1, 3), source="surveyed tags")
    up_sd, heading_sd = tags.up_sd_rad or float("nan"), tags.heading_sd_rad or float("nan")
    return LabPlacement(
        placed.T_lab_rig,
        float(np.hypot(placed.up_sd_rad, up_sd)),
        float(np.hypot(placed.heading_sd_rad, heading_sd)),
        True,
        placed.source,
    )


def _check_in_place(found_m: FloatArray, known_m: FloatArray, ids: tuple[int, ...]) -> None:
    """Name the one tag without which all others are where the survey has them."""
    if _misfit_m(found_m, known_m) < _SURVEY_TOLERANCE_M or len(ids) <= LEAST_TAGS:
        return
    without = [_misfit_m(np.delete(found_m, i, axis=0), np.delete(known_m, i, axis=0)) for i in range(len(ids))]
    best = int(np.argmin(without))
    if without[best] < _REST_TOLERANCE_M:
        raise InputError(
            f"tag {ids[best]} is not where it was surveyed", remedy="Glue it back and survey again, or leave it out"
        )


def _misfit_m(found_m: FloatArray, known_m: FloatArray) -> float:
    """RMS m that is left when found corners (n, 4, 3) are laid rigidly on the known ones."""
    R, shift = _lay_on(found_m.reshape(-1, 3), known_m.reshape(-1, 3))
    left = found_m.reshape(-1, 3) @ R.T + shift - known_m.reshape(-1, 3)
    return float(np.sqrt((left**2).sum(axis=1).mean()))


def _lay_on(points_m: FloatArray, model_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    R = Rotation.align_vectors(model_m - model_m.mean(axis=0), points_m - points_m.mean(axis=0))[0].as_matrix()
    return R, model_m.mean(axis=0) - R @ points_m.mean(axis=0)


def survey_tags(
    views: TagViews, rig: CameraRig, tags: TagSet, *, day: date, up_sd_rad: float, heading_sd_rad: float
) -> TagSet:
    """The tag set with the pose of every tag in LAB.

    Args:
        rig: in LAB, with gravity known. up_sd_rad, heading_sd_rad: of that LAB, for later calibrations to inherit.

    Raises:
        InputError: a tag that fewer than two cameras see, or of another size than the file says.
        GateRefusedError: up is unknown.
    """
    if not np.isfinite(up_sd_rad):
        raise GateRefusedError(
            "tags cannot be surveyed while up is unknown", remedy="Give --level-board, --plumb-line or --belt-level-sd"
        )
    found = triangulate_tags(views, rig)
    poses = {}
    for tag, corners in zip(tags.tags, found, strict=True):
        poses[tag.id] = _survey_one(tag.id, tag.size_m, corners)
    surveyed = tuple(tag.model_copy(update={"pose": poses[tag.id]}) for tag in tags.tags)
    return tags.model_copy(
        update={
            "tags": surveyed,
            "surveyed_on": day.isoformat(),
            "up_sd_rad": up_sd_rad,
            "heading_sd_rad": heading_sd_rad if np.isfinite(heading_sd_rad) else None,
        }
    )


def _survey_one(number: int, size_m: float, corners_m: FloatArray) -> TagPose:
    if not np.isfinite(corners_m).all():
        raise InputError(f"tag {number} is not seen by two cameras", remedy="Light it, or turn a camera towards it")
    edge_m = float(np.linalg.norm(np.diff(corners_m, axis=0, append=corners_m[:1]), axis=1).mean())
    if abs(edge_m / size_m - 1.0) > _SIZE_TOLERANCE:
        raise InputError(
            f"tag {number} measures {millimetres(edge_m):.1f} mm, its file says {millimetres(size_m):.1f} mm",
            remedy="Measure the black square, without the white margin",
        )
    model = tag_corners(size_m)
    R, shift = _lay_on(model, corners_m)
    if np.abs(model @ R.T + shift - corners_m).max() > _FLAT_TOLERANCE_M:
        raise InputError(f"the corners of tag {number} do not form a square", remedy="Glue it flat, and light it")
    turn = Rotation.from_matrix(R).as_rotvec()
    return TagPose(
        rotvec_rad=(float(turn[0]), float(turn[1]), float(turn[2])),
        translation_m=(float(shift[0]), float(shift[1]), float(shift[2])),
    )


@dataclass(frozen=True)
class TreadmillMove:
    """How the chassis moved in LAB since the survey.

    Attributes:
        pitch_rad: nose up is positive: the incline that was added. roll_rad, turn_rad: about X and Y.
        shift_m: of the middle of the tags. misfit_m: RMS that a rigid move leaves. n_tags: what it rests on.
    """

    pitch_rad: float
    roll_rad: float
    turn_rad: float
    shift_m: float
    misfit_m: float
    n_tags: int


def measure_treadmill(views: TagViews, rig: CameraRig, tags: TagSet) -> TreadmillMove | None:
    """How the tags moved as one since the survey, as a rig in LAB sees them; None with fewer than three tags."""
    known, found = surveyed_corners(tags), triangulate_tags(views, rig)
    there = np.isfinite(found).all(axis=(1, 2))
    if there.sum() < LEAST_TAGS:
        return None
    before, now = known[there].reshape(-1, 3), found[there].reshape(-1, 3)
    R, shift = _lay_on(before, now)
    left = before @ R.T + shift - now
    roll, turn, pitch = Rotation.from_matrix(R).as_rotvec()
    return TreadmillMove(
        float(pitch),
        float(roll),
        float(turn),
        float(np.linalg.norm(now.mean(axis=0) - before.mean(axis=0))),
        float(np.sqrt((left**2).sum(axis=1).mean())),
        int(there.sum()),
    )
