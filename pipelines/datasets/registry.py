"""The public recordings that labsys knows, file by file with SHA-256 and address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_RAW = "https://raw.githubusercontent.com/perfanalytics/pose2sim"
_BLOBS = "https://api.github.com/repos/perfanalytics/pose2sim/git/blobs"
_COMMIT = "a948c205cfe4ea5c22d6941929e8efaba591a59d"
_TRIAL = "Pose2Sim/S00_Demo_Session/S00_P00_SingleParticipant/S00_P00_T01_BalancingTrial"
# Files that moved about in the repository's history, by the name that git itself gives their content.
_BLOB_OF = {
    "calibration/Calib_qualisys.toml": "f291f73ee90d254d9915f672127d53c86bda8eb8",
    "T01_BalancingTrial/videos/cam01.mp4": "c088934461940dbd9a0d61b8fe29cc1e4cf600a4",
    "T01_BalancingTrial/videos/cam02.mp4": "63ee95d06141ba8b22a100458c3219266aa2c6a2",
    "T01_BalancingTrial/videos/cam03.mp4": "c9e854214359193ae13467c9f091331771b49743",
    "T01_BalancingTrial/videos/cam04.mp4": "50eb47d81eba156bb227e6efa3e6d23307e587ac",
}


@dataclass(frozen=True)
class DataSet:
    """A public recording.

    Attributes:
        name: as the terminal calls it. folder: of its files, wherever they lie. size_mb: of what is fetched.
        sums: file with a line `path sha256` for every file. address: path -> where it is fetched from.
    """

    name: str
    folder: str
    title: str
    source: str
    license: str
    size_mb: float
    sums: Path
    address: Callable[[str], str]

    @property
    def files(self) -> Mapping[str, str]:
        """Path relative to its folder -> SHA-256."""
        return _read_sums(self.sums)


@cache
def _read_sums(path: Path) -> dict[str, str]:
    rows = (line.partition(" ") for line in path.read_text(encoding="utf-8").splitlines() if line)
    return {name: sha256 for name, _, sha256 in rows}


def _pose2sim_address(path: str) -> str:
    if path in _BLOB_OF:
        return f"{_BLOBS}/{_BLOB_OF[path]}"
    inside = path.replace("T01_BalancingTrial/", "", 1).replace("results_a948c20/T01/", "", 1)
    return f"{_RAW}/{_COMMIT}/{_TRIAL}/{inside}"


POSE2SIM = DataSet(
    name="pose2sim",
    folder="pose2sim_balancing",
    title="one person balancing, four cameras: videos, OpenPose 2D, calibration, published 3D",
    source="github.com/perfanalytics/pose2sim",
    license="BSD-3-Clause",
    size_mb=4.9,
    sums=Path(__file__).parent / "pose2sim_balancing.txt",
    address=_pose2sim_address,
)
DATASETS = {POSE2SIM.name: POSE2SIM}
