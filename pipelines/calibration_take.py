"""From videos of a waved board to a calibration on disk: read what was asked for, solve, place, judge, write."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.calibrate import (
    CalibrateSettings,
    CalibrationOutcome,
    Engine,
    calibrate_corners,
    find_board,
    join_cameras,
)
from calibration.clock import read_timestamps
from calibration.detect import BoardCorners, CameraCorners
from calibration.detector import Gray
from calibration.formats import format_anipose, read_lenses
from calibration.report import check_gate
from calibration.report_document import refusal_document, report_document
from calibration.scale import KnownLength
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.core.cameras import Calibration, Intrinsics, LensModel
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.progress import Progress
from labsys.storage.video import VideoInfo, probe_video, read_gray_frames
from pipelines.calibration_files import TOML, CalibrationFiles, write_calibration_files
from pipelines.calibration_pictures import read_worst_pictures
from pipelines.calibration_placement import LabSource, PlacedRig, place_rig
from pipelines.known_length import load_known_length

_RATE_TOLERANCE = 0.01


@dataclass(frozen=True)
class CalibrationRequest:
    """What is to be calibrated, from what.

    Attributes:
        videos: camera -> video. board: that is waved in them.
        timestamps: CSV of frame times; None takes frame i of every video as one instant.
        lenses: file with every camera's lens; None solves the lenses from the same videos.
        known_lengths: files, each with a length that a tape measured.
        source: what says how the rig lies in LAB; None leaves it in the frame of its first camera.
        override_reason: why a refusal is to be set aside; empty lets it stand.
    """

    videos: Mapping[str, Path]
    board: Board
    timestamps: Path | None = None
    lenses: Path | None = None
    known_lengths: tuple[Path, ...] = ()
    engine: Engine = Engine.LABSYS
    lens_model: LensModel = LensModel.PINHOLE
    source: LabSource | None = None
    override_reason: str = ""


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What the files of a request hold."""

    infos: Mapping[str, VideoInfo]
    times_s: Mapping[str, FloatArray] | None
    lenses: Mapping[str, Intrinsics] | None
    known_lengths: tuple[KnownLength, ...]


def calibrate_take(request: CalibrationRequest, out: Path, *, progress: Progress) -> CalibrationFiles:
    """Calibrate from videos and write calibration.toml, report.json and report.html into a folder.

    A refusal is written too: report.json and, where there is something to show, report.html, without calibration.toml;
    `refusal` of the answer holds it. An override is tried only after a refusal, so that it is on record only where it
    changed something.

    Raises:
        InputError: a file is unreadable, inconsistent or impossible; names the camera. Nothing is written then.
    """
    inputs = _read_inputs(request)
    corners: BoardCorners | None = None
    try:
        seen, seconds = _detect(request, inputs, progress)
        corners = join_cameras(seen, request.board, rate_hz=_rate_hz(inputs.infos), times_s=inputs.times_s)
        began = time.perf_counter()
        outcome, overridden = _solve(request, inputs, corners, progress)
        placed = place_rig(outcome.rig, corners, request.source)
    except GateRefusedError as error:
        document = refusal_document(error, cameras=tuple(request.videos), engine=str(request.engine), corners=corners)
        return write_calibration_files(out, document=document, refusal=error)
    report = replace(
        outcome.report,
        seconds={"detect": seconds, "solve": time.perf_counter() - began},
        up_sd_rad=placed.up_sd_rad,
        heading_sd_rad=placed.heading_sd_rad,
    )
    outcome = replace(outcome, rig=placed.rig, report=report)
    notes = {
        "placed_by": placed.how or None,
        "known_lengths": [known.name for known in inputs.known_lengths],
        "remarks": list(_remarks(request, inputs, placed)),
    }
    progress.stage("write the report", 1)
    pictures = read_worst_pictures(outcome, request.videos, seen, inputs.times_s)
    files = _write(outcome, placed, out, overridden=overridden, notes=notes, pictures=pictures)
    progress.advance()
    return files


