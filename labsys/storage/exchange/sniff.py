"""Recognising 2D landmark files by what is in them, not by their names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from labsys.core.errors import InputError
from labsys.core.skeleton import LandmarkSet
from labsys.storage.atomic import is_there
from labsys.storage.exchange.dlc import read_dlc
from labsys.storage.exchange.openpose import OpenPosePeople, read_openpose_folder
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.nouns import list_folder

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_READ = "labsys reads DeepLabCut h5 or csv, and folders of OpenPose JSON"


class Landmarks2DFormat(StrEnum):
    """Formats of 2D landmarks that labsys reads."""

    DEEPLABCUT = "dlc"
    OPENPOSE = "openpose"


def recognise_landmarks2d(path: Path) -> Landmarks2DFormat:
    """Tell the format of a file or folder of 2D landmarks (InputError names what is there and what is read)."""
    if not is_there(path):
        raise InputError("is not there", where=str(path))
    if path.is_dir():
        if any(p.suffix.lower() == ".json" for p in list_folder(path)):
            return Landmarks2DFormat.OPENPOSE
        raise InputError("is a folder without JSON files", where=str(path), remedy=_READ)
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_HDF5_MAGIC))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    if start == _HDF5_MAGIC or start.startswith(b"scorer,"):
        return Landmarks2DFormat.DEEPLABCUT
    raise InputError("is no 2D landmark file that labsys knows", where=str(path), remedy=_READ)


def read_landmarks2d(
    path: Path, *, format: Landmarks2DFormat | None = None, landmark_set: LandmarkSet | None = None
) -> tuple[CameraTrack, tuple[str, ...]]:
    """One camera's landmarks of the subject, and remarks for the take (people in the picture, identity switches).

    `landmark_set` names the order of points where the file has no names (OpenPose).

    Raises:
        InputError: as the readers of the formats.
    """
    match format or recognise_landmarks2d(path):
        case Landmarks2DFormat.DEEPLABCUT:
            return read_dlc(path), ()
        case Landmarks2DFormat.OPENPOSE:
            return _read_openpose(path, landmark_set)


def _read_openpose(path: Path, landmark_set: LandmarkSet | None) -> tuple[CameraTrack, tuple[str, ...]]:
    people = read_openpose_folder(path, landmark_set=landmark_set)
    return people.subject_track(), describe_people(people)


def describe_people(people: OpenPosePeople) -> tuple[str, ...]:
    """Remarks about who is in the picture beside the subject, and where the subject was not found."""
    remarks = []
    if people.n_frames_with_several:
        remarks.append(
            f"{people.n_frames_with_several} of {people.subject.size} frames show more than one person; "
            f"the subject was followed by continuity and changed place {people.n_identity_switches} times"
        )
    if people.n_frames_without_subject:
        remarks.append(f"the subject was not found in {people.n_frames_without_subject} frames")
    return tuple(remarks)
