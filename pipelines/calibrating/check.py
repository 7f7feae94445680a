"""The daily check: one sweep of the board, and the treadmill's tags where there are any, against a calibration."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.board.clock import read_timestamps
from calibration.board.detect import BoardCorners
from calibration.board.diagnose import check_layout
from calibration.calibrate import join_cameras
from calibration.drift.check import CalibrationCheck, CameraCheck, Verdict, check_rig
from calibration.match import check_sizes, match_cameras
from calibration.placing.tags import TreadmillMove, measure_treadmill
from labsys.capture.tags import TagSet
from labsys.core.board import Board
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.progress import Progress
from labsys.core.units import degrees, millimetres
from pipelines.calibrating.detect import common_rate_hz, find_boards, probe_videos
from pipelines.calibrating.detection_cache import DetectionCache
from pipelines.calibrating.fingerprints import differs_from_calibration, fingerprint_videos
from pipelines.calibrating.tags import look_for_tags

MOST_FRAMES = 300  # of each video are looked at, so that the check stays short
_TREADMILL_M = 0.005
_TREADMILL_RAD = float(np.radians(0.3))
_REMEDY = "Calibrate again"


@dataclass(frozen=True, eq=False)
class CheckRequest:
    """What is to be checked, against what.

    Attributes:
        calibration: with its name or path in `name`. videos: camera -> video of the sweep of `board`.
        tags: a surveyed set, None where there is none. cache: as of a calibration.
    """

    calibration: Calibration
    name: str
    videos: Mapping[str, Path]
    board: Board
    timestamps: Path | None = None
    tags: TagSet | None = None
    cache: Path | None = None


@dataclass(frozen=True, eq=False)
class CheckOutcome:
    """What the check says: as a document, and as a refusal where the calibration may not be used on."""

    verdict: Verdict
    document: Mapping[str, Any]
    refusal: GateRefusedError | None


def check_calibration(request: CheckRequest, *, progress: Progress) -> CheckOutcome:
    """Check a calibration on one sweep.

    Raises:
        InputError: unreadable videos, cameras that the calibration lacks, another image size, another board.
    """
    began = time.perf_counter()
    rig, videos = _same_cameras(request)
    infos = probe_videos(videos, same_rate=request.timestamps is None)
    check_sizes(rig, {c: i.size_px for c, i in infos.items()}, {})
    cache = DetectionCache(request.cache)
    found = find_boards(videos, infos, request.board, cache=cache, progress=progress, most_frames=MOST_FRAMES)
    check_layout(found.cameras, request.board)
    times_s = None if request.timestamps is None else read_timestamps(request.timestamps)
    corners = join_cameras(found.cameras, request.board, rate_hz=common_rate_hz(infos), times_s=times_s)
    detected = time.perf_counter()
    treadmill = _find_treadmill(request, rig, videos, infos, progress)
    progress.stage("compare", 1)
    remarks = [*found.remarks, *differs_from_calibration(fingerprint_videos(infos), request.calibration)]
    seconds = {"detect": detected - began}
    outcome = _judge(request, rig, corners, treadmill, remarks)
    progress.advance()
    return replace(outcome, document={**outcome.document, "seconds": seconds | {"total": time.perf_counter() - began}})


def _judge(
    request: CheckRequest,
    rig: CameraRig,
    corners: BoardCorners,
    treadmill: TreadmillMove | None,
    remarks: list[str],
) -> CheckOutcome:
    missing = [c for c in request.calibration.rig.names if c not in rig.names]
    if missing:
        remarks.append(f"the sweep has no video of {', '.join(missing)}: not checked")
    try:
        check = check_rig(corners, rig)
    except GateRefusedError as error:
        document = {"verdict": str(Verdict.CANNOT_TELL), "calibration": request.name, "reason": str(error)}
        return CheckOutcome(Verdict.CANNOT_TELL, document | {"cameras": {}, "remarks": remarks}, error)
    check = _with_treadmill(check, treadmill)
    if missing and check.verdict is Verdict.STILL_VALID:
        check = replace(check, verdict=Verdict.CANNOT_TELL, reason=f"{', '.join(missing)} was not checked")
    if request.tags is None:
        remarks.append("without tags it cannot be told whether all cameras moved together against the treadmill")
    document = check_document(check, treadmill, name=request.name) | {"remarks": remarks}
    if check.verdict is Verdict.STILL_VALID:
        return CheckOutcome(check.verdict, document, None)
    remedy = _REMEDY if check.verdict is Verdict.MOVED else "Film the board where these cameras see it, for 30 s"
    return CheckOutcome(check.verdict, document, GateRefusedError(check.reason, where=request.name, remedy=remedy))


def _same_cameras(request: CheckRequest) -> tuple[CameraRig, dict[str, Path]]:
    """The calibration's cameras that the sweep shows, and their videos under the calibration's names."""
    known = request.calibration.rig
    match = match_cameras(known.names, request.videos)
    videos = {match[camera]: path for camera, path in request.videos.items()}
    names = tuple(n for n in known.names if n in videos)
    if len(names) < 2:
        raise InputError("a check needs two cameras or more", remedy="Give a video of every camera")
    return known.select(names), {n: videos[n] for n in names}


def _find_treadmill(
    request: CheckRequest, rig: CameraRig, videos: Mapping[str, Path], infos: Any, progress: Progress
) -> TreadmillMove | None:
    if request.tags is None:
        return None
    views = look_for_tags(videos, infos, request.tags, request.board, progress=progress)
    return measure_treadmill(views, rig, request.tags)


def _with_treadmill(check: CalibrationCheck, move: TreadmillMove | None) -> CalibrationCheck:
    """A treadmill that moved against cameras that did not: the frame of the calibration is no longer LAB."""
    if move is None or check.verdict is not Verdict.STILL_VALID:
        return check
    turn = max(abs(move.pitch_rad), abs(move.roll_rad), abs(move.turn_rad))
    if move.shift_m <= _TREADMILL_M and turn <= _TREADMILL_RAD:
        return check
    reason = (
        f"no camera moved against the others, the treadmill did: pitch {degrees(move.pitch_rad):+.2f}, roll "
        f"{degrees(move.roll_rad):+.2f}, turn {degrees(move.turn_rad):+.2f} degrees, {millimetres(move.shift_m):.0f} mm"
    )
    return replace(check, verdict=Verdict.MOVED, reason=reason)


def check_document(check: CalibrationCheck, treadmill: TreadmillMove | None, *, name: str) -> dict[str, Any]:
    """The check as the JSON document of `labsys calibrate --check --json`, in outside units."""
    return {
        "verdict": str(check.verdict),
        "calibration": name,
        "reason": check.reason,
        "suspects": list(check.suspects),
        "cameras": {c.name: _camera_document(c) for c in check.cameras},
        "treadmill": None if treadmill is None else _treadmill_document(treadmill),
        "instants": check.n_instants,
        "rms_px": _number(check.rms_px),
        "scale_error_pct": _number(100 * check.scale_error),
    }


def _camera_document(camera: CameraCheck) -> dict[str, Any]:
    return {
        "checked": camera.checked,
        "moved": camera.moved,
        "boards": camera.n_boards,
        "turn_deg": _number(degrees(camera.turn_rad)),
        "turn_sd_deg": _number(degrees(camera.turn_sd_rad)),
        "shift_mm": _number(millimetres(camera.shift_m)),
        "shift_sd_mm": _number(millimetres(camera.shift_sd_m)),
        "image_px": _number(camera.image_px),
        "image_sd_px": _number(camera.image_sd_px),
        "rms_px": _number(camera.rms_px),
    }


def _treadmill_document(move: TreadmillMove) -> dict[str, Any]:
    return {
        "pitch_deg": degrees(move.pitch_rad),
        "incline_change_pct": 100 * float(np.tan(move.pitch_rad)),
        "roll_deg": degrees(move.roll_rad),
        "turn_deg": degrees(move.turn_rad),
        "shift_mm": millimetres(move.shift_m),
        "misfit_mm": millimetres(move.misfit_m),
        "tags": move.n_tags,
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
