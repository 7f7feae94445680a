"""A ChArUco board in the room: where it is carried, and its picture, laid through the true lens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy.spatial.transform import Rotation

from calibration.projection import project
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.core.cameras import Camera, CameraRig
from pipelines.synthetic.pictures.easel import Easel
from pipelines.synthetic.pictures.film import lay_ground, picture_seed
from pipelines.synthetic.pictures.light import PackedLight, shade_vertices
from pipelines.synthetic.pictures.raster import Floats32, box_of
from pipelines.synthetic.pictures.sensor import Picture
from pipelines.synthetic.pictures.shadows import Shadow, lay_on_belt, see_from_lamp, soften
from pipelines.synthetic.pictures.sheet import MARGIN_M, SAMPLES, lay_sheet, print_board, see_sheet
from pipelines.synthetic.pictures.stage import Stage

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
    scene, easel = BoardScene(actor, stage.light, np.asarray(times_s, dtype=np.float64), exposure_s), Easel(stage)
    for number, moment in enumerate(scene.times_s):
        held = scene.pose(number)
        picture = scene.picture(easel, held, picture_seed(seed, number))
        yield BoardShot(picture, float(moment), _true_corners(stage.camera, actor.board, held))


@dataclass(eq=False)
class BoardScene:
    """A board to be filmed at these moments (T,) s, middles of exposures; see `shooting.Scene`."""

    actor: WavedBoard
    light: PackedLight
    times_s: FloatArray
    exposure_s: float
    _printed: Floats32 = field(init=False)

    def __post_init__(self) -> None:
        self._printed = print_board(self.actor.board)

    def pose(self, moment: int) -> HeldBoard:
        """The board in one exposure."""
        return hold_board(self.actor, self.light, float(self.times_s[moment]), self.exposure_s)

    def draw(self, easel: Easel, posed: HeldBoard, seed: int) -> tuple[Picture, FloatArray, FloatArray]:
        """A picture of the board, where its corners are (N, 2) px, and 1 for each (N,) that is in the picture."""
        picture, corners = self.picture(easel, posed, seed), _true_corners(easel.stage.camera, self.actor.board, posed)
        with np.errstate(invalid="ignore"):
            last = np.array(easel.stage.camera.intrinsics.size_px) - 1
            inside = ((corners >= 0) & (corners <= last)).all(axis=1)
        return picture, corners, np.where(inside, 1.0, 0.0)

    def picture(self, easel: Easel, held: HeldBoard, seed: int) -> Picture:
        """A picture of the board."""
        stage = easel.stage
        easel.clear()
        lay_ground(easel, self.actor.belt_texture, held.shadow, 0.0, 0.0)
        box = box_of(project(stage.camera, held.corners_m), stage.camera.intrinsics.size_px, 3.0)
        seen = see_sheet(stage.camera.centre_lab_m, held.poses)
        lay_sheet(stage.rays, stage.depth[0], seen, self._printed, held.light, box, easel.light)
        easel.touch(box)
        return easel.develop(seed)


@dataclass(frozen=True, eq=False)
class HeldBoard:
    """The board during one exposure.

    Attributes:
        R, t: (3, 3) and (3,) m in the middle; poses: (S, 12) rotation and place at every sample of a pixel.
        corners_m: (S * 4, 3) of the sheet at every sample. light: (2, 3) on its face and its back.
        shadow: on the ground.
    """

    R: FloatArray
    t: FloatArray
    poses: FloatArray
    corners_m: FloatArray
    light: FloatArray
    shadow: Shadow


def hold_board(actor: WavedBoard, light: PackedLight, time_s: float, exposure_s: float) -> HeldBoard:
    """Where the board is during an exposure, in the room's light; the same for every camera of a room."""
    R, t = actor.pose(np.append(time_s + exposure_s * SAMPLES[:, 2], time_s))
    outline = _outline_m(actor.board)
    placed = outline @ R[-1].T + t[-1]
    return HeldBoard(
        R[-1],
        t[-1],
        np.concatenate([R[:-1].reshape(-1, 9), t[:-1]], axis=1),
        (np.einsum("sij,nj->sni", R[:-1], outline) + t[:-1, None]).reshape(-1, 3),
        _light_on(light, placed.mean(axis=0), R[-1]),
        _board_shadow(light, placed),
    )


def _true_corners(camera: Camera, board: Board, held: HeldBoard) -> FloatArray:
    corners = project(camera, board.corners_m @ held.R.T + held.t)
    faces = (camera.centre_lab_m - held.t) @ held.R[:, 2] < 0
    return corners if faces else np.full_like(corners, np.nan)


def _outline_m(board: Board) -> FloatArray:
    """Corners (4, 3) m of the printed sheet in the board's frame."""
    low, high = -MARGIN_M, np.array([board.columns, board.rows]) * board.square_m + MARGIN_M
    return np.array([[low, low, 0], [high[0], low, 0], [high[0], high[1], 0], [low, high[1], 0]])


def _board_shadow(light: PackedLight, placed: FloatArray) -> Shadow:
    """The shadow of the sheet; none while it lies."""
    depth = see_from_lamp(lay_on_belt(placed, light.panel_m), _BOTH_FACES)
    return soften(depth if placed[:, 1].max() > 0.02 else np.full_like(depth, np.inf))


_BOTH_FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 2, 1], [0, 3, 2]], dtype=np.int32)


def _light_on(light: PackedLight, middle: FloatArray, R: FloatArray) -> FloatArray:
    """Light (2, 3) on the board's face and on its back."""
    normals = np.stack([-R[:, 2], R[:, 2]])
    out = np.empty((2, 3))
    shade_vertices(np.stack([middle, middle]), normals, np.ones(2), light, out)
    return out
