"""A ChArUco board in the room: where it is carried, and its picture, laid through the true lens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from calibration.board.board import make_cv_board
from calibration.lens import compiled
from calibration.projection import project
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.core.cameras import Camera, CameraRig
from pipelines.synthetic.pictures.film import lay_ground, picture_seed
from pipelines.synthetic.pictures.light import shade_vertices
from pipelines.synthetic.pictures.raster import Floats32, box_of
from pipelines.synthetic.pictures.sensor import Picture, develop, make_curve
from pipelines.synthetic.pictures.shadows import lay_on_belt, see_from_lamp
from pipelines.synthetic.pictures.stage import Stage

_TEXEL_M = 0.001
_MARGIN_M = 0.02
_BLACK, _WHITE, _BACK = 0.035, 0.80, 0.30
_NEARER_M = 0.02  # a sheet that lies on something wins over it
_GRID = 4  # samples of a pixel along each side, each at its own moment of the exposure
_MOVE_S = 1.2
_REACH_M = (0.40, 0.28, 0.35)
# Board x to X, y to Z, z down: face up on the belt, columns running forward.
LYING = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True, eq=False)
class WavedBoard:
    """A board that lies in the middle of the belt, is shown to each camera from near, and is carried through the room.

    Attributes:
        belt_texture: see `belt.paint_belt`.
        lying_s: how long it lies, columns running forward. near: cameras that get it from near, one after another, so
            that their lenses can be told; near_s: how long each. height_m: middle of the volume it is carried through.
    """

    board: Board
    belt_texture: Floats32
    seed: int
    lying_s: float = 2.0
    near: CameraRig | None = None
    near_s: float = 5.0
    height_m: float = 0.95

    def pose(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotations (T, 3, 3) and places (T, 3) m of the board's frame in LAB."""
        times = np.asarray(times_s, dtype=np.float64)
        parts = self._parts()
        R, t = parts[0](times)
        for i, part in enumerate(parts[1:]):
            begins = self.lying_s + i * self.near_s
            share = np.clip((times - begins) / _MOVE_S, 0.0, 1.0)
            share = share * share * (3.0 - 2.0 * share)
            if not (share > 0).any():
                break
            R, t = _between(share, (R, t), part(np.maximum(times - begins, 0.0)))
        return R, t

    @property
    def lying_m(self) -> FloatArray:
        """Where the lying board has its own origin, (3,) m in LAB: a calibration that is placed by it calls this 0."""
        outer = 0.5 * self.board.square_m * np.array([self.board.columns, self.board.rows, 0.0])
        return np.asarray(-LYING @ outer)

    def _parts(self) -> list[Callable[[FloatArray], tuple[FloatArray, FloatArray]]]:
        near = () if self.near is None else self.near.cameras
        return [self._lie, *(partial(self._approach, camera) for camera in near), self._carry]

    def _lie(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        count = len(times_s)
        return np.repeat(LYING[None], count, axis=0), np.repeat(self.lying_m[None], count, axis=0)

    def _approach(self, camera: Camera, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Over all of one camera's picture, near and less near, leaning to every side."""
        turn = 2 * np.pi * times_s / self.near_s
        width_m = self.board.columns * self.board.square_m
        (width, _), focal = camera.intrinsics.size_px, camera.intrinsics.matrix[0, 0]
        depth = focal * width_m / (width * (0.50 + 0.14 * np.cos(2.0 * turn)))
        height = camera.intrinsics.size_px[1]
        aside = np.stack([0.27 * width * np.sin(2 * turn), 0.24 * height * np.sin(3 * turn + 0.5)], axis=-1) / focal
        middle = np.column_stack([aside * depth[:, None], depth])
        lean = np.radians(36.0)
        tilt = np.stack([lean * np.sin(3 * turn + 1.0), lean * np.cos(2 * turn + 0.6), 0.4 * np.sin(turn)], axis=-1)
        T_lab_cam = camera.T_cam_lab.inverse()
        R = T_lab_cam.rotation @ Rotation.from_rotvec(tilt).as_matrix()
        return R, T_lab_cam.apply(middle) - R @ self.board.corners_m.mean(axis=0)

    def _carry(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A hand that carries the board through the volume and shows it to one camera after another."""
        start = np.random.default_rng([self.seed, 83]).uniform(0, 2 * np.pi, 6)

        def swing(period_s: float, k: int) -> FloatArray:
            return np.asarray(np.sin(2 * np.pi * times_s / period_s + start[k]))

        facing = 2 * np.pi * times_s / 12.0 + start[0]
        rise = np.radians(14.0) + np.radians(16.0) * swing(3.9, 1)
        face = np.stack([np.cos(rise) * np.cos(facing), np.sin(rise), np.cos(rise) * np.sin(facing)], axis=-1)
        # z into the board, away from who looks at it; x level before it is turned about the face.
        z = -face
        x = np.cross(z, [0.0, -1.0, 0.0])
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        R = np.stack([x, np.cross(z, x), z], axis=-1)
        R = R @ Rotation.from_rotvec(np.outer(0.7 * swing(5.1, 2), [0.0, 0.0, 1.0])).as_matrix()
        wander = np.stack([swing(7.3, 3), swing(6.1, 4), swing(5.3, 5)], axis=-1) * _REACH_M
        middle = self.board.corners_m.mean(axis=0)
        return R, np.array([0.0, self.height_m, 0.0]) + wander - R @ middle


def _between(
    share: FloatArray, first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Poses a share (T,) of the way from the first to the second."""
    start, end = Rotation.from_matrix(first[0]), Rotation.from_matrix(second[0])
    turn = (start.inv() * end).as_rotvec()
    R = (start * Rotation.from_rotvec(share[:, None] * turn)).as_matrix()
    return np.asarray(R), first[1] + share[:, None] * (second[1] - first[1])


@dataclass(frozen=True, eq=False)
class BoardShot:
    """One picture and its truth.

    Attributes:
        picture: (H, W, 3) RGB. time_s: middle of the exposure.
        corners_px: (N, 2) px in IMAGE of the board's inner corners, NaN where the board shows its back.
    """

    picture: Picture
    time_s: float
    corners_px: FloatArray


def shoot_board(
    stage: Stage, actor: WavedBoard, times_s: FloatArray, *, exposure_s: float, seed: int
) -> Iterator[BoardShot]:
    """The pictures of the board that one camera takes at these moments (middles of its exposures)."""
    curve, printed, samples = make_curve(), print_board(actor.board), _samples()
    outline = _outline_m(actor.board)
    middles = np.asarray(times_s, dtype=np.float64)
    for number, moment in enumerate(middles):
        R, t = actor.pose(moment + exposure_s * samples[:, 2])
        (middle_R,), (middle_t,) = actor.pose(middles[number : number + 1])
        placed = outline @ middle_R.T + middle_t
        ground = stage.still.copy()
        lay_ground(stage, actor.belt_texture, ground, _board_shadow(stage, placed), 0.0, 0.0)
        corners = np.einsum("sij,nj->sni", R, outline) + t[:, None]
        box = box_of(project(stage.camera, corners.reshape(-1, 3)), stage.camera.intrinsics.size_px, 3.0)
        light = _light_on(stage, placed.mean(axis=0), middle_R)
        poses = np.concatenate([R.reshape(len(R), 9), t], axis=1)
        lay_print(stage.camera.centre_lab_m, stage.rays, stage.depth[0], poses, (samples, printed, light), box, ground)
        picture = develop(ground, stage.sensor, stage.falloff, curve, seed=picture_seed(seed, number))
        yield BoardShot(picture, float(moment), _true_corners(stage, actor.board, middle_R, middle_t))


def _true_corners(stage: Stage, board: Board, R: FloatArray, t: FloatArray) -> FloatArray:
    corners = project(stage.camera, board.corners_m @ R.T + t)
    faces = (stage.camera.centre_lab_m - t) @ R[:, 2] < 0
    return corners if faces else np.full_like(corners, np.nan)


def _outline_m(board: Board) -> FloatArray:
    """Corners (4, 3) m of the printed sheet in the board's frame."""
    low, high = -_MARGIN_M, np.array([board.columns, board.rows]) * board.square_m + _MARGIN_M
    return np.array([[low, low, 0], [high[0], low, 0], [high[0], high[1], 0], [low, high[1], 0]])


def _board_shadow(stage: Stage, placed: FloatArray) -> FloatArray:
    """The shadow map of the sheet; none while it lies."""
    depth = see_from_lamp(lay_on_belt(placed, stage.light.panel_m), _BOTH_FACES)
    return depth if placed[:, 1].max() > 0.02 else np.full_like(depth, np.inf)


_BOTH_FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 2, 1], [0, 3, 2]], dtype=np.int32)


