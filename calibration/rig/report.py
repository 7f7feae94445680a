"""What a calibration is worth: figures per camera, per pair and for the rig, a grade, and a gate.

Definitions are those of `quality`. The grade is that of the worst figure; C is the last grade that passes the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration.board.coverage import map_coverage
from calibration.board.detect import BoardCorners
from calibration.rig.grade import (
    GRADE_C,
    Criterion,
    GradeLimits,
    camera_criteria,
    grade_of,
    lag_criteria,
    rig_criteria,
    sort_criteria,
)
from calibration.rig.lens_check import LensExam
from calibration.rig.moved import measure_drifts_px
from calibration.rig.quality import BoardQuality, CornerErrors, measure_corners, summarise
from calibration.rig.solve import SolvedRig, SolveSettings, draw_folds, measure_heldout
from calibration.rig.sync import lags_in_frames
from labsys.core.arrays import BoolArray
from labsys.core.errors import GateRefusedError


@dataclass(frozen=True, eq=False)
class CameraReport:
    """One camera's figures.

    Attributes:
        n_boards: frames in which its view of the board fixes a pose.
        coverage: share of its image that boards covered; `coverage_map` is (18, 32) True where they did.
        time_offset_s, time_offset_sd_s: how much later than the first camera's its frames are taken.
        centre_sd_m: of its place relative to the first camera, from corner noise alone.
        drift_px: how far its image drifts from the take's beginning to its end, RMS; NaN where too little shows it.
    """

    name: str
    rms_px: float
    median_px: float
    p95_px: float
    n_boards: int
    coverage: float
    coverage_map: BoolArray
    time_offset_s: float
    time_offset_sd_s: float
    centre_sd_m: float
    drift_px: float


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """Everything that is said about one calibration.

    Attributes:
        quality: over all instants; heldout: every instant as seen by a rig solved without it.
        shared_boards: (camera, camera) -> instants at which both saw the board.
        scale_error: relative, signed; from an independent length where there is one, else from the board's edges.
        grade: "A", "B", "C" or "refused"; criteria: what it rests on, worst first; limits: of the grades.
        up_sd_rad, heading_sd_rad: NaN until the rig is placed in LAB.
        seconds: stage -> wall time. override_reason: why a refused calibration is used all the same.
    """

    engine: str
    n_frames: int
    edge_true_m: float
    quality: BoardQuality
    heldout: BoardQuality
    cameras: tuple[CameraReport, ...]
    shared_boards: Mapping[tuple[str, str], int]
    scale_error: float
    grade: str
    criteria: tuple[Criterion, ...]
    limits: GradeLimits
    up_sd_rad: float = float("nan")
    heading_sd_rad: float = float("nan")
    seconds: Mapping[str, float] | None = None
    override_reason: str = ""

    @property
    def deciding(self) -> tuple[Criterion, ...]:
        """The worst figure; where that is coverage, which says nothing of errors, the worst of the others with it."""
        others = [c for c in self.criteria if not c.of_coverage]
        return self.criteria[:1] if not self.criteria[0].of_coverage else (self.criteria[0], *others[:1])


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Instants (T,) True where tested, and what those instants look like to rigs that were solved without them."""

    tested: BoolArray
    errors: CornerErrors


def hold_out(corners: BoardCorners, solved: SolvedRig, settings: SolveSettings) -> HeldOut:
    """Test every shared instant on a rig that was solved from the other folds; false detections are left out."""
    fold = draw_folds(corners)
    tested = np.asarray(fold >= 0, dtype=np.bool_)
    errors = measure_heldout(corners.without(solved.gross), solved, fold, settings)
    return HeldOut(tested, CornerErrors(errors.points_m[tested], errors.residual_px[tested]))


