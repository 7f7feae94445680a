"""The report as one HTML page: no script, no network, drawings as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calibration.board.detector import Gray
from calibration.calibrate import CalibrationOutcome
from calibration.pages.drawings import ErrorCell, WorstView, draw_plans, find_worst_views, map_errors
from calibration.pages.embedding import embed_part
from calibration.pages.rendering import render_template
from calibration.rig.grade import GradeLimits
from calibration.rig.quality import CornerErrors, measure_corners
from calibration.rig.report import CameraReport
from labsys.core.units import millimetres

WORST_VIEWS = 6
_PICTURE_PX = 360
_CRITERIA = 8  # shown at least


@dataclass(frozen=True, eq=False)
class _CameraPage:
    """One camera's row and maps."""

    report: CameraReport
    size_px: tuple[int, int]
    errors: tuple[ErrorCell, ...]


def render_report_page(
    outcome: CalibrationOutcome,
    document: Mapping[str, Any],
    *,
    in_lab: bool,
    pictures: Mapping[tuple[int, int], Gray] | None = None,
) -> str:
    """The page of one calibration.

    Args:
        document: the report's JSON document.
        in_lab: whether the rig was placed in LAB.
        pictures: (camera, instant) -> picture of a worst view; without one, the corners are drawn alone.
    """
    errors = measure_corners(outcome.corners, outcome.rig)
    worst = worst_views(outcome, errors)
    return render_template(
        "calibration_report.html",
        report=outcome.report,
        document=document,
        board=outcome.corners.board,
        in_lab=in_lab,
        criteria=[c for i, c in enumerate(outcome.report.criteria) if c.excess > 1 or i < _CRITERIA],
        limits=_limit_rows(outcome.report.limits),
        cameras=_camera_pages(outcome, errors),
        names=outcome.rig.names,
        plans=draw_plans(outcome.rig, errors, in_lab=in_lab),
        worst=[(outcome.rig.names[v.camera], v, _embed(pictures, v)) for v in worst],
        times_s=outcome.corners.times_s,
        mm=millimetres,
        colour=_colour,
    )


def worst_views(outcome: CalibrationOutcome, errors: CornerErrors | None = None) -> tuple[WorstView, ...]:
    """The views that the page shows as worst; whoever has the videos may give their pictures."""
    found = measure_corners(outcome.corners, outcome.rig) if errors is None else errors
    return find_worst_views(outcome.corners, found, count=WORST_VIEWS)


def _camera_pages(outcome: CalibrationOutcome, errors: CornerErrors) -> tuple[_CameraPage, ...]:
    """Maps leave out what the report leaves out too: nothing beyond the display, gross errors are among the worst."""
    corners = outcome.corners
    return tuple(
        _CameraPage(report, corners.sizes_px[i], map_errors(corners, errors, i))
        for i, report in enumerate(outcome.report.cameras)
    )


def _limit_rows(limits: GradeLimits) -> tuple[tuple[str, str, str, str], ...]:
    """Figure and its limits for A, B and C."""

    def most(text: str, value: float, unit: str) -> tuple[str, str, str, str]:
        return text, f"≤ {value:.3g} {unit}", f"≤ {2 * value:.3g} {unit}", f"≤ {4 * value:.3g} {unit}"

    def least(text: str, value: float, unit: str) -> tuple[str, str, str, str]:
        return text, f"≥ {value:.3g} {unit}", f"≥ {value / 2:.3g} {unit}", f"≥ {value / 4:.3g} {unit}"

    return (
        most("board fit", millimetres(limits.board_fit_m), "mm"),
        most("held-out error, triggered cameras", limits.heldout_px, "px"),
        most("held-out error, free-running cameras", limits.heldout_freerun_px, "px"),
        most("scale error", 100 * limits.scale, "%"),
        most("squares wider than high, or higher than wide", 100 * limits.square, "%"),
        least("boards seen by every camera", limits.boards, ""),
        least("share of every image covered by boards", 100 * limits.coverage, "%"),
    )


def _colour(rms_px: float) -> str:
    """Pale at 0 px, dark at 4 px and beyond."""
    share = min(max(rms_px / 4.0, 0.0), 1.0)
    return f"hsl(212 70% {92 - 62 * share:.0f}%)"


def _embed(pictures: Mapping[tuple[int, int], Gray] | None, view: WorstView) -> str:
    """The part of a picture around the board as a data URL, "" without a picture."""
    picture = (pictures or {}).get((view.camera, view.instant))
    if picture is None:
        return ""
    return embed_part(picture, view.box_px, largest_px=_PICTURE_PX)
