"""CSV for spreadsheets and R: labsys ids with a unit suffix, degrees and millimetres, empty where missing."""

from __future__ import annotations

from pathlib import Path

from labsys.core.motion import TrialResult


def write_csv(folder: Path, trial_result: TrialResult) -> tuple[Path, ...]:
    """Write landmarks3d.csv, angles.csv, events.csv, strides.csv and metrics.csv into a folder; returns the paths."""
    raise NotImplementedError
