"""What the process that runs the network is told to do, as a file; and what it tells back, a line of JSON each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from labsys.core import errors
from labsys.core.errors import LabsysError
from labsys.core.pose_model import CropMode

# Frames of one camera that are looked at together, whatever the batch: what a box follows must not depend on memory.
BLOCK_FRAMES = 4


@dataclass(frozen=True)
class JobCamera:
    """One video. `parts`: folder for what was found, PART_FRAMES frames a file.

    With `pictures`, `video` is a folder and they are its files: no two belong together, each is looked at afresh.
    """

    camera: str
    video: str
    n_frames: int
    parts: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class PoseJob:
    """One call of the network's process; paths as text.

    Attributes:
        detector: weights of a person detector, "" where the network needs none. detect_every: as in the model.
        body_parts: K names that the network must have. net_input_px, crop: as in the model.
        batch_size: frames that the network is shown at once. device: "" lets torch choose.
    """

    snapshot: str
    config: str
    body_parts: tuple[str, ...]
    cameras: tuple[JobCamera, ...]
    net_input_px: tuple[int, int] | None = None
    crop: CropMode = CropMode.NONE
    batch_size: int = 16
    device: str = ""
    detector: str = ""
    detect_every: int = 0


class Kind(StrEnum):
    """What a message is about."""

    READY = "ready"
    FRAMES = "frames"
    NOTE = "note"
    DONE = "done"
    FAILED = "failed"


def message(kind: Kind, **values: Any) -> str:
    """One message as a line."""
    return json.dumps({"kind": kind.value, **values}) + "\n"


def failure(error: LabsysError) -> str:
    """A deliberate error as a message."""
    return message(Kind.FAILED, error=type(error).__name__, what=error.what, where=error.where, remedy=error.remedy)


def raise_failure(values: dict[str, Any]) -> NoReturn:
    """Raise the error that a message tells of, as the kind that it was in the other process."""
    kind = getattr(errors, str(values.get("error", "")), LabsysError)
    if not (isinstance(kind, type) and issubclass(kind, LabsysError)) or kind is errors.UnknownNameError:
        kind = errors.InputError
    raise kind(str(values["what"]), where=str(values["where"]), remedy=str(values["remedy"]))
