"""A step of a visit recorded, for the pages and the terminal alike: its trial, its take, and what becomes of both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from api.recording.led_visit import LedVisit
from api.recording.visits import exclude_repeated, plan_trial
from labsys.capture.watcher import RecorderState, Watcher
from labsys.core.errors import ConcurrencyError, LabsysError
from labsys.core.session import TrialName
from labsys.storage.trials import begin_trial

if TYPE_CHECKING:
    from labsys.capture.crew import CameraCount
    from labsys.capture.finalise import Assessment, FinishedTake
    from labsys.capture.studio import Studio
    from labsys.storage.lab import Lab


@dataclass(frozen=True)
class TakeMeans:
    """What takes are recorded with.

    Attributes:
        rig_text: the rig's file, which the manifest keeps. stop: ends a take sooner.
        watcher: who is told of a take of this name. previews: folder that pictures are shown in meanwhile.
    """

    lab: Lab
    studio: Studio
    rig_text: str
    stop: threading.Event
    watcher: Callable[[str], Watcher]
    previews: Path | None = None


def record_step(led: LedVisit, means: TakeMeans) -> FinishedTake:
    """Record the step that is next into a new trial. A take to be kept ends the step; one to be repeated is excluded
    with its reasons, and the step is next again. Of a take that never began no trial is left.

    Raises:
        ConcurrencyError: no step is next. LabsysError: as `record_trial_take`; what was stored waits to be recovered.
    """
    step = led.now
    if step is None:
        raise ConcurrencyError("all steps are done", remedy="End the visit")
    trial = plan_trial(means.lab, led.visit, step)
    name = trial.name
    told = means.watcher
    # Excluded as soon as it is judged, before there is a take: killed in between, it would count.
    means = replace(means, watcher=lambda take: _Excluding(means.lab, name, told(take)))
    with begin_trial(means.lab, trial):
        finished = record_trial_take(
            means, name, seconds=step.seconds, calibration=led.visit.calibration, step_s=step.seconds
        )
    if not exclude_repeated(means.lab, name, finished.assessment.verdict):
        led.keep(name)
    return finished


def record_trial_take(
    means: TakeMeans, name: TrialName, *, seconds: float, calibration: str = "", step_s: float = 0.0
) -> FinishedTake:
    """Record the take of a trial (errors: as `record_take`).

    step_s: how long a protocol asks it to be, 0 where none does.
    """
    from labsys.capture.recorder import RecordRequest, record_take
    from labsys.storage.armed import arming
    from labsys.storage.lab import take_folder
    from labsys.storage.trials import load_trial

    trial, studio = load_trial(means.lab, name), means.studio
    facts = {"trial": str(name), "trial_uuid": trial.uuid, "kind": trial.kind.value, "step_s": step_s}
    target = take_folder(means.lab, name)
    request = RecordRequest(target, studio.rig, seconds, means.rig_text, calibration, facts, means.previews)
    watcher = means.watcher(str(name))
    with arming(means.lab):
        return record_take(request, bench=studio.bench, trigger=studio.trigger, watcher=watcher, stop=means.stop)


class _Excluding(Watcher):
    """Excludes a take that is to be repeated when it is judged, and passes on what is told."""

    def __init__(self, lab: Lab, name: TrialName, told: Watcher) -> None:
        self._lab, self._name, self._told = lab, name, told

    def changed(self, state: RecorderState) -> None:
        self._told.changed(state)

    def waiting(self, camera: str, waited_s: float) -> None:
        self._told.waiting(camera, waited_s)

    def counted(self, elapsed_s: float, cameras: list[CameraCount], free_bytes: int) -> None:
        self._told.counted(elapsed_s, cameras, free_bytes)

    def judged(self, found: Assessment) -> None:
        self._told.judged(found)
        with suppress(LabsysError):  # tried again once there is a take; what was recorded comes first
            exclude_repeated(self._lab, self._name, found.verdict)