def _read_inputs(request: CalibrationRequest) -> _Inputs:
    infos = {camera: _probe(camera, path) for camera, path in request.videos.items()}
    by_file: dict[Path, str] = {}
    for camera, path in request.videos.items():
        other = by_file.setdefault(path.resolve(), camera)
        if other != camera:
            raise InputError(f"{other} and {camera} have the same video", where=str(path), remedy="Give each its own")
    if request.timestamps is None:
        _check_rates(infos)
    return _Inputs(
        infos,
        None if request.timestamps is None else read_timestamps(request.timestamps),
        None if request.lenses is None else read_lenses(request.lenses),
        tuple(load_known_length(path) for path in request.known_lengths),
    )


def _probe(camera: str, path: Path) -> VideoInfo:
    try:
        return probe_video(path)
    except InputError as error:
        raise InputError(error.what, where=f"camera {camera}, {error.where}", remedy=error.remedy) from error


def _check_rates(infos: Mapping[str, VideoInfo]) -> None:
    (first, info), *others = infos.items()
    for camera, other in others:
        if abs(other.rate_hz - info.rate_hz) > _RATE_TOLERANCE * info.rate_hz:
            raise InputError(
                f"{first} has {info.rate_hz:.4g} frames per second, {camera} has {other.rate_hz:.4g}",
                where=f"camera {camera}",
                remedy="Give the times of the frames with --timestamps",
            )


def _rate_hz(infos: Mapping[str, VideoInfo]) -> float:
    rates = [i.rate_hz for i in infos.values() if np.isfinite(i.rate_hz)]
    if not rates:
        raise InputError("the videos do not say how fast they are", remedy="Give frame times with --timestamps")
    return float(np.median(rates))


def _detect(
    request: CalibrationRequest, inputs: _Inputs, progress: Progress
) -> tuple[tuple[CameraCorners, ...], float]:
    """The corners of every camera, and the wall time that it took, s."""
    began = time.perf_counter()
    cameras = {path: camera for camera, path in request.videos.items()}

    def read(path: Path) -> Iterator[Gray]:
        try:
            yield from read_gray_frames(path)
        except InputError as error:
            where = f"camera {cameras[path]}, {error.where}"
            raise InputError(error.what, where=where, remedy=error.remedy) from error

    progress.stage("find the board", sum(i.n_frames for i in inputs.infos.values()))
    seen = find_board(request.videos, request.board, read=read, progress=progress)
    return seen, time.perf_counter() - began


def _solve(
    request: CalibrationRequest, inputs: _Inputs, corners: BoardCorners, progress: Progress
) -> tuple[CalibrationOutcome, str]:
    """The outcome, and the refusal that an override set aside ("" for none)."""
    settings = CalibrateSettings(engine=request.engine, lens_model=request.lens_model)
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


def _write(
    outcome: CalibrationOutcome,
    placed: PlacedRig,
    out: Path,
    *,
    overridden: str,
    notes: Mapping[str, Any],
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
    )
    path = None if refusal else str(out / TOML)
    document = {**report_document(report, calibration=path, overridden=overridden), **notes}
    if refusal is not None:
        document["refusal"] = str(refusal)
    toml = None if refusal else format_anipose(calibration, in_lab=placed.in_lab)
    return write_calibration_files(
        out, document=document, refusal=refusal, toml=toml, outcome=outcome, placed=placed, pictures=pictures
    )


def _remarks(request: CalibrationRequest, inputs: _Inputs, placed: PlacedRig) -> tuple[str, ...]:
    remarks = []
    counts = {camera: info.n_frames for camera, info in inputs.infos.items()}
    if request.timestamps is None and len(set(counts.values())) > 1:
        listed = ", ".join(f"{camera} {n}" for camera, n in counts.items())
        remarks.append(f"videos differ in length ({listed} frames): frame i of each was taken as one instant")
    if not placed.in_lab:
        remarks.append(
            "the calibration is not placed in LAB: up and heading are unknown, its world is the frame of "
            f"{placed.rig.names[0]}; 'labsys import' asks for --world-axes"
        )
    return tuple(remarks)
