"""Rigs and waved boards with known truth: as corners (fast) and as pictures (for detection)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from calibration.board.board import make_cv_board
from calibration.board.detect import BoardCorners, CameraCorners
from calibration.lens_jacobian import pack_lenses, project_with_jacobian
from labsys.core.board import Board
from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.rigid import RigidTransform

BOARD = Board(7, 5, 0.06, 0.045, "DICT_4X4_50")
SIZE = (1280, 720)


@dataclass(frozen=True, eq=False)
class BoardScene:
    """Truth: a rig and a board's poses over time."""

    board: Board
    rig: CameraRig
    times_s: np.ndarray
    R_rig_board: np.ndarray
    t_rig_board_m: np.ndarray

    @property
    def lenses(self) -> dict[str, Intrinsics]:
        return {c.name: c.intrinsics for c in self.rig.cameras}


def look_at(centre_m: np.ndarray, target_m: np.ndarray, *, roll_rad: float = 0.0) -> RigidTransform:
    """T_cam_rig of a camera at `centre` that looks at `target`, rig z up."""
    z = (target_m - centre_m) / np.linalg.norm(target_m - centre_m)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    R = Rotation.from_rotvec([0.0, 0.0, roll_rad]).as_matrix() @ np.stack([x, np.cross(z, x), z])
    return RigidTransform(R, -R @ centre_m)


def make_lens(*, fisheye: bool, rng: np.random.Generator) -> Intrinsics:
    focal = rng.uniform(700, 900) if not fisheye else rng.uniform(480, 560)
    matrix = [[focal, 0, 640 + rng.normal(0, 8)], [0, focal * 1.001, 360 + rng.normal(0, 8)], [0, 0, 1]]
    if fisheye:
        return Intrinsics(np.array(matrix), np.array([0.02, -0.01, 0.003, -0.001]), SIZE, LensModel.FISHEYE)
    k = [rng.uniform(-0.25, 0.1), rng.uniform(-0.05, 0.1), rng.normal(0, 5e-4), rng.normal(0, 5e-4), 0.0]
    return Intrinsics(np.array(matrix), np.array(k), SIZE)


def make_scene(
    n_cameras: int,
    *,
    seed: int,
    fisheye: bool = False,
    seconds: float = 40.0,
    rate_hz: float = 5.0,
    arc_rad: float = np.pi,
    radius_m: float = 2.2,
    turned: int | None = None,
) -> BoardScene:
    """Cameras on an arc around a board that wanders, turns and tilts; `turned` names one camera that stands on end."""
    rng = np.random.default_rng(seed)
    cameras = []
    for i in range(n_cameras):
        angle = arc_rad * (i / max(n_cameras - 1, 1) - 0.5) if arc_rad < 6 else arc_rad * i / n_cameras
        centre = np.array([radius_m * np.cos(angle), radius_m * np.sin(angle), 0.2 + 0.6 * (i % 2)])
        roll = np.pi / 2 if i == turned else rng.normal(0, 0.03)
        pose = look_at(centre, np.array([0.0, 0.0, 0.1]), roll_rad=roll)
        cameras.append(Camera(f"cam{i}", make_lens(fisheye=fisheye, rng=rng), pose))
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    R, t = wave_board(times, arc_rad=arc_rad, rng=rng)
    return BoardScene(BOARD, CameraRig(tuple(cameras)), times, R, t)


