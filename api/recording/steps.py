"""A step of a visit recorded, for the pages and the terminal alike: its trial, its take, and what becomes of both."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from api.recording.led_visit import LedVisit
from api.recording.visits import add_trial, exclude_repeated
from labsys.core.errors import ConcurrencyError, LabsysError
from labsys.core.session import TrialName

if TYPE_CHECKING:
    from labsys.capture.finalise import FinishedTake
    from labsys.capture.studio import Studio
    from labsys.capture.watcher import Watcher
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
    name = add_trial(means.lab, led.visit, step)
    with leaving_no_empty_trial(means.lab, name):
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
    from labsys.storage.lab import take_folder
    from labsys.storage.trials import load_trial

    trial, studio = load_trial(means.lab, name), means.studio
    facts = {"trial": str(name), "trial_uuid": trial.uuid, "kind": trial.kind.value, "step_s": step_s}
    target = take_folder(means.lab, name)
    request = RecordRequest(target, studio.rig, seconds, means.rig_text, calibration, facts, means.previews)
    watcher = means.watcher(str(name))
    return record_take(request, bench=studio.bench, trigger=studio.trigger, watcher=watcher, stop=means.stop)


@contextmanager
def leaving_no_empty_trial(lab: Lab, name: TrialName) -> Iterator[None]:
    """Where the block fails before anything of the trial was recorded, the trial goes with it."""
    from labsys.storage.trials import discard_trial

    try:
        yield
    except BaseException:
        with suppress(LabsysError):  # why the block failed is what people are told
            discard_trial(lab, name)
        raise
