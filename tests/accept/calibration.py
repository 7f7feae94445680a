"""How far solved rigs are from the truth of synthetic ones: camera centres, rotations and scale.

Shared by the short and the long suite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from calibration.board.detect import BoardCorners
from calibration.calibrate import calibrate_corners, join_cameras
from calibration.rig.solve import solve_rig
from labsys.core.cameras import CameraRig
from tests.test_calibration.board_scenes import BOARD, BoardScene, compare_rigs, make_scene, see_corners, see_freely

ALL_AROUND_RAD = 6.2
FREE_RATE_HZ = 20.0


@dataclass(frozen=True)
class Case:
    """One kind of rig and take.

    Attributes:
        turned: the camera that stands on end. late: the last camera sees nothing in the first two thirds.
        outliers: share of corners that are up to 60 px off. free_running: every camera has its own clock, with
            timestamps; the board is seen at 20 Hz for 15 s then.
        radius_m: how far the cameras stand from the board's middle.
    """

    n_cameras: int
    noise_px: float
    fisheye: bool = False
    arc_rad: float = np.pi
    turned: int | None = 1
    late: bool = False
    outliers: float = 0.0
    free_running: bool = False
    radius_m: float = 2.2

    @property
    def text(self) -> str:
        """What is special about it, in words."""
        special = [
            "all around, some never meet the first" if self.arc_rad == ALL_AROUND_RAD else "",
            "one stands on end" if self.turned is not None else "",
            f"{self.radius_m:g} m away" if self.radius_m != 2.2 else "",
            "one is late" if self.late else "",
            f"{100 * self.outliers:g} % false corners" if self.outliers else "",
            "free-running clocks" if self.free_running else "",
        ]
        return ", ".join(s for s in special if s) or "–"


@dataclass(frozen=True)
class RigErrors:
    """Errors of one solved rig: of the cameras' centres (C,) mm and rotations (C,) deg, and of scale, %."""

    centres_mm: np.ndarray
    rotations_deg: np.ndarray
    scale_pct: float


def make_case(case: Case, seed: int) -> BoardScene:
    """The case's true rig and waved board."""
    turned = None if case.turned is None else min(case.turned, case.n_cameras - 1)
    rate = {"rate_hz": 600.0, "seconds": 16.0} if case.free_running else {"rate_hz": 5.0, "seconds": 40.0}
    return make_scene(
        case.n_cameras,
        seed=100 * seed + case.n_cameras,
        fisheye=case.fisheye,
        arc_rad=case.arc_rad,
        radius_m=case.radius_m,
        turned=turned,
        **rate,
    )


def see_case(case: Case, scene: BoardScene, seed: int) -> BoardCorners:
    """What the cameras see of it."""
    if case.free_running:
        seen = see_freely(scene, noise_px=case.noise_px, rate_hz=FREE_RATE_HZ, seed=seed)
        return join_cameras(seen, BOARD, rate_hz=FREE_RATE_HZ, times_s={c.camera: c.times_s for c in seen})
    corners = see_corners(scene, noise_px=case.noise_px, outliers=case.outliers, seed=seed)
    if case.late:
        xy = corners.xy_px.copy()
        xy[: 2 * len(xy) // 3, -1] = np.nan
        corners = replace(corners, xy_px=xy)
    return corners


def solve_case(case: Case, seed: int) -> RigErrors:
    """One rig calibrated as a user would, from given lenses, and compared with the truth."""
    scene = make_case(case, seed)
    return rig_errors(calibrate_corners(see_case(case, scene, seed), lenses=scene.lenses).rig, scene.rig)


def rig_errors(found: CameraRig, truth: CameraRig) -> RigErrors:
    """Errors after laying one rig on the other without changing its size."""
    centres_m, turns_rad, scale = compare_rigs(found, truth)
    return RigErrors(1000.0 * centres_m, np.degrees(turns_rad), 100.0 * scale)


def solve_bytes(case: Case, seed: int) -> bytes:
    """A solved rig's every number, byte for byte."""
    scene = make_case(case, seed)
    solved = solve_rig(see_case(case, scene, seed), tuple(scene.lenses.values())).rig
    return b"".join(c.T_cam_lab.rotation.tobytes() + c.T_cam_lab.translation_m.tobytes() for c in solved.cameras)


@dataclass(frozen=True)
class WorstErrors:
    """Over seeds and cameras: median and largest centre error mm, largest rotation deg, largest scale error %."""

    seeds: int
    centre_median_mm: float
    centre_worst_mm: float
    rotation_worst_deg: float
    scale_worst_pct: float


def worst_of(errors: Sequence[RigErrors]) -> WorstErrors:
    """One row of the table."""
    centres = np.concatenate([e.centres_mm for e in errors])
    return WorstErrors(
        len(errors),
        float(np.median(centres)),
        float(centres.max()),
        float(max(e.rotations_deg.max() for e in errors)),
        float(max(abs(e.scale_pct) for e in errors)),
    )
