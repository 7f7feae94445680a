"""Board corners as the solvers see them: one row per view, that is one camera's sight of the board at one instant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.detect import BoardCorners
from labsys.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class BoardViews:
    """V views of a board with N corners.

    Attributes:
        camera, frame: (V,) indices into the cameras and instants that the views came from.
        xy_px: (V, N, 2) px, 0 where not used.
        used: (V, N) True where a corner takes part.
        corners_m: (N, 3) m in the board's frame.
    """

    camera: IntArray
    frame: IntArray
    xy_px: FloatArray
    used: BoolArray
    corners_m: FloatArray

    @property
    def n_corners(self) -> int:
        """Corner sightings that take part."""
        return int(self.used.sum())

    def only(self, used: BoolArray) -> BoardViews:
        """The same views with fewer corners; `used` is (V, N)."""
        return BoardViews(self.camera, self.frame, self.xy_px, self.used & used, self.corners_m)

    def rows(self, keep: BoolArray) -> BoardViews:
        """Some of the views, `keep` is (V,)."""
        return BoardViews(self.camera[keep], self.frame[keep], self.xy_px[keep], self.used[keep], self.corners_m)


def collect_views(corners: BoardCorners) -> BoardViews:
    """Every view in which the board's pose can be told, ordered by instant, then camera."""
    frame, camera = np.nonzero(corners.has_board)
    used = corners.seen[frame, camera]
    xy = np.where(used[..., None], corners.xy_px[frame, camera], 0.0)
    return BoardViews(camera.astype(np.int64), frame.astype(np.int64), xy, used, corners.board.corners_m)
