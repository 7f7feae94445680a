"""A public recording as a demonstration: imported and processed as its owner would."""

from __future__ import annotations

import os
from pathlib import Path

from calibration.align import WorldAxes
from labsys.core.errors import MissingPartError
from labsys.core.motion import TrialResult
from labsys.core.progress import Progress
from labsys.core.session import TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from pipelines.config import PipelineConfig, Profile, load_config
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial

DATA_VARIABLE = "LABSYS_DATA"
_CAMERAS = ("cam01", "cam02", "cam03", "cam04")


def make_pose2sim_demo(lab: Lab, *, progress: Progress) -> TrialResult:
    """Import Pose2Sim's balancing trial (four cameras, OpenPose 2D) and process it under its own rule.

    Raises:
        MissingPartError: the recording is not on this machine; says where to get it.
    """
    name = TrialName("pose2sim", "balancing", "T01")
    import_trial(lab, pose2sim_request(find_recording("pose2sim_balancing"), name), progress=progress)
    run_trial(lab, name, config=_config(), progress=progress)
    return load_trial_result(lab, name)


def find_recording(folder: str) -> Path:
    """Where a public recording lies on this machine (MissingPartError says how to get it)."""
    root = os.environ.get(DATA_VARIABLE, "")
    if root and (Path(root) / folder).is_dir():
        return Path(root) / folder
    raise MissingPartError(
        f"the public recording '{folder}' is not here",
        where=f"{DATA_VARIABLE}={root}" if root else f"{DATA_VARIABLE} is not set",
        remedy=f"Put the folder {folder} (from github.com/perfanalytics/pose2sim) somewhere, and set {DATA_VARIABLE} "
        "to the folder that holds it; labsys does not download it yet",
    )


def pose2sim_request(folder: Path, name: TrialName) -> ImportRequest:
    """The balancing trial as an import: two of its videos are narrower than their calibration."""
    trial = folder / "T01_BalancingTrial"
    return ImportRequest(
        name=name,
        kind=TrialKind.OTHER,
        videos={c: trial / "videos" / f"{c}.mp4" for c in _CAMERAS},
        accepted_sizes={"cam01": (1080, 1920), "cam02": (1080, 1920)},
        landmarks2d={c: trial / "pose" / f"{c}_json" for c in _CAMERAS},
        calibration=folder / "calibration" / "Calib_qualisys.toml",
        world_axes=WorldAxes.parse("forward=+y,up=+z"),
    )


def _config() -> PipelineConfig:
    return load_config(Profile.POSE2SIM)
