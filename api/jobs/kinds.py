"""What jobs do. Runs in a child process; what is heavy is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from labsys.core.errors import UnknownNameError
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.storage.lab import Lab, open_lab


class JobKind(StrEnum):
    """What a job does to its target."""

    PROCESS = "process"


def do_job(job: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Do one job and return what came of it.

    Raises:
        LabsysError: it cannot be done; says why.
    """
    lab = replace(open_lab(Path(job["lab"])), database=job["database"])
    name = TrialName.parse(job["target"])
    match JobKind(job["kind"]):
        case JobKind.PROCESS:
            return process(lab, name, job["parameters"], progress)


def process(lab: Lab, name: TrialName, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make results of a trial and index them, as `labsys process` does."""
    from api.index import index_subject
    from pipelines.config import Profile, load_config
    from pipelines.run import run_trial
    from pipelines.run_plan import Stage

    config = load_config(Profile(parameters.get("profile", Profile.DEFAULT)), sets=parameters.get("settings", []))
    stage = parameters.get("from_stage")
    if stage is not None and stage not in set(Stage):
        raise UnknownNameError("stage", stage, valid=[s.value for s in Stage])
    made = run_trial(lab, name, config=config, from_stage=Stage(stage) if stage else None, progress=progress)
    index_subject(lab, name.subject)
    return {"run": made.run, "new": made.is_new, "static": made.static or None, "notes": list(made.notes)}
