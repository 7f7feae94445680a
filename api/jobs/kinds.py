"""What jobs do. Runs in a child process; what is heavy is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.progress import Progress
from labsys.core.session import TrialKind, TrialName
from labsys.storage.films import Faces, Film
from labsys.storage.lab import Lab, open_lab


class JobKind(StrEnum):
    """What a job does to its target."""

    PROCESS = "process"
    IMPORT = "import"
    FILM = "film"
    PAIR_FILM = "pair-film"


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
        case JobKind.FILM:
            return film(lab, name, job["parameters"], progress)
        case JobKind.PAIR_FILM:
            return pair_film(lab, name, job["parameters"], progress)


def import_and_process(lab: Lab, name: TrialName, job: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make a trial of uploaded files, and results of it where they are asked for."""
    from api.jobs.importing import import_once

    parameters = job["parameters"]
    remarks = import_once(lab, name, job, progress)
    # What a calibration is to be made from has no results of its own.
    wanted = parameters["process"] and parameters["kind"] != TrialKind.OTHER
    made = process(lab, name, parameters, progress) if wanted else {}
    return {**made, "trial": str(name), "remarks": remarks}


def process(lab: Lab, name: TrialName, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make results of a trial and index them, as `labsys process` does."""
    from api.indexing.index import index_subject
    from pipelines.config import Profile, load_config
    from pipelines.run import run_trial
    from pipelines.stages import Stage

    config = load_config(Profile(parameters.get("profile", Profile.DEFAULT)), sets=parameters.get("settings", []))
    stage = parameters.get("from_stage")
    if stage is not None and stage not in set(Stage):
        raise UnknownNameError("stage", stage, valid=[s.value for s in Stage])
    made = run_trial(lab, name, config=config, from_stage=Stage(stage) if stage else None, progress=progress)
    index_subject(lab, name.subject)
    return {"run": made.run, "new": made.is_new, "static": made.static or None, "notes": list(made.notes)}


def film(lab: Lab, name: TrialName, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make the film of the run that counts, for the trial's page."""
    from labsys.storage.runs import current_run
    from pipelines.playback.film import film_trial

    run = current_run(lab, name)
    if run is None:
        raise InputError(f"trial {name} was not processed yet", remedy=f"Run `labsys process {name}`")
    made = film_trial(lab, name, run, faces=faces_of(parameters), progress=progress)
    return {"run": run, "film": made.key, "frames": made.n_frames, "notes": list(made.notes), **_blurred(made)}


def pair_film(lab: Lab, post: TrialName, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make the film of two visits, for the page that compares them; the runs that count are shown."""
    from labsys.core.skeleton import Side
    from labsys.storage.runs import current_run
    from pipelines.playback.pair import FilmedVisit, film_pair

    names = (TrialName.parse(parameters["pre"]), post)
    runs = [current_run(lab, name) for name in names]
    visits = [FilmedVisit(name, run) for name, run in zip(names, runs, strict=True) if run is not None]
    if len(visits) < len(names):
        raise InputError("one of the two trials was not processed yet", where=f"{names[0]} and {post}")
    side, faces = Side(parameters["side"]), faces_of(parameters)
    made = film_pair(lab, visits[0], visits[1], side, faces=faces, progress=progress)
    return {"film": made.key, "frames": made.n_frames, **_blurred(made)}


def faces_of(parameters: Mapping[str, Any]) -> Faces:
    """Whether a job's film shows faces; jobs of earlier versions do not say."""
    return Faces(parameters.get("faces", Faces.SHOWN))


def _blurred(film: Film) -> dict[str, Any]:
    return {} if film.blurred is None else {"blurred": asdict(film.blurred)}
