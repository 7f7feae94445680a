"""A trial's results as files that other programs read. Nothing that exists is overwritten."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np

from calibration.formats import format_anipose
from labsys.biomechanics.opensim import opensim_coordinates
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import TrialResult
from labsys.core.session import TrialName
from labsys.storage.atomic import write_text_atomic
from labsys.storage.exchange.csv import write_csv
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.mot import write_mot
from labsys.storage.exchange.trc import write_trc
from labsys.storage.lab import Lab, take_folder
from labsys.storage.results import LANDMARKS3D_FILE, load_trial_result, read_landmarks3d
from labsys.storage.runs import load_run, run_file, run_folder
from labsys.storage.trials import load_trial
from pipelines.config import PipelineConfig, restore_config
from pipelines.pose2d import find_landmarks2d
from pipelines.trial_inputs import STATIC_PREFIX, calibrated_take, load_calibration


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
    _make_folder(out)
    return write_csv(out, result)


def export_parquet(lab: Lab, name: TrialName, out: Path, *, run: str | None = None) -> tuple[Path, ...]:
    """The run's own files, SI and radians, and its run.json in a new folder."""
    chosen = load_trial_result(lab, name, run).run
    _make_folder(out)
    written = []
    for path in load_run(lab, name, chosen).files:
        shutil.copyfile(run_file(lab, name, chosen, path), out / path)
        written.append(out / path)
    shutil.copyfile(run_folder(lab, name, chosen) / "run.json", out / "run.json")
    return (*written, out / "run.json")


def export_anipose(lab: Lab, name: TrialName, out: Path, *, run: str | None = None) -> tuple[Path, ...]:
    """An Anipose project with this trial's 2D landmarks, calibration and videos, for `anipose triangulate`.

    Raises:
        InputError: the trial has no 2D landmarks; it is no matter of a run, so `run` must not be given.
    """
    if run is not None:
        raise InputError("an Anipose project holds the 2D landmarks, which belong to no run", remedy="Leave --run out")
    take = calibrated_take(lab, load_trial(lab, name))
    calibration = load_calibration(lab, take)
    if calibration is None or not (take.landmarks2d or take.cameras):
        raise InputError(f"trial {name} has no 2D landmarks with a calibration", remedy="Export it as trc or csv")
    tracks = find_landmarks2d(lab, name, take)
    _make_folder(out)
    cameras = tuple(tracks)
    session = out / name.session
    files = {
        out / "config.toml": _anipose_config(cameras),
        session / "calibration" / "calibration.toml": format_anipose(calibration.select(cameras)),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, text)
    written = list(files)
    for camera in cameras:
        target = session / "pose-2d" / f"{name.trial}-{camera}.h5"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_dlc_h5(target, tracks[camera])
        written.append(target)
    for camera, video in take.cameras.items():
        target = session / "videos-raw" / f"{name.trial}-{camera}{Path(video.path).suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(take_folder(lab, name) / video.path, target)
        written.append(target)
    return tuple(written)


def _anipose_config(cameras: tuple[str, ...]) -> str:
    """Anipose tells cameras apart by a pattern at the end of file names."""
    pattern = "|".join(re.escape(c) for c in cameras)
    return (
        "nesting = 1\n\n[filter]\nenabled = false\n\n[triangulation]\ntriangulate = true\n"
        f"cam_regex = '-({pattern})$'\n"
    )


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


def _make_folder(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is there already and is not overwritten", where=str(out), remedy="Choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror or error}", where=str(out)) from error
