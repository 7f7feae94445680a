"""Finish recordings that a crash cut short. Asking again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from labsys.capture.finalise import FinishedTake, finish_recording
from labsys.core.errors import InputError
from labsys.storage.lab import Lab
from labsys.storage.recordings import Recording, discard_recording, find_recordings, is_held


@dataclass(frozen=True, eq=False)
class Recovery:
    """One recording that was found: what it became, or why not."""

    recording: Recording
    finished: FinishedTake | None
    why: str = ""


def recover_recordings(lab: Lab) -> list[Recovery]:
    """Finish every recording of a lab whose recorder is gone; one under way is left alone."""
    return [_recover(recording) for recording in find_recordings(lab)]


def _recover(recording: Recording) -> Recovery:
    if is_held(recording):
        return Recovery(recording, None, "is being recorded")
    try:
        return Recovery(recording, finish_recording(recording, status="recovered"))
    except InputError as error:
        if not any(recording.raw.glob("*.mkv")):
            discard_recording(recording)
            return Recovery(recording, None, "no frame had been stored; removed")
        return Recovery(recording, None, error.what)
