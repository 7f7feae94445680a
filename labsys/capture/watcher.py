"""Where a recording stands, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from labsys.capture.crew import CameraCount
from labsys.capture.finalise import Assessment

Waiting = Callable[[str, float], None]  # told of a camera that is not open yet, and for how long that lasts, s


class RecorderState(StrEnum):
    """Where a recording stands."""

    IDLE = "idle"
    OPENING = "opening"
    ARMED = "armed"
    RECORDING = "recording"
    STOPPING = "stopping"
    FINALISING = "finalising"
    DONE = "done"

    def may_become(self, state: RecorderState) -> bool:
        """Whether a recording goes from here to there."""
        return state in _NEXT[self]


_NEXT = {
    RecorderState.IDLE: (RecorderState.OPENING,),
    RecorderState.OPENING: (RecorderState.ARMED, RecorderState.IDLE),
    RecorderState.ARMED: (RecorderState.RECORDING, RecorderState.IDLE),
    RecorderState.RECORDING: (RecorderState.STOPPING,),
    RecorderState.STOPPING: (RecorderState.FINALISING,),
    RecorderState.FINALISING: (RecorderState.DONE,),
    RecorderState.DONE: (),
}


class Watcher:
    """Receives what happens while a take is recorded; does nothing with it."""

    def changed(self, state: RecorderState) -> None:
        """The recorder went on."""

    def waiting(self, camera: str, waited_s: float) -> None:
        """A camera is not open yet; many times a second."""

    def counted(self, elapsed_s: float, cameras: list[CameraCount], free_bytes: int) -> None:
        """Ten times a second while recording."""

    def judged(self, found: Assessment) -> None:
        """The verdict, before the take is finished."""
