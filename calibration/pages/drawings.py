"""What the report page draws, as plain numbers: error maps, the room from above and the side, the worst views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.board.detect import BoardCorners
from calibration.rig.quality import CornerErrors
from labsys.core.arrays import FloatArray, IntArray
from labsys.core.cameras import Camera, CameraRig

_COLUMNS, _ROWS = 16, 9
_LEAST_IN_CELL = 3
_WEDGE = 0.09  # length of a drawn camera, of the width of the drawing
_TRAIL = 300


@dataclass(frozen=True)
class ErrorCell:
    """One cell of an image: its middle and size in px, the RMS error in it, and the mean error as an arrow, px."""

    x: float
    y: float
    width: float
    height: float
    rms_px: float
    mean_px: tuple[float, float]
    count: int


@dataclass(frozen=True)
class DrawnCamera:
    """A camera in a drawing: its place, and the corners of its image a little before it."""

    name: str
    x: float
    y: float
    corners: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Plan:
    """The room seen along one axis, in m: view box (x, y, width, height), cameras, where the board was, axes' names."""

    title: str
    box: tuple[float, float, float, float]
    cameras: tuple[DrawnCamera, ...]
    trail: tuple[tuple[float, float], ...]
    across: str
    upward: str


@dataclass(frozen=True, eq=False)
class WorstView:
    """One camera's sight of the board at one instant, among those with the largest errors.

    Attributes:
        camera: index; instant: index into the take's instants.
        seen_px, expected_px: (n, 2) corners as detected, and where the others' rays put them.
        box_px: (x, y, width, height) around them.
    """

    camera: int
    instant: int
    rms_px: float
    seen_px: FloatArray
    expected_px: FloatArray
    box_px: tuple[float, float, float, float]


def map_errors(corners: BoardCorners, errors: CornerErrors, camera: int) -> tuple[ErrorCell, ...]:
    """Errors of one camera over its image; cells with fewer than three corners are left out."""
    residual, xy = errors.residual_px[:, camera], corners.xy_px[:, camera]
    known = np.isfinite(residual).all(axis=-1)
    residual, xy = residual[known], xy[known]
    width, height = (size / n for size, n in zip(corners.sizes_px[camera], (_COLUMNS, _ROWS), strict=True))
    cell: IntArray = np.floor(xy / [width, height]).astype(np.int64).clip(0, [_COLUMNS - 1, _ROWS - 1])
    cells = []
    for column, row in np.unique(cell, axis=0):
        inside = residual[(cell == [column, row]).all(axis=1)]
        if len(inside) >= _LEAST_IN_CELL:
            rms = float(np.sqrt((inside**2).sum(axis=1).mean()))
            mean = (float(inside[:, 0].mean()), float(inside[:, 1].mean()))
            cells.append(ErrorCell((column + 0.5) * width, (row + 0.5) * height, width, height, rms, mean, len(inside)))
    return tuple(cells)


def draw_plans(rig: CameraRig, errors: CornerErrors, *, in_lab: bool) -> tuple[Plan, Plan]:
    """The room from above and from the side; without LAB, along the axes of the first camera (y down, z forward)."""
    board = np.nanmean(errors.points_m[np.isfinite(errors.points_m).any(axis=(1, 2))], axis=1)
    board = board[:: max(1, -(-len(board) // _TRAIL))]
    if in_lab:
        return (
            _draw(rig, board, "From above", (0, 1.0, "forward (X)"), (2, -1.0, "the runner's left (−Z)")),
            _draw(rig, board, "From the runner's right", (0, 1.0, "forward (X)"), (1, 1.0, "up (Y)")),
        )
    first = rig.names[0]
    return (
        _draw(rig, board, f"From above {first}", (0, 1.0, f"{first}'s right"), (2, 1.0, f"forward of {first}")),
        _draw(rig, board, f"From {first}'s right", (2, 1.0, f"forward of {first}"), (1, -1.0, f"up of {first}")),
    )


_Axis = tuple[int, float, str]


def _draw(rig: CameraRig, board_m: FloatArray, title: str, across: _Axis, upward: _Axis) -> Plan:
    """Project on two axes; y counts downward in a drawing."""

    def flat(points_m: FloatArray) -> FloatArray:
        x, y = across[1] * points_m[..., across[0]], -upward[1] * points_m[..., upward[0]]
        return np.stack([x, y], axis=-1)

    centres = flat(np.stack([c.centre_lab_m for c in rig.cameras]))
    trail = flat(board_m)
    everything = np.concatenate([centres, trail])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.18 * float(max(*(high - low), 0.5))
    low, size = low - margin, high - low + 2 * margin
    reach = _WEDGE * float(size.max())
    cameras = []
    for camera, centre in zip(rig.cameras, centres, strict=True):
        corners = centre + reach * flat(_corner_rays(camera))
        cameras.append(DrawnCamera(camera.name, *_pair(centre), tuple(_pair(c) for c in corners)))
    box = (float(low[0]), float(low[1]), float(size[0]), float(size[1]))
    return Plan(title, box, tuple(cameras), tuple(_pair(p) for p in trail), across[2], upward[2])


def _corner_rays(camera: Camera) -> FloatArray:
    """Directions of the corners of its image in the rig's world, (4, 3), lens distortion left out."""
    lens = camera.intrinsics
    half = np.array(lens.size_px) / 2 / [lens.matrix[0, 0], lens.matrix[1, 1]]
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    rays = np.concatenate([signs * half, np.ones((4, 1))], axis=1) @ camera.T_cam_lab.rotation
    return np.asarray(rays, dtype=np.float64)


def _pair(point: FloatArray) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def find_worst_views(corners: BoardCorners, errors: CornerErrors, *, count: int) -> tuple[WorstView, ...]:
    """The views with the largest RMS error, at most one per instant."""
    known = np.isfinite(errors.residual_px).all(axis=-1)
    square = np.where(known, (np.nan_to_num(errors.residual_px) ** 2).sum(axis=-1), 0.0)
    rms = np.sqrt(square.sum(axis=2) / np.maximum(known.sum(axis=2), 1))
    camera_of = rms.argmax(axis=1)
    worst = rms.max(axis=1)
    chosen = [int(t) for t in np.argsort(-worst, kind="stable")[:count] if worst[t] > 0]
    return tuple(_worst_view(corners, errors, t, int(camera_of[t]), float(worst[t])) for t in chosen)


def _worst_view(corners: BoardCorners, errors: CornerErrors, t: int, camera: int, rms_px: float) -> WorstView:
    residual = errors.residual_px[t, camera]
    known = np.isfinite(residual).all(axis=-1)
    seen = corners.xy_px[t, camera, known]
    expected = seen - residual[known]
    both = np.concatenate([seen, expected])
    low, high = both.min(axis=0), both.max(axis=0)
    margin = 0.25 * float(max(*(high - low), 40.0))
    (x, y), (width, height) = low - margin, high - low + 2 * margin
    return WorstView(camera, t, rms_px, seen, expected, (float(x), float(y), float(width), float(height)))
