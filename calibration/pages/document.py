"""The report of a calibration as a JSON document, in outside units."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from calibration.board.coverage import map_coverage
from calibration.board.detect import BoardCorners
from calibration.rig.grade import GradeLimits
from calibration.rig.report import CalibrationReport, CameraReport
from labsys.core.errors import GateRefusedError
from labsys.core.units import degrees, millimetres


def report_document(report: CalibrationReport, *, calibration: str | None, overridden: str = "") -> dict[str, Any]:
    """The report as the one JSON document of `labsys calibrate --json`, in outside units.

    Args:
        calibration: path of the calibration that was written, None where it was refused.
        overridden: the refusal that the override set aside.
    """
    quality = report.quality
    return {
        "grade": report.grade,
        "engine": report.engine,
        "frames": report.n_frames,
        "corners_used_pct": _number(100 * quality.kept),
        "board_fit_rms_mm": _number(millimetres(quality.board_fit_m)),
        "edge_true_mm": _number(millimetres(report.edge_true_m)),
        "edge_mean_mm": _number(millimetres(quality.edge_mean_m)),
        "edge_sd_mm": _number(millimetres(quality.edge_sd_m)),
        "edge_x_mm": _number(millimetres(quality.edge_x_m)),
        "edge_y_mm": _number(millimetres(quality.edge_y_m)),
        "scale_error_pct": _number(100 * report.scale_error),
        "rms_px": _number(quality.rms_px),
        "median_px": _number(quality.median_px),
        "heldout_rms_px": _number(report.heldout.rms_px),
        "heldout_board_fit_mm": _number(millimetres(report.heldout.board_fit_m)),
        "up_sd_deg": _number(degrees(report.up_sd_rad)),
        "heading_sd_deg": _number(degrees(report.heading_sd_rad)),
        "seconds": dict(report.seconds or {}),
        "cameras": {c.name: _camera_document(c) for c in report.cameras},
        "pairs": [{"cameras": list(pair), "shared_boards": n} for pair, n in report.shared_boards.items()],
        "decided_by": [c.text for c in report.deciding],
        "criteria": [{"text": c.text, "excess": _number(c.excess)} for c in report.criteria],
        "own_limits": report.limits != GradeLimits(),
        "refusal": None,
        "override_reason": report.override_reason or None,
        "overridden": overridden or None,
        "calibration": calibration,
    }


def refusal_document(
    error: GateRefusedError, *, cameras: tuple[str, ...], engine: str, corners: BoardCorners | None
) -> dict[str, Any]:
    """The same document where a gate refused before there was anything to measure: no figures, but the reason.

    Args:
        corners: what the cameras saw, None where the refusal came before.
    """
    reason = f"{error.what}. {error.remedy}" if error.remedy else error.what
    figures = (
        "corners_used_pct", "board_fit_rms_mm", "edge_true_mm", "edge_mean_mm", "edge_sd_mm",
        "edge_x_mm", "edge_y_mm", "scale_error_pct", "rms_px", "median_px", "heldout_rms_px",
        "heldout_board_fit_mm", "up_sd_deg", "heading_sd_deg",
    )  # fmt: skip
    named = {c: re.search(rf"\b{re.escape(c)}\b", f"{error.what} {error.where}") is not None for c in cameras}
    return {
        "grade": "refused",
        "engine": engine,
        "frames": None if corners is None else len(corners.times_s),
        **dict.fromkeys(figures),
        "seconds": {},
        "cameras": {c: _unsolved_document(c, reason if named[c] else None, corners) for c in cameras},
        "pairs": [],
        "decided_by": [],
        "criteria": [],
        "refusal": reason,
        "override_reason": None,
        "overridden": None,
        "calibration": None,
    }


def _unsolved_document(camera: str, reason: str | None, corners: BoardCorners | None) -> dict[str, Any]:
    boards, coverage_pct = None, None
    if corners is not None:
        index = corners.cameras.index(camera)
        boards = int(corners.has_board[:, index].sum())
        coverage_pct = 100 * float(map_coverage(corners.xy_px[:, index], corners.sizes_px[index]).mean())
    return {"rms_px": None, "boards": boards, "coverage_pct": coverage_pct, "solved": False, "reason": reason}


def _camera_document(camera: CameraReport) -> dict[str, Any]:
    return {
        "rms_px": _number(camera.rms_px),
        "median_px": _number(camera.median_px),
        "p95_px": _number(camera.p95_px),
        "boards": camera.n_boards,
        "coverage_pct": _number(100 * camera.coverage),
        "coverage_map": ["".join("#" if cell else "." for cell in row) for row in camera.coverage_map],
        "time_offset_ms": _number(1000 * camera.time_offset_s),
        "time_offset_sd_ms": _number(1000 * camera.time_offset_sd_s),
        "centre_sd_mm": _number(millimetres(camera.centre_sd_m)),
        "drift_px": _number(camera.drift_px),
        "solved": True,
        "reason": None,
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
