"""From videos of a waved board to a calibration on disk: read what was asked for, solve, place, judge, write."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from calibration.board.detect import BoardCorners
from calibration.board.detector import Gray
from calibration.calibrate import (
    CalibrateSettings,
    CalibrationOutcome,
    calibrate_corners,
    check_found,
    join_cameras,
)
from calibration.formats import format_anipose
from calibration.pages.document import refusal_document, report_document
from calibration.pages.refusal_page import render_refusal_page
from calibration.placing.tags import TagViews, survey_tags
from calibration.rig.grade import GradeLimits
from calibration.rig.report import check_gate
from labsys.capture.tags import format_tags
from labsys.core.cameras import Calibration
from labsys.core.errors import GateRefusedError
from labsys.core.progress import Progress
from labsys.core.units import degrees
from labsys.storage.atomic import write_text_atomic
from labsys.storage.video import read_gray_frames
from pipelines.calibrating.detect import FoundBoards, common_rate_hz, find_boards
from pipelines.calibrating.detection_cache import DetectionCache
from pipelines.calibrating.files import TOML, CalibrationFiles, check_destination, write_calibration_files
from pipelines.calibrating.inputs import CalibrationInputs, CalibrationRequest, read_inputs, runs_freely
from pipelines.calibrating.pictures import read_worst_pictures
from pipelines.calibrating.placement import PlacedRig, place_rig, placement_remarks
from pipelines.calibrating.tags import look_for_tags


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the cameras saw, and how long finding it took."""

    found: FoundBoards
    tags: TagViews | None
    seconds: float


def calibrate_take(request: CalibrationRequest, out: Path, *, progress: Progress) -> CalibrationFiles:
    """Calibrate from videos and write calibration.toml, report.json and report.html into a folder.

    A refusal is written too: report.json and, where there is something to show, report.html, without calibration.toml;
    `refusal` of the answer holds it. An override is tried only after a refusal, so that it is on record only where it
    changed something.

    Raises:
        InputError: a file is unreadable, inconsistent or impossible; names the camera. Nothing is written then.
    """
    check_destination(out)
    inputs = read_inputs(request)
    corners: BoardCorners | None = None
    try:
        seen = _look(request, inputs, progress)
        corners = join_cameras(
            seen.found.cameras, request.board, rate_hz=common_rate_hz(inputs.infos), times_s=inputs.times_s
        )
        began = time.perf_counter()
        outcome, overridden = _solve(request, inputs, corners, progress)
        placed = place_rig(outcome.rig, corners, request.placing, tag_views=seen.tags)
        surveyed = _survey(request, seen, placed)
    except GateRefusedError as error:
        document = refusal_document(error, cameras=tuple(request.videos), engine=str(request.engine), corners=corners)
        page = None if corners is None else render_refusal_page(document, corners, request.grades)
        return write_calibration_files(out, document=document, refusal=error, page=page)
    report = replace(
        outcome.report,
        seconds={"detect": seen.seconds, "solve": time.perf_counter() - began},
        up_sd_rad=placed.up_sd_rad,
        heading_sd_rad=placed.heading_sd_rad,
    )
    covariance = None if outcome.covariance is None else outcome.covariance.moved(outcome.rig, placed.rig)
    outcome = replace(outcome, rig=placed.rig, report=report, covariance=covariance)
    progress.stage("write the report", 1)
    pictures = read_worst_pictures(outcome, request.videos, seen.found.cameras, inputs.times_s)
    notes = _notes(request, inputs, placed, seen)
    files = _write(outcome, placed, out, overridden=overridden, notes=notes, inputs=inputs, pictures=pictures)
    if surveyed is not None and files.toml is not None:
        write_text_atomic(surveyed[0], surveyed[1])
    progress.advance()
    return files


def _look(request: CalibrationRequest, inputs: CalibrationInputs, progress: Progress) -> _Seen:
    """The corners of every camera, and the tags where something needs them."""
    began = time.perf_counter()
    cache = DetectionCache(request.cache)
    found = find_boards(request.videos, inputs.infos, request.board, cache=cache, progress=progress)
    check_found(found.cameras, request.videos, request.board, read=read_gray_frames)
    tags: TagViews | None = None
    if request.tags is not None:
        tags = look_for_tags(request.videos, inputs.infos, request.tags, request.board, progress=progress)
    return _Seen(found, tags, time.perf_counter() - began)


