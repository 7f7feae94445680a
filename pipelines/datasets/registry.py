"""The public recordings that labsys knows, file by file with SHA-256 and address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class DataSet:
    """A public recording.

    Attributes:
        name: as the terminal calls it. folder: of its files, wherever they lie. size_mb: of what is fetched.
        table: file with a line `path sha256` for every file, and lines `from START ADDRESS`: what follows START in a
            path follows ADDRESS where it is published; the longest START counts. Files that moved about in a
            repository's history are addressed by the name that git gives their content.
    """

    name: str
    folder: str
    title: str
    source: str
    license: str
    size_mb: float
    table: Path

    @property
    def files(self) -> Mapping[str, str]:
        """Path relative to its folder -> SHA-256."""
        return {row[0]: row[1] for row in _read_table(self.table) if len(row) == 2}

    def address(self, path: str) -> str:
        """Where a file is fetched from."""
        origins = {row[1]: row[2] for row in _read_table(self.table) if len(row) == 3}
        start = max((s for s in origins if path.startswith(s)), key=len)
        return origins[start] + path.removeprefix(start)


@cache
def _read_table(path: Path) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in path.read_text(encoding="utf-8").splitlines() if line)


POSE2SIM = DataSet(
    name="pose2sim",
    folder="pose2sim_balancing",
    title="one person balancing, four cameras: videos, OpenPose 2D, calibration, published 3D",
    source="github.com/perfanalytics/pose2sim",
    license="BSD-3-Clause",
    size_mb=4.9,
    table=Path(__file__).parent / "pose2sim_balancing.txt",
)
DATASETS = {POSE2SIM.name: POSE2SIM}