def wave_board(times_s: np.ndarray, *, arc_rad: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A hand that carries the board through the volume and shows it to one camera after another."""
    phase = rng.uniform(0, 2 * np.pi, 6)

    def swing(period_s: float, k: int) -> np.ndarray:
        return np.sin(2 * np.pi * times_s / period_s + phase[k])

    facing = 0.55 * arc_rad * np.sin(2 * np.pi * times_s / 17.0 + phase[0])
    if arc_rad > 6:
        facing = 2 * np.pi * times_s / 13.0
    tilt, lean = 0.5 * swing(3.7, 1), 0.5 * swing(2.9, 2)
    # The board's -z points at who looks at it; at rest it faces +x with its y axis down.
    upright = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    turn = Rotation.from_euler("zyx", np.stack([facing, tilt, lean], axis=1)).as_matrix()
    R = turn @ upright
    place = np.stack([0.5 * swing(7.3, 3), 0.5 * swing(6.1, 4), 0.1 + 0.35 * swing(5.3, 5)], axis=1)
    middle = BOARD.corners_m.mean(axis=0)
    return R, place - R @ middle


def see_corners(
    scene: BoardScene,
    *,
    noise_px: float = 0.0,
    outliers: float = 0.0,
    seed: int = 0,
    rig: CameraRig | None = None,
) -> BoardCorners:
    """What every camera sees of the board: corners in front of it, in the image, on a board turned towards it."""
    rng = np.random.default_rng(seed)
    cameras = (rig or scene.rig).cameras
    points = np.einsum("tij,nj->tni", scene.R_rig_board, scene.board.corners_m) + scene.t_rig_board_m[:, None]
    normal = -scene.R_rig_board[:, :, 2]
    xy = np.stack([_see(points, normal, c) for c in cameras], axis=1)
    xy = xy + rng.normal(0, noise_px, xy.shape) if noise_px else xy
    wrong = rng.random(xy.shape[:3]) < outliers
    xy = np.where(wrong[..., None], xy + rng.uniform(-60, 60, xy.shape), xy)
    sizes = tuple(c.intrinsics.size_px for c in cameras)
    return BoardCorners(scene.board, tuple(c.name for c in cameras), sizes, scene.times_s, xy)


def _see(points_m: np.ndarray, normal: np.ndarray, camera: Camera) -> np.ndarray:
    lens = pack_lenses([camera.intrinsics])
    placed = camera.T_cam_lab.apply(points_m)
    image = project_with_jacobian(placed, lens.values[0], lens.fisheye)
    towards = camera.centre_lab_m - points_m
    cosine = np.einsum("tni,ti->tn", towards, normal) / np.linalg.norm(towards, axis=-1)
    width, height = camera.intrinsics.size_px
    inside = (image.xy_px > 2).all(axis=-1) & (image.xy_px < [width - 3, height - 3]).all(axis=-1)
    off_axis = np.hypot(placed[..., 0], placed[..., 1]) < 1.5 * placed[..., 2]
    return np.where((image.in_front & inside & off_axis & (cosine > 0.4))[..., None], image.xy_px, np.nan)


def see_freely(scene: BoardScene, *, noise_px: float, rate_hz: float, seed: int) -> tuple[CameraCorners, ...]:
    """Free-running cameras: each takes its frames at its own moments, with its own rate error, start and lost frames.

    The scene's own rate must be high; a frame sees the board where interpolation between the scene's poses puts it.
    """
    rng = np.random.default_rng(seed)
    seen = []
    for camera in scene.rig.cameras:
        count = int((scene.times_s[-1] - 1.0) * rate_hz)
        times = rng.uniform(0.2, 0.8) + np.arange(count) / (rate_hz * (1 + rng.normal(0, 50e-6)))
        times = times[rng.random(count) > 0.01] + 0.0
        nearest = np.clip(np.searchsorted(scene.times_s, times), 0, len(scene.times_s) - 1)
        moment = replace(
            scene,
            rig=CameraRig((camera,)),
            times_s=scene.times_s[nearest],
            R_rig_board=scene.R_rig_board[nearest],
            t_rig_board_m=scene.t_rig_board_m[nearest],
        )
        corners = see_corners(moment, noise_px=noise_px, seed=int(rng.integers(1 << 30)))
        seen.append(CameraCorners(camera.name, SIZE, scene.times_s[nearest], corners.xy_px[:, 0]))
    return tuple(seen)


def compare_rigs(found: CameraRig, truth: CameraRig) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre errors (C,) m and rotation errors (C,) rad after laying the rigs on each other rigidly, and scale error.

    The rotation between the two worlds is the mean of the cameras' own, so that two cameras suffice.
    """
    R = Rotation.from_matrix(
        np.stack(
            [t.T_cam_lab.rotation.T @ f.T_cam_lab.rotation for f, t in zip(found.cameras, truth.cameras, strict=True)]
        )
    )
    mean = R.mean()
    a = np.stack([c.centre_lab_m for c in found.cameras])
    b = np.stack([c.centre_lab_m for c in truth.cameras])
    turned = mean.apply(a - a.mean(axis=0))
    centred = b - b.mean(axis=0)
    scale = float((turned * centred).sum() / (centred * centred).sum()) if len(a) > 1 else 1.0
    rotation = np.array([(mean.inv() * r).magnitude() for r in R])
    return np.linalg.norm(turned - centred, axis=1), rotation, scale - 1.0


def render_view(
    scene: BoardScene, camera: Camera, frame: int, *, blur_px: float = 0.7, noise: float = 2.0
) -> np.ndarray:
    """A picture of the board: its print laid into the image by the homography of its plane, on a grey room.

    A board with a mirrored back shows it from behind: the front as through glass.
    """
    board, lens = scene.board, camera.intrinsics
    scale = 2000.0  # px per m of the print
    size = (round(board.columns * board.square_m * scale), round(board.rows * board.square_m * scale))
    printed = make_cv_board(board).generateImage(size, marginSize=0, borderBits=1)
    printed = 255 - printed if board.inverted else printed
    quiet = 255 if not board.inverted else 0
    margin = 40
    printed = cv2.copyMakeBorder(printed, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=quiet)
    T = camera.T_cam_lab @ RigidTransform(scene.R_rig_board[frame], scene.t_rig_board_m[frame])
    plane = np.stack([T.rotation[:, 0], T.rotation[:, 1], T.translation_m], axis=1)
    to_plane = np.array([[1 / scale, 0, (0.5 - margin) / scale], [0, 1 / scale, (0.5 - margin) / scale], [0, 0, 1.0]])
    H = lens.matrix @ plane @ to_plane
    width, height = lens.size_px
    rng = np.random.default_rng(frame)
    room = np.full((height, width), 120, dtype=np.uint8)
    corners = (
        H
        @ np.array(
            [[0, 0, 1], [printed.shape[1], 0, 1], [0, printed.shape[0], 1], [printed.shape[1], printed.shape[0], 1.0]]
        ).T
    )
    if (corners[2] > 0.05).all() and (T.rotation[2, 2] > 0 or board.mirrored_back):
        cv2.warpPerspective(printed, H, (width, height), room, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT)
    picture = cv2.GaussianBlur(room, (0, 0), blur_px).astype(np.float64) + rng.normal(0, noise, room.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def render_frames(scene: BoardScene, name: str, frames: range) -> Iterator[np.ndarray]:
    camera = next(c for c in scene.rig.cameras if c.name == name)
    return (render_view(scene, camera, f) for f in frames)


def without_distortion(scene: BoardScene) -> BoardScene:
    """The same scene through ideal lenses, as `render_view` draws it."""
    cameras = [
        replace(c, intrinsics=Intrinsics(c.intrinsics.matrix, np.zeros(5), c.intrinsics.size_px))
        for c in scene.rig.cameras
    ]
    return replace(scene, rig=CameraRig(tuple(cameras)))
