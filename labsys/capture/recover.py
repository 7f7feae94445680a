"""Finish recordings that a crash cut short, and remove what was only begun. Asking again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from labsys.capture.finalise import FinishedTake, finish_recording
from labsys.core.errors import ConcurrencyError, InputError
from labsys.storage.lab import Lab
from labsys.storage.recordings import Recording, discard_recording, find_recordings, holds_frames, take_over
from labsys.storage.takes import RECORDING_FOLDER
from labsys.storage.unrecorded import clear_abandoned, find_abandoned

_NOTHING = "nothing had been recorded; removed"


@dataclass(frozen=True, eq=False)
class Recovery:
    """One recording that was found: what it became, or why not. failed: it waits for a person to do something.
    changed: the lab has a take more, or a trial less."""

    recording: Recording
    finished: FinishedTake | None
    why: str = ""
    failed: bool = False
    changed: bool = False


def recover_recordings(lab: Lab) -> list[Recovery]:
    """Finish every recording of a lab that no process writes any more; one that fails does not stop the others.

    A trial, or the folder of a calibration, of which nothing had been recorded is removed.
    """
    return [*(_recover(recording) for recording in find_recordings(lab)), *clear_unrecorded(lab)]


def clear_unrecorded(lab: Lab) -> list[Recovery]:
    """Remove trials and folders of calibrations that were begun, and of which nothing was recorded."""
    return [
        Recovery(Recording(folder / RECORDING_FOLDER, folder / "take"), None, _NOTHING, changed=True)
        for folder in find_abandoned(lab)
        if clear_abandoned(folder)
    ]


def _recover(recording: Recording) -> Recovery:
    try:
        with take_over(recording):
            return _finish(recording)
    except ConcurrencyError:
        return Recovery(recording, None, "is being recorded")
    except OSError as error:
        return Recovery(recording, None, f"cannot be read or written: {error.strerror or error}", failed=True)


def _finish(recording: Recording) -> Recovery:
    if not holds_frames(recording):
        discard_recording(recording)
        removed = clear_abandoned(recording.target.parent)
        return Recovery(recording, None, "no frame had been stored; removed", changed=removed)
    try:
        return Recovery(recording, finish_recording(recording, status="recovered"), changed=True)
    except InputError as error:
        return Recovery(recording, None, " ".join(filter(None, (error.what, error.remedy))), failed=True)
