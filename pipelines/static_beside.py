"""A trial's static trial, processed at the same time as the trial: only the analysis needs both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from labsys.core.progress import Progress, SilentProgress
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.runs import current_run, set_current_run
from pipelines.config import PipelineConfig
from pipelines.pose2d import needs_model
from pipelines.run_plan import plan_run
from pipelines.trial_inputs import TrialInputs, gather_inputs

# Processes a trial whose inputs are known, and returns its run.
Process = Callable[[TrialInputs, Progress], str]


@dataclass(frozen=True)
class StaticRun:
    """The run of a static trial, "" where there is none. wait: until it is complete; raises what stood against it."""

    run: str
    wait: Callable[[], object]


@contextmanager
def process_static(
    lab: Lab, trial: TrialInputs, config: PipelineConfig, *, process: Process, progress: Progress
) -> Iterator[StaticRun]:
    """Process the static trial alike; its own current run, if it has one, stays current.

    Where no model looks at videos, it goes on beside what is done meanwhile, and quietly: progress has one stage at a
    time. Leaving waits for it.

    Raises:
        InputError: the static trial cannot be processed; from here or from `StaticRun.wait`.
    """
    if trial.static is None:
        yield StaticRun("", lambda: None)
        return
    static = gather_inputs(lab, trial.static)
    if needs_model(static.take) or needs_model(trial.take):
        run = _keeping_current(lab, static, process, progress)
        yield StaticRun(run, lambda: None)
        return
    plan = plan_run(lab, static, config, static_run="", from_stage=None, screening=None)
    with ThreadPoolExecutor(max_workers=1) as pool:
        beside = pool.submit(_keeping_current, lab, static, process, SilentProgress())
        yield StaticRun(plan.run, beside.result)


def _keeping_current(lab: Lab, static: TrialInputs, process: Process, progress: Progress) -> str:
    name: TrialName = static.trial.name
    before = current_run(lab, name)
    run = process(static, progress)
    if before is not None and before != run:
        set_current_run(lab, name, before)
    return run
