"""A synthetic trial on disk, as `labsys import --from-synth DIR` reads it.

Layout of the folder:
    truth.json            the run in the shape of `labsys show --json` (degrees, mm), plus a "synthetic" part: kind,
                          what, rate_hz, speed_mps, surface, leg_length_m, height_m, seeds, parameters, files, events
    run.trc               what = landmarks3d: LABSYS-RUN-37 at the sticker positions, mm, LAB axes
    static.trc            the static trial of the same visit
    run/<cam>.h5          what = landmarks2d: DeepLabCut h5 per camera
    static/<cam>.h5       the static trial through the same cameras and noise
    calibration.toml      what = landmarks2d: the rig in Anipose's format with LAB metadata
    static_truth.json     truth of the static trial in the same shape
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from labsys.core.cameras import CameraRig
from pipelines.synthetic.noise import NoiseModel
from pipelines.synthetic.trial import SyntheticTrial


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
    raise NotImplementedError
