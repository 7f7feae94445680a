"""Results as Parquet: SI and radians, float64, the unit of every column in the schema's metadata."""

from __future__ import annotations

from pathlib import Path

from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import MotionResult, TrialResult
from labsys.core.session import TrialName
from labsys.storage.lab import Lab

LANDMARKS3D_FILE = "landmarks3d.parquet"
MOTION_FILES: tuple[str, ...] = (
    "angles.parquet",
    "angle_summaries.parquet",
    "events.parquet",
    "strides.parquet",
    "stride_values.parquet",
    "curves.parquet",
    "metrics.parquet",
    "findings.json",
)


def write_landmarks3d(path: Path, landmarks: Landmarks3D) -> None:
    """Write 3D landmarks, one row per time and landmark (InputError where there are no landmarks)."""
    raise NotImplementedError


def read_landmarks3d(path: Path) -> Landmarks3D:
    """Read what `write_landmarks3d` wrote, equal in every value (InputError; NewerSchemaError)."""
    raise NotImplementedError


def write_motion(folder: Path, motion: MotionResult) -> tuple[str, ...]:
    """Write all of `MOTION_FILES` into a folder; returns their names (for `StagedRun.complete`)."""
    raise NotImplementedError


def read_motion(folder: Path) -> MotionResult:
    """Read what `write_motion` wrote, equal in every value (InputError; NewerSchemaError)."""
    raise NotImplementedError


def load_trial_result(lab: Lab, name: TrialName, run: str | None = None) -> TrialResult:
    """One run of a trial, whole; without `run` the current one.

    Raises:
        UnknownNameError: no such trial or run. InputError: nothing was processed yet, or a file cannot be read.
    """
    raise NotImplementedError
