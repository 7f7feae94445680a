"""A synthetic trial on disk, as `labsys import --from-synth DIR` reads it.

Layout of the folder:
    truth.json            the run in the shape of `labsys show --json` (degrees, mm), plus a "synthetic" part: what,
                          noise, seeds, parameters, leg_length_mm, events (s, exact)
    static_truth.json     truth of the static trial in the same shape
    run.trc, static.trc   what = landmarks3d: LABSYS-RUN-37 at the sticker positions, mm, LAB axes
    run/<cam>.h5, static/<cam>.h5
                          what = landmarks2d: DeepLabCut h5 per camera, seen through the same cameras and noise
    run/timestamps.csv, static/timestamps.csv
                          cameras that run free: cam_id,frame_time per frame that was not lost; the trial is then posed
                          at several times the cameras' rate
    calibration.toml      what = landmarks2d: the rig in Anipose's format with LAB metadata
`run` names the trial's files whatever its kind. Metric means in truth.json are over all complete strides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from calibration.formats import write_anipose
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from labsys.storage.atomic import write_json_atomic, write_text_atomic
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.exchange.trc import write_trc
from pipelines.synthetic.noise import NoiseModel, observe, observe_free_running
from pipelines.synthetic.rigs import ClockModel, exact_calibration, free_running_times, stamp_frames
from pipelines.synthetic.trial import SyntheticTrial
from pipelines.synthetic.truth_document import truth_document


@dataclass(frozen=True)
class FreeRunning:
    """Cameras that run free: their clocks, and the rate that they mean to keep."""

    clock: ClockModel
    rate_hz: float


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
    free_running: FreeRunning | None = None,
) -> Path:
    """Write a trial, its static and its truth into a new or empty folder; returns the path of truth.json.

    free_running: None for cameras that look at the trial's own moments.

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
        write_anipose(folder / "calibration.toml", exact_calibration(rig))
        # Another stream of noise in the static than in the run.
        for part, posed, seed in (("run", trial, noise_seed), ("static", static, noise_seed + 1_000_003)):
            _write_part(folder / part, posed, rig, noise, seed, free_running)
    for name, posed in (("static_truth.json", static), ("truth.json", trial)):
        document = truth_document(posed, what=what.value, noise=noise)
        if free_running is not None:
            document |= {"rate_hz": free_running.rate_hz}
        write_json_atomic(folder / name, document)
    return folder / "truth.json"


def _write_part(
    folder: Path, trial: SyntheticTrial, rig: CameraRig, noise: NoiseModel, seed: int, running: FreeRunning | None
) -> None:
    if running is None:
        _write_cameras(folder, [observe(trial, rig, noise, seed)])
        return
    n_cameras, seconds = len(rig.cameras), float(trial.landmarks.times_s[-1])
    times_s = free_running_times(n_cameras, seconds=seconds, rate_hz=running.rate_hz, clock=running.clock, seed=seed)
    _write_cameras(folder, observe_free_running(trial, rig, noise, times_s, seed))
    stamped = zip(rig.names, stamp_frames(times_s, running.clock, seed), strict=True)
    lines = [f"{camera},{moment:.9f}" for camera, stamps in stamped for moment in stamps]
    write_text_atomic(folder / "timestamps.csv", "\n".join(["cam_id,frame_time", *lines, ""]))


def _need_cameras(rig: CameraRig | None, noise: NoiseModel | None) -> tuple[CameraRig, NoiseModel]:
    if rig is None or noise is None:
        raise InputError("2D landmarks need cameras and a noise model")
    return rig, noise


def _write_cameras(folder: Path, views: Iterable[Landmarks2D]) -> None:
    folder.mkdir()
    for seen in views:
        for i, camera in enumerate(seen.cameras):
            track = CameraTrack(seen.landmarks, seen.xy_px[:, i], seen.confidence[:, i], source="synthetic")
            write_dlc_h5(folder / f"{camera}.h5", track, scorer="synthetic")