def make_report(
    corners: BoardCorners,
    solved: SolvedRig,
    *,
    heldout: HeldOut,
    engine: str,
    free_running: bool,
    exam: LensExam | None,
    limits: GradeLimits | None = None,
    scale_error: float | None = None,
) -> CalibrationReport:
    """Measure a solved rig on all corners, shared ones and held-out ones, and grade it.

    False detections (`solved.gross`) are left out and counted: the figures must rest on 95 % of the shared corners.

    Args:
        heldout: instants as rigs see them that were solved without them (`hold_out`).
        free_running: nothing triggers the cameras together, so that a moving board is seen at different moments.
        exam: of lenses that were measured elsewhere, None where they come from the same boards. With given lenses, poor
            coverage of the image costs the better grades but is no ground to refuse: a pose needs boards, not boards
            everywhere.
        scale_error: relative error found with an independent length; None takes the board's own edges.
    """
    detected = corners.seen
    corners = corners.without(solved.gross)
    errors = measure_corners(corners, solved.rig)
    quality = summarise(corners, errors, detected=detected)
    heldout_quality = summarise(corners.at_frames(heldout.tested), heldout.errors)
    drifts_px = measure_drifts_px(solved, corners.times_s)
    cameras = tuple(_camera_report(corners, errors, solved, i, drifts_px[i]) for i in range(len(corners.cameras)))
    scale = quality.edge_mean_m / corners.board.square_m - 1.0 if scale_error is None else scale_error
    chosen = limits or GradeLimits()
    criteria = sort_criteria(
        *rig_criteria(quality, heldout_quality, scale, chosen, free_running=free_running),
        *(c for camera in cameras for c in camera_criteria(camera, chosen, lenses_given=exam is not None)),
        *(Criterion(f.text, f.excess, f.remedy) for f in (exam.figures if exam else ())),
        *lag_criteria(corners.cameras, lags_in_frames(solved, corners.times_s)),
    )
    return CalibrationReport(
        engine=engine,
        n_frames=len(corners.times_s),
        edge_true_m=corners.board.square_m,
        quality=quality,
        heldout=heldout_quality,
        cameras=cameras,
        shared_boards=_shared(corners),
        scale_error=scale,
        grade=grade_of(criteria[0].excess),
        criteria=criteria,
        limits=chosen,
    )


def check_gate(report: CalibrationReport) -> None:
    """Refuse what is worse than grade C, unless somebody put a reason for using it on record.

    Raises:
        GateRefusedError: names every figure that is out of bounds, and what to do about the worst.
    """
    if report.grade != "refused" or report.override_reason:
        return
    failing = [c for c in report.criteria if c.excess > GRADE_C]
    raise GateRefusedError(
        "the calibration is refused: " + "; ".join(c.text for c in failing), remedy=failing[0].remedy
    )


def _camera_report(
    corners: BoardCorners, errors: CornerErrors, solved: SolvedRig, index: int, drift_px: float
) -> CameraReport:
    distance = errors.distance_px[:, index]
    distance = distance[np.isfinite(distance)]
    figures = [float("nan")] * 3
    if distance.size:
        figures = [float(np.sqrt(np.mean(distance**2))), *(float(np.percentile(distance, p)) for p in (50, 95))]
    covered = map_coverage(corners.xy_px[:, index], corners.sizes_px[index])
    return CameraReport(
        name=corners.cameras[index],
        rms_px=figures[0],
        median_px=figures[1],
        p95_px=figures[2],
        n_boards=int(corners.has_board[:, index].sum()),
        coverage=float(covered.mean()),
        coverage_map=covered,
        time_offset_s=float(solved.lag_s[index]),
        time_offset_sd_s=float(solved.lag_sd_s[index]),
        centre_sd_m=float(solved.centre_sd_m[index]),
        drift_px=float(drift_px),
    )


def _shared(corners: BoardCorners) -> dict[tuple[str, str], int]:
    has, names = corners.has_board, corners.cameras
    pairs = [(a, b) for a in range(len(names)) for b in range(a + 1, len(names))]
    return {(names[a], names[b]): int((has[:, a] & has[:, b]).sum()) for a, b in pairs}
