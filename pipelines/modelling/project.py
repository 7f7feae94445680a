"""What labsys knows of a DeepLabCut project beyond DeepLabCut: which pictures show one moment, through which cameras.

A *capture* is a recording by several cameras; its moment *m* is picture `img<m>` in every camera's folder
(`<capture>__<camera>`), and its calibration lies beside the pictures. The notes are labsys.json in the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calibration.formats import read_calibration
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.storage.atomic import is_there
from labsys.storage.documents import load_document, save_document
from labsys.storage.exchange.dlc_project import DlcProject

NOTES_FILE = "labsys.json"


@dataclass(frozen=True)
class Capture:
    """One recording that pictures were taken from.

    Attributes:
        cameras: camera -> folder of its pictures (group). source: the trial, or what else it was.
        frames: camera -> frame number of every moment, in the order of the moments. calibrated: whether its
            calibration lies in the project.
        held_out: kept from training, to evaluate on.
    """

    cameras: Mapping[str, str]
    frames: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    source: str = ""
    calibrated: bool = False
    held_out: bool = False


@dataclass(frozen=True)
class ProjectNotes:
    """labsys.json of a project. Attributes: captures: name -> capture. made: how, key -> text."""

    captures: Mapping[str, Capture] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> frozenset[str]:
        """Folders of pictures that belong to a capture."""
        return frozenset(group for capture in self.captures.values() for group in capture.cameras.values())


def group_name(capture: str, camera: str) -> str:
    """Folder of one camera's pictures."""
    return f"{capture}__{camera}"


def picture_name(moment: int, suffix: str = ".png") -> str:
    """File of one moment."""
    return f"img{moment:04d}{suffix}"


def save_notes(project: DlcProject, notes: ProjectNotes) -> None:
    """Write labsys.json."""
    save_document(project.folder / NOTES_FILE, notes)


def load_notes(project: DlcProject) -> ProjectNotes:
    """Read labsys.json; a project that labsys did not make has none, and then its captures are unknown."""
    path = project.folder / NOTES_FILE
    return load_document(path, ProjectNotes) if is_there(path) else ProjectNotes()


def calibration_file(project: DlcProject, capture: str) -> Path:
    """Where a capture's calibration lies."""
    return project.folder / "calibrations" / f"{capture}.toml"


def load_calibration(project: DlcProject, capture: str) -> Calibration:
    """A capture's calibration (InputError: it is missing or unreadable)."""
    path = calibration_file(project, capture)
    if not is_there(path):
        raise InputError(f"capture {capture} has no calibration", where=str(path))
    return read_calibration(path)
