"""What kinds of jobs there are, and what each of them works on; what they do is in api/work.py."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from labsys.core.errors import InputError
from labsys.storage.films import Faces

_BOARDS = "calibrations/"


class JobKind(StrEnum):
    """What a job does to its target: a trial, or the take of a waved board (calibrations/NAME)."""

    PROCESS = "process"
    REPROCESS = "reprocess"
    IMPORT = "import"
    FILM = "film"
    PAIR_FILM = "pair-film"
    QUICK = "quick"
    CALIBRATE = "calibrate"
    CHECK_CALIBRATION = "check-calibration"


def target_of(take: str) -> str:
    """How a job names the take of a waved board."""
    return f"{_BOARDS}{take}"


def take_of(target: str) -> str:
    """The take that a job names (InputError: it names none)."""
    if not target.startswith(_BOARDS):
        raise InputError(f"{target} is no take of a board", remedy=f"Name one as {_BOARDS}NAME")
    return target.removeprefix(_BOARDS)


def faces_of(parameters: Mapping[str, Any]) -> Faces:
    """Whether a job's film shows faces; jobs of earlier versions do not say."""
    return Faces(parameters.get("faces", Faces.SHOWN))
