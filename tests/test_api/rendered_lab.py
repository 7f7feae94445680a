"""A small lab as pictures: four cameras round a treadmill with tags on its chassis, a board waved and laid on the belt.

Everything is drawn in LAB (X against belt travel, Y up, Z to the runner's right), so the truth is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from calibration.board.board import make_cv_board
from calibration.formats import format_anipose
from labsys.core.board import Board
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics
from labsys.core.rigid import RigidTransform

BOARD = Board(5, 4, 0.12, 0.09, "DICT_4X4_50")
BOARD_YAML = """kind: charuco
columns: 5
rows: 4
square_m: 0.12
marker_m: 0.09
dictionary: DICT_4X4_50
"""
SIZE = (900, 676)
TAG_DICTIONARY, TAG_M = "DICT_5X5_100", 0.2
# Tag number -> centre in LAB; face up, upper edge towards X, one of them leaning.
TAGS: dict[int, RigidTransform] = {}
for _number, (_x, _z, _lean) in {
    3: (0.8, -0.5, 0.0),
    4: (0.8, 0.5, 0.1),
    7: (-0.8, -0.5, 0.0),
    9: (-0.7, 0.5, -0.1),
}.items():
    _flat = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])  # tag x to Z, y to X, z to Y
    _R = Rotation.from_rotvec([_lean, 0.0, 0.0]).as_matrix() @ _flat
    TAGS[_number] = RigidTransform(_R, np.array([_x, 0.03, _z]))
TAGS_YAML = f"""schema: labsys.tags/1
name: treadmill
dictionary: {TAG_DICTIONARY}
tags:
""" + "".join(f"  - {{id: {n}, size_m: {TAG_M}}}\n" for n in TAGS)


def place_camera(name: str, centre_m: Sequence[float], target_m: Sequence[float], focal_px: float = 720.0) -> Camera:
    """A camera at `centre` that looks at `target`, upright in LAB."""
    centre, target = np.asarray(centre_m, float), np.asarray(target_m, float)
    z = (target - centre) / np.linalg.norm(target - centre)
    x = np.cross(z, [0.0, 1.0, 0.0])
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    K = np.array([[focal_px, 0, SIZE[0] / 2], [0, focal_px, SIZE[1] / 2], [0, 0, 1.0]])
    return Camera(name, Intrinsics(K, np.zeros(5), SIZE), RigidTransform(R, -R @ centre))


def make_rig(seed: int = 0) -> CameraRig:
    """Four cameras round the treadmill, each a little elsewhere with another seed."""
    rng = np.random.default_rng(seed)
    cameras = []
    for i, (x, z) in enumerate([(1.6, -1.5), (1.6, 1.5), (-1.6, 1.5), (-1.6, -1.5)]):
        centre = np.array([x, 1.7, z]) + rng.normal(0, 0.1, 3)
        cameras.append(place_camera(f"cam{i}", centre, rng.normal([0, 0.3, 0], 0.04), 720.0 + 15 * i))
    return CameraRig(tuple(cameras))


def turn_camera(rig: CameraRig, name: str, turn_deg: float) -> CameraRig:
    """One camera turned sideways where it stands."""
    turn = RigidTransform.from_rotvec([0.0, np.radians(turn_deg), 0.0], np.zeros(3))
    return CameraRig(tuple(replace(c, T_cam_lab=turn @ c.T_cam_lab) if c.name == name else c for c in rig.cameras))


def wave_board(count: int, *, seed: int = 0) -> list[RigidTransform]:
    """A board held face up through the volume above the belt, leaning to every side."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, 5)
    poses = []
    for t in np.arange(count) / 10.0:
        swing = [np.sin(2 * np.pi * t / p + f) for p, f in zip((7.3, 6.1, 5.3, 3.7, 2.9), phase, strict=True)]
        lean = Rotation.from_rotvec([0.75 * swing[3], 0.9 * swing[0], 0.75 * swing[4]]).as_matrix()
        R = lean @ lying_rotation()
        place = np.array([0.45 * swing[0], 0.55 + 0.4 * swing[1], 0.35 * swing[2]])
        poses.append(RigidTransform(R, place - R @ BOARD.corners_m.mean(axis=0)))
    return poses


def lying_rotation() -> np.ndarray:
    """Board x to X, y to Z, z down: it lies face up with its columns running forward."""
    return np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


LYING = RigidTransform(lying_rotation(), np.zeros(3))


@dataclass(frozen=True, eq=False)
class _Print:
    """A flat picture in space: pixels, and the homography (3, 3) from its pixels to its plane in m."""

    picture: np.ndarray
    to_plane: np.ndarray


