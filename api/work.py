"""What jobs do. Runs in a child process; what is heavy is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from api.jobs.kinds import JobKind, faces_of, take_of
from api.jobs.pausing import HOLDING_DATABASE, stood_still_s
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.progress import Progress
from labsys.core.session import TrialKind, TrialName
from labsys.storage.erasures import find_erasure
from labsys.storage.films import Film
from labsys.storage.lab import Lab, open_lab


def do_job(job: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Do one job and return what came of it.

    Raises:
        LabsysError: it cannot be done; says why.
    """
    lab = replace(open_lab(Path(job["lab"])), database=job["database"])
    target, parameters = str(job["target"]), job["parameters"]
    match JobKind(job["kind"]):
        case JobKind.PROCESS:
            return process(lab, TrialName.parse(target), parameters, progress)
        case JobKind.REPROCESS:
            return reprocess(lab, TrialName.parse(target), parameters, progress)
        case JobKind.IMPORT:
            return import_and_process(lab, TrialName.parse(target), job, progress)
        case JobKind.FILM:
            return film(lab, TrialName.parse(target), parameters, progress)
        case JobKind.PAIR_FILM:
            return pair_film(lab, TrialName.parse(target), parameters, progress)
        case JobKind.QUICK:
            return look(lab, TrialName.parse(target), progress)
        case JobKind.CALIBRATE:
            return calibrate(lab, take_of(target), parameters, progress)
        case JobKind.CHECK_CALIBRATION:
            return check_calibration(lab, take_of(target), parameters, progress)


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
    from pipelines.config import Profile, load_config
    from pipelines.run import run_trial
    from pipelines.stages import Stage

    config = load_config(Profile(parameters.get("profile", Profile.DEFAULT)), sets=parameters.get("settings", []))
    stage = parameters.get("from_stage")
    if stage is not None and stage not in set(Stage):
        raise UnknownNameError("stage", stage, valid=[s.value for s in Stage])
    made = run_trial(lab, name, config=config, from_stage=Stage(stage) if stage else None, progress=progress)
    index(lab, name.subject)
    return {"run": made.run, "new": made.is_new, "static": made.static or None, "notes": list(made.notes)}


def reprocess(lab: Lab, name: TrialName, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make results of a trial beside those that count, for the next release, as `labsys reprocess` does."""
    from pipelines.config import Profile, load_config
    from pipelines.reprocess import reprocess_trial

    config = load_config(Profile(parameters.get("profile", Profile.DEFAULT)), sets=parameters.get("settings", []))
    made = reprocess_trial(lab, name, config=config, progress=progress)
    index(lab, name.subject)
    return {"run": made.run, "new": made.is_new, "static": made.static or None, "notes": list(made.notes)}


def film(lab: Lab, name: TrialName, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Make the film of the run that counts, for the trial's page."""
    from labsys.storage.runs import current_run
    from pipelines.playback.film import film_trial

    _refuse_erased(lab, name)
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

    _refuse_erased(lab, post)
    names = (TrialName.parse(parameters["pre"]), post)
    runs = [current_run(lab, name) for name in names]
    visits = [FilmedVisit(name, run) for name, run in zip(names, runs, strict=True) if run is not None]
    if len(visits) < len(names):
        raise InputError("one of the two trials was not processed yet", where=f"{names[0]} and {post}")
    side, faces = Side(parameters["side"]), faces_of(parameters)
    made = film_pair(lab, visits[0], visits[1], side, faces=faces, progress=progress)
    return {"film": made.key, "frames": made.n_frames, **_blurred(made)}


def _refuse_erased(lab: Lab, name: TrialName) -> None:
    """A film that was asked for before the subject was erased is not made any more."""
    erasure = find_erasure(lab, name.subject)
    if erasure is not None:
        raise InputError(f"no film of {name} is made: {erasure.says}")


def _blurred(film: Film) -> dict[str, Any]:
    return {} if film.blurred is None else {"blurred": asdict(film.blurred)}


def look(lab: Lab, name: TrialName, progress: Progress) -> Mapping[str, Any]:
    """A first look at a take; what it says is kept with the job alone."""
    from api.views.first_look import quick_document
    from labsys.storage.takes import load_take
    from pipelines.config import load_config
    from pipelines.quick import look_quickly

    found = look_quickly(lab, name, config=load_config(), progress=progress)
    take = load_take(lab, name)
    n_cameras = len(take.cameras) or len(take.landmarks2d)
    return {**quick_document(lab, found), "n_cameras": n_cameras, "stood_still_s": stood_still_s()}


def calibrate(lab: Lab, take: str, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Calibrate from a waved board that was recorded, and keep the calibration beside it."""
    from pipelines.calibrating.recorded import Placing, calibrate_recorded

    placing = Placing(**parameters["placing"])
    report = calibrate_recorded(
        lab, take, placing, board=parameters["board"], lenses=parameters["lenses"], progress=progress
    )
    cameras = {
        name: {key: found[key] for key in ("rms_px", "boards", "coverage_pct", "time_offset_ms", "time_offset_sd_ms")}
        for name, found in report["cameras"].items()
    }
    figures = ("grade", "rms_px", "heldout_rms_px", "board_fit_rms_mm", "decided_by", "placed_by", "remarks")
    return {"calibration": take, **{key: report[key] for key in figures}, "cameras": cameras}


def check_calibration(lab: Lab, take: str, parameters: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    """Check a calibration with a waved board that was recorded; what it says is kept beside the calibration."""
    from pipelines.calibrating.recorded import check_recorded

    found = check_recorded(
        lab, take, parameters["calibration"], board=parameters["board"], tags=parameters["tags"], progress=progress
    )
    told = {key: found[key] for key in ("calibration", "verdict", "reason", "remarks")}
    return {**told, "cameras": found["cameras"]}


def index(lab: Lab, subject: str) -> None:
    """Let the database know of what a subject has now; not paused meanwhile, as that would hold up everybody else."""
    from api.indexing.index import index_subject

    with HOLDING_DATABASE:
        index_subject(lab, subject)
