"""A calibration's files: report.json, report.html, calibration.toml, written so that they always belong together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.board.detector import Gray
from calibration.calibrate import CalibrationOutcome
from calibration.pages.report_page import render_report_page
from labsys.core.clock import utc_now
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.session import check_code
from labsys.storage.atomic import sync_folder, write_json_atomic, write_text_atomic
from labsys.storage.calibrations import save_calibration_folder
from labsys.storage.lab import Lab
from labsys.storage.takes import StagedTake, Take
from pipelines.calibrating.inputs import CalibrationRequest
from pipelines.calibrating.placement import LabRequest, PlacedRig

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


def check_destination(out: Path) -> None:
    """Refuse a folder that could not be written, before the work is done (InputError)."""
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise InputError("is a file, not a folder", where=str(nearest), remedy="Give --out another folder")
    if not os.access(nearest, os.W_OK):
        raise InputError("cannot be written", where=str(nearest), remedy="Give --out another folder")


def check_can_be_kept(label: str, placing: LabRequest) -> None:
    """Refuse, before the work is done, what `store_calibration` would refuse after it (InputError)."""
    check_code("calibration", label)
    if placing.source is None and placing.gravity is None and placing.feet is None:
        raise _not_placed()


def write_calibration_files(
    out: Path,
    *,
    document: dict[str, Any],
    refusal: GateRefusedError | None,
    toml: str | None = None,
    outcome: CalibrationOutcome | None = None,
    placed: PlacedRig | None = None,
    pictures: Mapping[tuple[int, int], Gray] | None = None,
    page: str | None = None,
) -> CalibrationFiles:
    """Write a calibration, or why there is none, into a folder; what an earlier call left there is replaced.

    The old calibration goes first and the new one comes last: a crash leaves no calibration beside a report that is
    not its own.

    Args:
        page: of a refusal that left no outcome; an outcome makes its own.

    Raises:
        InputError: the folder cannot be written.
    """
    in_lab = placed is not None and placed.in_lab
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
        raise _not_placed()
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


def _not_placed() -> InputError:
    return InputError(
        "a calibration that is not placed in LAB cannot be kept in the lab",
        remedy="Say where it is: --tags, --belt-board, --lab-points, --feet or --world-axes",
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