def _board_print() -> _Print:
    scale, margin = 1000.0, 20
    size = (round(BOARD.columns * BOARD.square_m * scale), round(BOARD.rows * BOARD.square_m * scale))
    picture = make_cv_board(BOARD).generateImage(size, marginSize=0, borderBits=1)
    picture = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=255)
    # The image holds a quarter of the print's pixels in each direction: without this its edges would be jagged.
    picture = cv2.GaussianBlur(picture, (0, 0), 1.5)
    offset = (0.5 - margin) / scale
    return _Print(picture, np.array([[1 / scale, 0, offset], [0, 1 / scale, offset], [0, 0, 1.0]]))


def _tag_print(number: int) -> _Print:
    cells, side = 16, 7 * 16
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, TAG_DICTIONARY))
    picture = cv2.aruco.generateImageMarker(dictionary, number, side)
    picture = cv2.copyMakeBorder(picture, cells, cells, cells, cells, cv2.BORDER_CONSTANT, value=255)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.9)
    step = TAG_M / side
    # Pixel rows run down, the tag's y runs up; its middle is the origin.
    low = (0.5 - cells) * step - TAG_M / 2
    return _Print(picture, np.array([[step, 0, low], [0, -step, -low], [0, 0, 1.0]]))


def _lay(image: np.ndarray, printed: _Print, camera: Camera, T_lab_print: RigidTransform, *, facing: float) -> None:
    """Draw a print where the camera sees its face; `facing` is the sign of the print's z towards who looks at it."""
    T = camera.T_cam_lab @ T_lab_print
    if facing * (T.rotation[:, 2] @ T.translation_m) > 0:
        return
    plane = np.stack([T.rotation[:, 0], T.rotation[:, 1], T.translation_m], axis=1)
    H = camera.intrinsics.matrix @ plane @ printed.to_plane
    cv2.warpPerspective(printed.picture, H, SIZE, image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)


def film(
    folder: Path,
    rig: CameraRig,
    poses: Sequence[RigidTransform],
    *,
    treadmill: RigidTransform | None = None,
    rate_hz: float = 10.0,
) -> list[str]:
    """Write a video per camera and return them as `cam0=PATH …`; `treadmill` moves the chassis with its tags."""
    folder.mkdir(parents=True, exist_ok=True)
    moved = treadmill or RigidTransform.identity()
    rng = np.random.default_rng(0)
    grain = [rng.normal(0, 2, (SIZE[1], SIZE[0])).astype(np.float32) for _ in range(5)]
    board, tags = _board_print(), {n: _tag_print(n) for n in TAGS}
    given = []
    for camera in rig.cameras:
        room = np.full((SIZE[1], SIZE[0]), 120, dtype=np.uint8)
        for number, T_lab_tag in TAGS.items():
            _lay(room, tags[number], camera, moved @ T_lab_tag, facing=1.0)
        path = folder / f"{camera.name}.avi"
        video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, SIZE, False)
        for i, pose in enumerate(poses):
            picture = room.copy()
            _lay(picture, board, camera, pose, facing=-1.0)
            soft = cv2.GaussianBlur(picture, (0, 0), 0.7).astype(np.float32) + grain[i % len(grain)]
            video.write(np.clip(soft, 0, 255).astype(np.uint8))
        video.release()
        given.append(f"{camera.name}={path}")
    return given


def write_lenses(path: Path, rig: CameraRig) -> Path:
    """A calibration file whose lenses are true and whose poses nobody reads."""
    path.write_text(format_anipose(Calibration(rig, "truth")))
    return path


def mark(rig: CameraRig, point_m: Sequence[float], cameras: Sequence[str]) -> dict[str, list[float]]:
    """Where cameras see a point of LAB, px."""
    seen = {}
    for camera in rig.select(tuple(cameras)).cameras:
        x = camera.intrinsics.matrix @ camera.T_cam_lab.apply(np.asarray(point_m, float))
        seen[camera.name] = [round(float(v), 2) for v in x[:2] / x[2]]
    return seen


def compare_in_lab(found: CameraRig, truth: CameraRig) -> tuple[float, float]:
    """Largest error of a camera's place, m, and of its direction, rad; no alignment: both are in LAB."""
    place = [np.linalg.norm(f.centre_lab_m - t.centre_lab_m) for f, t in zip(found.cameras, truth.cameras, strict=True)]
    turn = [
        Rotation.from_matrix(f.T_cam_lab.rotation @ t.T_cam_lab.rotation.T).magnitude()
        for f, t in zip(found.cameras, truth.cameras, strict=True)
    ]
    return float(max(place)), float(max(turn))
