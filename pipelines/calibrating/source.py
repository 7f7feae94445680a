"""Where the videos of a calibration take are: given one by one, or as a take that the lab or a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.atomic import is_there
from labsys.storage.calibrations import calibration_take_folder, list_calibrations
from labsys.storage.documents import load_document
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import Take, load_take, require_videos


@dataclass(frozen=True)
class CalibrationSource:
    """Videos of one take, and what was kept beside them.

    Attributes:
        board, timestamps, lenses: files, None where the take has none. calibration: name of the one that the take was
            recorded under, "" for none.
    """

    videos: Mapping[str, Path]
    board: Path | None = None
    timestamps: Path | None = None
    lenses: Path | None = None
    calibration: str = ""


def find_take(text: str, lab: Lab | None) -> CalibrationSource:
    """The take that a person names: SUBJECT/SESSION/TRIAL, a calibration of the lab, or a folder with take.json.

    Raises:
        UnknownNameError: nothing answers to the name. InputError: the take has no videos.
    """
    folder = Path(text).expanduser()
    for candidate in (folder, folder / "take"):
        if is_there(candidate / "take.json"):
            return _source(load_document(candidate / "take.json", Take), candidate, text)
    if lab is None:
        raise InputError(f"'{text}' is no folder of a take", remedy="Name a folder with take.json, or a lab with --lab")
    if text.count("/") == 2:
        name = TrialName.parse(text)
        require_videos(lab, name)
        return _source(load_take(lab, name), take_folder(lab, name), text)
    if text not in list_calibrations(lab):
        raise UnknownNameError("take", text, valid=list_calibrations(lab), where=str(lab.root))
    kept = calibration_take_folder(lab, text)
    return _source(load_document(kept / "take.json", Take), kept, text)


def _source(take: Take, folder: Path, text: str) -> CalibrationSource:
    if not take.cameras:
        raise InputError(f"take {text} has no videos", where=str(folder), remedy="Name a take that shows the board")
    files = {role: folder / file.path for role, file in take.files.items()}
    return CalibrationSource(
        {camera: folder / file.path for camera, file in take.cameras.items()},
        files.get("board"),
        files.get("timestamps"),
        files.get("lenses"),
        take.calibration,
    )
