"""Recognising 2D landmark files by what is in them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from labsys.core.skeleton import LandmarkSet
from labsys.storage.exchange.tracks import CameraTrack


class Landmarks2DFormat(StrEnum):
    """Formats of 2D landmarks that labsys reads."""

    DEEPLABCUT = "dlc"
    OPENPOSE = "openpose"


def recognise_landmarks2d(path: Path) -> Landmarks2DFormat:
    """Tell the format of a file or folder of 2D landmarks (InputError names what is there and what is read)."""
    raise NotImplementedError


def read_landmarks2d(
    path: Path, *, format: Landmarks2DFormat | None = None, landmark_set: LandmarkSet | None = None
) -> tuple[CameraTrack, tuple[str, ...]]:
    """One camera's landmarks of the subject, and remarks for the take (people in the picture, identity switches).

    Raises:
        InputError: as the readers of the formats.
    """
    raise NotImplementedError
