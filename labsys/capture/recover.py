"""Finish recordings that a crash cut short. Asking again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from labsys.capture.finalise import FinishedTake, finish_recording
from labsys.core.errors import ConcurrencyError, InputError
from labsys.storage.lab import Lab
from labsys.storage.recordings import Recording, discard_recording, find_recordings, holds_frames, take_over


@dataclass(frozen=True, eq=False)
class Recovery:
    """One recording that was found: what it became, or why not. failed: it waits for a person to do something."""

    recording: Recording
    finished: FinishedTake | None
    why: str = ""
    failed: bool = False


def recover_recordings(lab: Lab) -> list[Recovery]:
    """Finish every recording of a lab that no process writes any more; one that fails does not stop the others."""
    return [_recover(recording) for recording in find_recordings(lab)]


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
        return Recovery(recording, None, "no frame had been stored; removed")
    try:
        return Recovery(recording, finish_recording(recording, status="recovered"))
    except InputError as error:
        return Recovery(recording, None, " ".join(filter(None, (error.what, error.remedy))), failed=True)
