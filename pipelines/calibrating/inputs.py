"""What a calibration is asked for, and what the files behind it hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calibration.board.clock import read_timestamps
from calibration.calibrate import Engine
from calibration.formats import read_lenses
from calibration.rig.grade import GradeLimits
from calibration.rig.intrinsics import check_sizes_fit
from calibration.rig.scale import KnownLength
from labsys.capture.rig import Rig
from labsys.capture.rig_base import FreeRun
from labsys.capture.tags import TagSet
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.core.cameras import Intrinsics, LensModel
from labsys.core.errors import InputError
from labsys.core.fingerprint import CameraFingerprint
from labsys.storage.video import VideoInfo
from pipelines.calibrating.detect import probe_videos
from pipelines.calibrating.fingerprints import fingerprint_videos
from pipelines.calibrating.known_length import load_known_length
from pipelines.calibrating.placement import LabRequest


@dataclass(frozen=True, eq=False)
class CalibrationRequest:
    """What is to be calibrated, from what.

    Attributes:
        videos: camera -> video. board: that is waved in them.
        timestamps: CSV of frame times; None takes frame i of every video as one instant.
        lenses: file with every camera's lens; None solves the lenses from the same videos.
        known_lengths: files, each with a length that a tape measured.
        placing: what says how the rig lies in LAB.
        survey: tags whose poses are to be surveyed in the LAB that `placing` gives, and the new file for them.
        recorded_with: the rig file behind the videos, where known.
        grades: what the grades ask for.
        override_reason: why a refusal is to be set aside; empty lets it stand.
        cache: folder of what was found in videos before; None looks anew and keeps nothing.
    """

    videos: Mapping[str, Path]
    board: Board
    timestamps: Path | None = None
    lenses: Path | None = None
    known_lengths: tuple[Path, ...] = ()
    engine: Engine = Engine.LABSYS
    lens_model: LensModel = LensModel.PINHOLE
    placing: LabRequest = field(default_factory=LabRequest)
    survey: tuple[TagSet, Path] | None = None
    recorded_with: Rig | None = None
    grades: GradeLimits = field(default_factory=GradeLimits)
    override_reason: str = ""
    cache: Path | None = None

    @property
    def tags(self) -> TagSet | None:
        """The tags to look for, None where nothing needs them."""
        if self.survey is not None:
            return self.survey[0]
        return self.placing.source if isinstance(self.placing.source, TagSet) else None


@dataclass(frozen=True, eq=False)
class CalibrationInputs:
    """What the files of a request hold."""

    infos: Mapping[str, VideoInfo]
    times_s: Mapping[str, FloatArray] | None
    lenses: Mapping[str, Intrinsics] | None
    known_lengths: tuple[KnownLength, ...]
    fingerprint: Mapping[str, CameraFingerprint]


def read_inputs(request: CalibrationRequest) -> CalibrationInputs:
    """Read everything but the pictures.

    Raises:
        InputError: a file is unreadable or inconsistent; names the camera.
    """
    if request.survey is not None and request.survey[1].exists():
        raise InputError("is there already", where=str(request.survey[1]), remedy="Name a new file for the survey")
    infos = probe_videos(request.videos, same_rate=request.timestamps is None)
    lenses = None if request.lenses is None else read_lenses(request.lenses)
    if lenses is not None:
        check_sizes_fit({camera: info.size_px for camera, info in infos.items()}, lenses)
    return CalibrationInputs(
        infos,
        None if request.timestamps is None else read_timestamps(request.timestamps),
        lenses,
        tuple(load_known_length(path) for path in request.known_lengths),
        fingerprint_videos(infos, request.recorded_with),
    )


def runs_freely(rig: Rig | None) -> bool:
    """Whether nothing is known to trigger the cameras together: no rig file, or one in which they run on their own."""
    return rig is None or isinstance(rig.sync, FreeRun)