def _light_on(stage: Stage, middle: FloatArray, R: FloatArray) -> FloatArray:
    """Light (2, 3) on the board's face and on its back."""
    normals = np.stack([-R[:, 2], R[:, 2]])
    out = np.empty((2, 3))
    shade_vertices(np.stack([middle, middle]), normals, np.ones(2), stage.light, out)
    return out


def print_board(board: Board) -> Floats32:
    """Albedo (rows, columns) of the board with a margin, one texel per millimetre."""
    shape = round(board.columns * board.square_m / _TEXEL_M), round(board.rows * board.square_m / _TEXEL_M)
    picture = make_cv_board(board).generateImage(shape, marginSize=0, borderBits=1)
    margin = round(_MARGIN_M / _TEXEL_M)
    picture = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=255)
    share = (255 - picture if board.inverted else picture).astype(np.float32) / 255.0
    return np.ascontiguousarray(_BLACK + (_WHITE - _BLACK) * share)


def _samples() -> FloatArray:
    """(16, 3): place in the pixel, px from its middle, and in the exposure, -0.5 to 0.5; times mixed over places."""
    at = (np.arange(_GRID) + 0.5) / _GRID - 0.5
    count = _GRID * _GRID
    order = np.argsort((0.5 + 0.618033988749895 * np.arange(count)) % 1.0)
    times = np.empty(count)
    times[order] = (np.arange(count) + 0.5) / count - 0.5
    places = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.column_stack([places, times])


