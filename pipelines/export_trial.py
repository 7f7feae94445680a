"""A trial's results as files that other programs read. Nothing that exists is overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from labsys.biomechanics.opensim import opensim_coordinates
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import TrialResult
from labsys.core.session import TrialName
from labsys.storage.exchange.csv import write_csv
from labsys.storage.exchange.mot import write_mot
from labsys.storage.exchange.trc import write_trc
from labsys.storage.lab import Lab
from labsys.storage.results import LANDMARKS3D_FILE, load_trial_result, read_landmarks3d
from labsys.storage.runs import load_run, run_file, run_folder
from pipelines.config import PipelineConfig, restore_config
from pipelines.trial_inputs import STATIC_PREFIX


def export_trc(lab: Lab, name: TrialName, out: Path, *, run: str | None = None) -> tuple[Path, ...]:
    """3D landmarks, mm, LAB axes (Y up), named as their source names them (InputError: nothing processed)."""
    result = load_trial_result(lab, name, run)
    _refuse_existing(out)
    write_trc(out, result.landmarks)
    return (out,)


def export_mot(lab: Lab, name: TrialName, out: Path, *, run: str | None = None) -> tuple[Path, ...]:
    """Angles under OpenSim's names, order and signs, degrees; what the landmarks cannot give is left out.

    Raises:
        InputError: nothing processed, or the landmarks give none of OpenSim's coordinates.
    """
    result = load_trial_result(lab, name, run)
    _refuse_existing(out)
    config = _config_of(result)
    coordinates = opensim_coordinates(result.landmarks, _static_of(lab, result), config.analyse)
    given = {key: angle for key, angle in coordinates.items() if np.isfinite(angle).any()}
    if not given:
        raise InputError(f"the landmarks of {name} give none of OpenSim's coordinates")
    write_mot(out, result.landmarks.times_s, angles_rad=given, lengths_m={})
    return (out,)


def export_csv(lab: Lab, name: TrialName, out: Path, *, run: str | None = None) -> tuple[Path, ...]:
    """Landmarks, angles, events, strides and metrics as CSV in a new folder."""
    result = load_trial_result(lab, name, run)
    make_new_folder(out)
    return write_csv(out, result)


def export_parquet(lab: Lab, name: TrialName, out: Path, *, run: str | None = None) -> tuple[Path, ...]:
    """The run's own files, SI and radians, and its run.json in a new folder."""
    chosen = load_trial_result(lab, name, run).run
    make_new_folder(out)
    written = []
    for path in load_run(lab, name, chosen).files:
        shutil.copyfile(run_file(lab, name, chosen, path), out / path)
        written.append(out / path)
    shutil.copyfile(run_folder(lab, name, chosen) / "run.json", out / "run.json")
    return (*written, out / "run.json")


def _config_of(result: TrialResult) -> PipelineConfig:
    return restore_config(result.provenance.parameters)


def _static_of(lab: Lab, result: TrialResult) -> Landmarks3D | None:
    made = result.provenance
    if not made.static:
        return None
    static = TrialName(result.trial.name.subject, result.trial.name.session, made.static)
    return read_landmarks3d(run_file(lab, static, made.inputs[f"{STATIC_PREFIX}{made.static}"], LANDMARKS3D_FILE))


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise InputError("is there already and is not overwritten", where=str(out), remedy="Choose another --out")
    if not out.parent.is_dir():
        raise InputError("its folder is not there", where=str(out), remedy="Make the folder first")


def make_new_folder(out: Path) -> None:
    """Make a folder for an export (InputError: it holds something, or cannot be made)."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is there already and is not overwritten", where=str(out), remedy="Choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror or error}", where=str(out)) from error
