"""Board corners as the solvers see them: one row per view, that is one camera's sight of the board at one instant."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.board.detect import BoardCorners
from labsys.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class BoardViews:
    """V views of a board with N corners.

    Attributes:
        camera, frame: (V,) indices into the cameras and instants that the views came from.
        xy_px: (V, N, 2) px, 0 where not used.
        used: (V, N) True where a corner takes part.
        velocity_px_s: (V, N, 2) px/s of the corner in the image, 0 where unknown.
        corners_m: (N, 3) m in the board's frame.
    """

    camera: IntArray
    frame: IntArray
    xy_px: FloatArray
    used: BoolArray
    velocity_px_s: FloatArray
    corners_m: FloatArray

    @property
    def n_corners(self) -> int:
        """Corner sightings that take part."""
        return int(self.used.sum())

    def only(self, used: BoolArray) -> BoardViews:
        """The same views with fewer corners; `used` is (V, N)."""
        return replace(self, used=self.used & used)

    def rows(self, keep: BoolArray) -> BoardViews:
        """Some of the views, `keep` is (V,); their frames keep their numbers."""
        return replace(
            self,
            camera=self.camera[keep],
            frame=self.frame[keep],
            xy_px=self.xy_px[keep],
            used=self.used[keep],
            velocity_px_s=self.velocity_px_s[keep],
        )

    def renumbered(self) -> BoardViews:
        """The same views with frames numbered from 0 without gaps, in the order of time."""
        return replace(self, frame=np.unique(self.frame, return_inverse=True)[1].astype(np.int64))


def collect_views(corners: BoardCorners, instants: IntArray | None = None) -> BoardViews:
    """Every view in which the board's pose can be told, ordered by instant, then camera.

    Args:
        instants: which ones to look at, ascending, None for all; the views' frames are numbered along them.
    """
    chosen = np.arange(len(corners.times_s)) if instants is None else instants
    frame, camera = np.nonzero(corners.has_board[chosen])
    used = corners.seen[chosen[frame], camera]
    xy = np.where(used[..., None], corners.xy_px[chosen[frame], camera], 0.0)
    velocity = np.nan_to_num(corner_velocity(corners)[chosen[frame], camera])
    return BoardViews(
        camera.astype(np.int64), frame.astype(np.int64), xy, used, velocity, np.array(corners.board.corners_m)
    )


def corner_velocity(corners: BoardCorners) -> FloatArray:
    """Velocity of the corners in the images by central differences, (T, C, N, 2) px/s; NaN where unknown."""
    xy, times = corners.xy_px, corners.times_s
    velocity = np.full(xy.shape, np.nan)
    if len(times) >= 3:
        velocity[1:-1] = (xy[2:] - xy[:-2]) / (times[2:] - times[:-2])[:, None, None, None]
    return velocity
