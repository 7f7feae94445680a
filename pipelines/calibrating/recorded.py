"""Calibrating from a waved board that was recorded into the lab, and checking a calibration with one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from calibration.formats import read_as_written
from calibration.placing.lab_frame import BoardDirection
from labsys.capture.board_file import load_board_config
from labsys.capture.rig import Rig, load_rig_config
from labsys.capture.tags import load_surveyed_tags
from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.storage.board_takes import (
    board_take_folder,
    find_made_calibration,
    keep_made_calibration,
    keep_refusal,
)
from labsys.storage.calibrations import calibration_folder, save_check
from labsys.storage.documents import load_document
from labsys.storage.lab import Lab
from labsys.storage.recordings import load_manifest
from labsys.storage.takes import Take
from labsys.storage.templates import find_template
from pipelines.calibrating.check import CheckOutcome, CheckRequest, check_calibration
from pipelines.calibrating.inputs import CalibrationRequest
from pipelines.calibrating.placement import BeltBoard, Frames, LabRequest, LevelBoard
from pipelines.calibrating.source import CalibrationSource, find_take
from pipelines.calibrating.take import calibrate_take
from pipelines.recalibrated import find_repair


@dataclass(frozen=True)
class Placing:
    """What says where LAB is: surveyed tags of the lab, or the board that lay on the belt.

    Attributes:
        tags: name of the lab's set, "" for none. along: which way the board's columns ran as it lay, "" where none lay.
        from_s, until_s: when it lay there, s from the take's begin. level: it was levelled with a spirit level.
    """

    tags: str = ""
    along: str = ""
    from_s: float = 0.0
    until_s: float = 0.0
    level: bool = False


def calibrate_recorded(
    lab: Lab, name: str, placing: Placing, *, board: str = "", lenses: str = "", progress: Progress
) -> dict[str, Any]:
    """Calibrate from the take calibrations/NAME and keep the calibration beside it; the report. Made once: asking the
    same again gives the same report.

    board: name of the lab's board, "" for the one that was kept with the take. lenses: calibration of the lab whose
    lenses are taken over, "" to find them from this take.

    Raises:
        GateRefusedError: the take does not give a calibration; the report beside it says what the cameras saw.
        InputError: no such take or board, a take without a board, no placing, or it is calibrated in another way.
    """
    asked = {"board": board, "lenses": lenses, **asdict(placing)}
    made = find_made_calibration(lab, name, asked)
    if made is not None:
        return made
    folder = board_take_folder(lab, name)
    source = find_take(str(folder), lab)
    with tempfile.TemporaryDirectory(prefix="labsys-calibrate-") as room:
        request = CalibrationRequest(
            videos=source.videos,
            board=load_board_config(_board_file(lab, board, source)),
            timestamps=source.timestamps,
            lenses=calibration_folder(lab, lenses) / "calibration.toml" if lenses else source.lenses,
            placing=_lab_request(lab, placing, rate_hz=load_document(folder / "take" / "take.json", Take).rate_hz),
            recorded_with=_read_rig(folder / "take", Path(room)),
            cache=lab.root / "cache" / "detections",
        )
        files = calibrate_take(request, Path(room) / "made", progress=progress)
    report = {**files.document, "calibration": f"calibrations/{name}/calibration.toml" if files.toml else None}
    if files.refusal is not None or files.toml is None:
        keep_refusal(lab, name, report=report, page=files.page)
        raise files.refusal or InputError("no calibration came of it", where=name)
    keep_made_calibration(lab, name, calibration_toml=files.toml, report=report, page=files.page, asked=asked)
    return report


def check_recorded(
    lab: Lab, name: str, calibration: str, *, board: str = "", tags: str = "", progress: Progress
) -> dict[str, Any]:
    """Check a calibration of the lab with the take calibrations/NAME; what was found is kept beside the calibration.

    Raises:
        InputError: no such take, calibration, board or tags; or as `check_calibration`.
    """
    source = find_take(str(board_take_folder(lab, name)), lab)
    known, in_lab = read_as_written(calibration_folder(lab, calibration) / "calibration.toml")
    if tags and not in_lab:
        raise InputError(f"{calibration} is not placed in LAB, and tags say nothing of it", remedy="Leave the tags out")
    request = CheckRequest(
        calibration=known,
        name=calibration,
        videos=source.videos,
        board=load_board_config(_board_file(lab, board, source)),
        timestamps=source.timestamps,
        tags=load_surveyed_tags(lab, tags) if tags else None,
        cache=lab.root / "cache" / "detections",
    )
    outcome = check_calibration(request, progress=progress)
    return keep_check(lab, calibration, outcome)


def keep_check(lab: Lab, calibration: str, outcome: CheckOutcome) -> dict[str, Any]:
    """Keep what a check said beside the lab's calibration; the document with where it lies, and with a repair that it
    speaks for or against."""
    document = dict(outcome.document)
    document["kept"] = str(save_check(lab, calibration, document, at=utc_now()))
    document["repair"] = find_repair(lab, calibration)
    return document


def _board_file(lab: Lab, board: str, source: CalibrationSource) -> Path:
    if board:
        return find_template(lab, "board", board)
    if source.board is None:
        raise InputError("no board was kept with this take", remedy="Name the board that was waved")
    return source.board


def _lab_request(lab: Lab, placing: Placing, *, rate_hz: float) -> LabRequest:
    if placing.tags:
        return LabRequest(load_surveyed_tags(lab, placing.tags))
    if not placing.along:
        raise InputError(
            "nothing says where LAB is, and a calibration that is not placed cannot be kept in the lab",
            remedy="Choose surveyed tags, or lay the board on the belt for a second or longer and say when",
        )
    frames = Frames(round(placing.from_s * rate_hz), round(placing.until_s * rate_hz))
    belt = BeltBoard(BoardDirection(placing.along), frames.first, frames.last)
    return LabRequest(belt, LevelBoard(frames) if placing.level else None)


def _read_rig(take: Path, room: Path) -> Rig | None:
    """The rig that the take was recorded with, as its manifest keeps it."""
    text: Mapping[str, Any] = load_manifest(take)
    if not text.get("rig_file"):
        return None
    path = room / "rig.yaml"
    path.write_text(str(text["rig_file"]), encoding="utf-8")
    return load_rig_config(path)