@compiled
def lay_print(origin, rays, depth, poses, sheet, box, ground):  # type: ignore[no-untyped-def]  # compiled
    """Lay a printed sheet over a picture where nothing stands before it.

    Args:
        origin: (3,) m, the camera. rays: (H, W, 3) of the pixels' middles. depth: (H, W) m of what stands still.
        poses: (S, 12) rotation and place of the sheet in LAB at every sample.
        sheet: samples (S, 3), print (rows, columns), light (2, 3) on face and back.
        box: left, top, right, bottom. ground: (H, W, 3), changed.
    """
    samples, printed, light = sheet
    rows, columns = printed.shape
    count = samples.shape[0]
    for y in range(max(box[1], 1), min(box[3], rays.shape[0] - 1)):
        for x in range(max(box[0], 1), min(box[2], rays.shape[1] - 1)):
            red, green, blue, hits = 0.0, 0.0, 0.0, 0
            for s in range(count):
                P, dx, dy = poses[s], samples[s, 0], samples[s, 1]
                rx = rays[y, x, 0] + 0.5 * dx * (rays[y, x + 1, 0] - rays[y, x - 1, 0])
                ry = rays[y, x, 1] + 0.5 * dx * (rays[y, x + 1, 1] - rays[y, x - 1, 1])
                rz = rays[y, x, 2] + 0.5 * dx * (rays[y, x + 1, 2] - rays[y, x - 1, 2])
                rx += 0.5 * dy * (rays[y + 1, x, 0] - rays[y - 1, x, 0])
                ry += 0.5 * dy * (rays[y + 1, x, 1] - rays[y - 1, x, 1])
                rz += 0.5 * dy * (rays[y + 1, x, 2] - rays[y - 1, x, 2])
                ox, oy, oz = origin[0] - P[9], origin[1] - P[10], origin[2] - P[11]
                towards = rx * P[2] + ry * P[5] + rz * P[8]
                if abs(towards) < 1e-9:
                    continue
                far = -(ox * P[2] + oy * P[5] + oz * P[8]) / towards
                if not (0.0 < far < depth[y, x] + _NEARER_M):
                    continue
                px, py, pz = ox + far * rx, oy + far * ry, oz + far * rz
                u = (px * P[0] + py * P[3] + pz * P[6] + _MARGIN_M) / _TEXEL_M - 0.5
                v = (px * P[1] + py * P[4] + pz * P[7] + _MARGIN_M) / _TEXEL_M - 0.5
                if not (-0.5 <= u <= columns - 0.5 and -0.5 <= v <= rows - 0.5):
                    continue
                albedo, side = _BACK, 1
                if towards > 0.0:
                    side = 0
                    i, j = min(max(int(u), 0), columns - 2), min(max(int(v), 0), rows - 2)
                    a, b = min(max(u - i, 0.0), 1.0), min(max(v - j, 0.0), 1.0)
                    upper = (1 - a) * printed[j, i] + a * printed[j, i + 1]
                    albedo = (1 - b) * upper + b * ((1 - a) * printed[j + 1, i] + a * printed[j + 1, i + 1])
                red += albedo * light[side, 0]
                green += albedo * light[side, 1]
                blue += albedo * light[side, 2]
                hits += 1
            if hits > 0:
                free = 1.0 - hits / count
                ground[y, x, 0] = free * ground[y, x, 0] + red / count
                ground[y, x, 1] = free * ground[y, x, 1] + green / count
                ground[y, x, 2] = free * ground[y, x, 2] + blue / count