def _survey(request: CalibrationRequest, seen: _Seen, placed: PlacedRig) -> tuple[Path, str] | None:
    """The file of surveyed tags and its text, None where nobody asked for it."""
    if request.survey is None or seen.tags is None:
        return None
    tags, path = request.survey
    surveyed = survey_tags(
        seen.tags,
        placed.rig,
        tags,
        day=date.today(),
        up_sd_rad=placed.up_sd_rad,
        heading_sd_rad=placed.heading_sd_rad,
    )
    return path, format_tags(surveyed)


def _solve(
    request: CalibrationRequest, inputs: CalibrationInputs, corners: BoardCorners, progress: Progress
) -> tuple[CalibrationOutcome, str]:
    """The solved rig, and the refusal that an override set aside ("" where nothing was)."""
    settings = CalibrateSettings(
        engine=request.engine,
        lens_model=request.lens_model,
        free_running=runs_freely(request.recorded_with),
        grades=request.grades,
    )
    progress.stage("solve the rig", 1)
    try:
        outcome = calibrate_corners(
            corners, lenses=inputs.lenses, known_lengths=inputs.known_lengths, settings=settings
        )
        if request.override_reason:
            check_gate(outcome.report)
        return outcome, ""
    except GateRefusedError as error:
        if not request.override_reason:
            raise
        overruled = replace(settings, override_reason=request.override_reason)
        outcome = calibrate_corners(
            corners, lenses=inputs.lenses, known_lengths=inputs.known_lengths, settings=overruled
        )
        return outcome, str(error)
    finally:
        progress.advance()


def _notes(request: CalibrationRequest, inputs: CalibrationInputs, placed: PlacedRig, seen: _Seen) -> dict[str, Any]:
    """What report.json says besides the figures."""
    remarks = [*seen.found.remarks]
    if request.grades != GradeLimits():
        remarks.append("graded by this lab's own limits, not by labsys's")
    counts = {camera: info.n_frames for camera, info in inputs.infos.items()}
    if request.timestamps is None and len(set(counts.values())) > 1:
        listed = ", ".join(f"{camera} {n}" for camera, n in counts.items())
        remarks.append(f"videos differ in length ({listed} frames): frame i of each was taken as one instant")
    remarks += placement_remarks(request.placing, placed)
    tilt = placed.tilt_rad
    return {
        "placed_by": placed.how or None,
        "tilt_deg": degrees(tilt) if tilt == tilt else None,
        "known_lengths": [known.name for known in inputs.known_lengths],
        "detections_reused": list(seen.found.reused),
        "fingerprint": {camera: f.as_table() for camera, f in inputs.fingerprint.items()},
        "remarks": remarks,
    }


def _write(
    outcome: CalibrationOutcome,
    placed: PlacedRig,
    out: Path,
    *,
    overridden: str,
    notes: Mapping[str, Any],
    inputs: CalibrationInputs,
    pictures: Mapping[tuple[int, int], Gray],
) -> CalibrationFiles:
    report = outcome.report
    refusal: GateRefusedError | None = None
    try:
        check_gate(report)
    except GateRefusedError as error:
        refusal = error
    calibration = Calibration(
        rig=outcome.rig,
        source=str(report.engine),
        heading_known=placed.heading_known,
        grade=report.grade,
        up_sd_rad=report.up_sd_rad,
        heading_sd_rad=report.heading_sd_rad,
        override_reason=report.override_reason,
        fingerprint=inputs.fingerprint,
        covariance=outcome.covariance,
    )
    path = None if refusal else str(out / TOML)
    document = {**report_document(report, calibration=path, overridden=overridden), **notes}
    if refusal is not None:
        document["refusal"] = str(refusal)
    toml = None if refusal else format_anipose(calibration, in_lab=placed.in_lab)
    return write_calibration_files(
        out, document=document, refusal=refusal, toml=toml, outcome=outcome, placed=placed, pictures=pictures
    )
