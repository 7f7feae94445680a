"""What jobs do. Runs in a child process; what is heavy is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from labsys.core.errors import UnknownNameError
from labsys.core.progress import Progress
from labsys.core.session import TrialKind, TrialName
from labsys.storage.lab import Lab, open_lab


class JobKind(StrEnum):
    """What a job does to its target."""

    PROCESS = "process"
    IMPORT = "import"


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
        case JobKind.IMPORT:
            return import_and_process(lab, name, job, progress)


def import_and_process(lab: Lab, name: TrialName, job: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make a trial of uploaded files, and results of it where they are asked for."""
    from api.jobs.importing import import_uploads
    from labsys.storage.takes import has_take

    parameters = job["parameters"]
    # A second attempt finds the take of the first, which is written whole or not at all.
    is_imported = job["attempt"] > 1 and has_take(lab, name)
    remarks = [] if is_imported else list(import_uploads(lab, name, parameters, progress).remarks)
    # What a calibration is to be made from has no results of its own.
    wanted = parameters["process"] and parameters["kind"] != TrialKind.OTHER
    made = process(lab, name, parameters, progress) if wanted else {}
    return {**made, "trial": str(name), "remarks": remarks}


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
