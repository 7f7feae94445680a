"""A synthetic trial on disk, as `labsys import --from-synth DIR` reads it.

Layout of the folder:
    truth.json            the run in the shape of `labsys show --json` (degrees, mm), plus a "synthetic" part: what,
                          noise, seeds, parameters, leg_length_mm, events (s, exact)
    static_truth.json     truth of the static trial in the same shape
    run.trc, static.trc   what = landmarks3d: LABSYS-RUN-37 at the sticker positions, mm, LAB axes
    run/<cam>.h5, static/<cam>.h5
                          what = landmarks2d: DeepLabCut h5 per camera, seen through the same cameras and noise
    calibration.toml      what = landmarks2d: the rig in Anipose's format with LAB metadata
`run` names the trial's files whatever its kind. Metric means in truth.json are over all complete strides.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from calibration.formats import write_anipose
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from labsys.storage.atomic import write_json_atomic
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.exchange.trc import write_trc
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.trial import SyntheticTrial
from pipelines.synthetic.truth_document import truth_document


class SynthOutput(StrEnum):
    """What is written beside the truth."""

    LANDMARKS3D = "landmarks3d"
    LANDMARKS2D = "landmarks2d"


def write_synthetic(
    folder: Path,
    trial: SyntheticTrial,
    static: SyntheticTrial,
    *,
    what: SynthOutput,
    rig: CameraRig | None = None,
    noise: NoiseModel | None = None,
    noise_seed: int = 0,
) -> Path:
    """Write a trial, its static and its truth into a new or empty folder; returns the path of truth.json.

    Raises:
        InputError: the folder holds something, or `landmarks2d` was asked for without a rig and a noise model.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not an empty folder", where=str(folder), remedy="Name a new folder")
    cameras = None if what is SynthOutput.LANDMARKS3D else _need_cameras(rig, noise)
    folder.mkdir(parents=True, exist_ok=True)
    if cameras is None:
        write_trc(folder / "run.trc", trial.landmarks)
        write_trc(folder / "static.trc", static.landmarks)
    else:
        rig, noise = cameras
        write_anipose(folder / "calibration.toml", Calibration(rig, source="synthetic", grade="A"))
        _write_cameras(folder / "run", observe(trial, rig, noise, noise_seed))
        # Another stream of noise than the run's.
        _write_cameras(folder / "static", observe(static, rig, noise, noise_seed + 1_000_003))
    write_json_atomic(folder / "static_truth.json", truth_document(static, what=what.value, noise=noise))
    truth = folder / "truth.json"
    write_json_atomic(truth, truth_document(trial, what=what.value, noise=noise))
    return truth


def _need_cameras(rig: CameraRig | None, noise: NoiseModel | None) -> tuple[CameraRig, NoiseModel]:
    if rig is None or noise is None:
        raise InputError("2D landmarks need cameras and a noise model")
    return rig, noise


def _write_cameras(folder: Path, seen: Landmarks2D) -> None:
    folder.mkdir()
    for i, camera in enumerate(seen.cameras):
        track = CameraTrack(seen.landmarks, seen.xy_px[:, i], seen.confidence[:, i], source="synthetic")
        write_dlc_h5(folder / f"{camera}.h5", track, scorer="synthetic")
