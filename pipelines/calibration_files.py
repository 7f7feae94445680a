"""A calibration's files: report.json, report.html, calibration.toml, written so that they always belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.calibrate import CalibrationOutcome
from calibration.detect import BoardCorners
from calibration.detector import Gray
from calibration.refusal_page import render_refusal_page
from calibration.report_page import render_report_page
from labsys.core.clock import utc_now
from labsys.core.errors import GateRefusedError, InputError
from labsys.storage.atomic import sync_folder, write_json_atomic, write_text_atomic
from labsys.storage.calibrations import save_calibration_folder
from labsys.storage.lab import Lab
from labsys.storage.takes import StagedTake, Take
from pipelines.calibration_inputs import CalibrationRequest
from pipelines.calibration_placement import PlacedRig

TOML, REPORT, PAGE = "calibration.toml", "report.json", "report.html"


@dataclass(frozen=True, eq=False)
class CalibrationFiles:
    """What was written.

    Attributes:
        document: report.json. refusal: the gate's refusal, None where the calibration stands.
        toml: text of calibration.toml, None where refused. page: text of report.html, None where no boards were found.
        in_lab: whether the rig was placed.
    """

    document: Mapping[str, Any]
    refusal: GateRefusedError | None
    toml: str | None
    page: str | None
    in_lab: bool


def write_calibration_files(
    out: Path,
    *,
    document: dict[str, Any],
    refusal: GateRefusedError | None,
    toml: str | None = None,
    outcome: CalibrationOutcome | None = None,
    placed: PlacedRig | None = None,
    pictures: Mapping[tuple[int, int], Gray] | None = None,
    corners: BoardCorners | None = None,
) -> CalibrationFiles:
    """Write a calibration, or why there is none, into a folder; what an earlier call left there is replaced.

    The old calibration goes first and the new one comes last: a crash leaves no calibration beside a report that is
    not its own.

    Args:
        corners: what the cameras saw, shown where a refusal left no outcome.

    Raises:
        InputError: the folder cannot be written.
    """
    in_lab = placed is not None and placed.in_lab
    page = None if corners is None else render_refusal_page(document, corners)
    if outcome is not None:
        page = render_report_page(outcome, document, in_lab=in_lab, pictures=pictures)
    _remove(out, TOML, *(() if page else (PAGE,)))
    write_json_atomic(out / REPORT, document)
    if page is not None:
        write_text_atomic(out / PAGE, page)
    if toml is not None:
        write_text_atomic(out / TOML, toml)
    return CalibrationFiles(document, refusal, toml, page, in_lab)


def store_calibration(
    lab: Lab, files: CalibrationFiles, *, label: str, made_from: CalibrationRequest, board_file: Path
) -> str:
    """Keep a calibration with the take that it was made from in the lab's calibrations/, and return its name.

    Raises:
        InputError: it was not placed in LAB, or the label cannot name a folder.
    """
    if files.toml is None or not files.in_lab:
        raise InputError(
            "a calibration that is not placed in LAB cannot be kept in the lab",
            remedy="Say where it is: --tags, --belt-board, --lab-points, --feet or --world-axes",
        )
    return save_calibration_folder(
        lab,
        label=label,
        date=utc_now()[:10],
        calibration_toml=files.toml,
        original=None,
        report=dict(files.document),
        page=files.page,
        stage_take=lambda staged: stage_calibration_take(staged, made_from, board_file),
    )


def stage_calibration_take(staged: StagedTake, request: CalibrationRequest, board_file: Path) -> Take:
    """Put videos, board, timestamps and lenses into a take, so that it can be calibrated again."""
    rates = [staged.add_video(camera, path).rate_hz for camera, path in request.videos.items()]
    files = {"board": board_file, "timestamps": request.timestamps, "lenses": request.lenses}
    for role, path in files.items():
        if path is not None:
            staged.add_file(role, path)
    return staged.finish(rate_hz=float(np.median(rates)), source="a waved board")


def _remove(folder: Path, *names: str) -> None:
    there = [folder / name for name in names if (folder / name).exists()]
    try:
        for path in there:
            path.unlink()
        if there:
            sync_folder(folder)
    except OSError as error:
        raise InputError(f"cannot be replaced: {error.strerror or error}", where=str(folder)) from error
