"""The videos of a trial with their landmarks, and which frame each camera took at a moment of the common clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.camera_audit import CameraAudit, ReconstructionAudit
from labsys.core.errors import MissingPartError
from labsys.core.frame_clock import CameraClocks
from labsys.core.session import TrialName
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, take_folder
from labsys.storage.results import AUDIT_FILE, read_audit
from labsys.storage.runs import load_run, run_file
from labsys.storage.takes import Take, load_take, require_videos
from pipelines.pose2d import find_landmarks2d
from pipelines.retime import read_clocks
from pipelines.retiming.offsets import CameraOffset, shift_clocks
from pipelines.retiming.stamps import TIMESTAMPS, read_stamps


@dataclass(frozen=True, eq=False)
class CameraSource:
    """One camera's video.

    Attributes:
        size_px: (width, height) as displayed. times_s: (N,) when each frame was taken, on the trial's common clock.
        landmarks: K names. xy_px: (N, K, 2) px where they were found in each frame, NaN where they were not.
    """

    camera: str
    path: Path
    size_px: tuple[int, int]
    times_s: FloatArray
    landmarks: tuple[str, ...]
    xy_px: FloatArray

    def nearest_frames(self, moments_s: FloatArray) -> IntArray:
        """(T,) numbers of the frames that were taken nearest to these moments; beyond the ends the first or last."""
        between_s = 0.5 * (self.times_s[1:] + self.times_s[:-1])
        return np.asarray(np.searchsorted(between_s, moments_s), dtype=np.int64)


def read_sources(lab: Lab, name: TrialName, run: str) -> tuple[tuple[CameraSource, ...], tuple[str, ...]]:
    """The videos of a trial as a run understood their clocks, and a note for every camera that must be left out.

    Raises:
        MissingPartError: the take has no videos, or no 2D landmarks. InputError: a file was changed after its import.
    """
    take = load_take(lab, name)
    if not take.cameras:
        raise MissingPartError(f"trial {name} has no videos", remedy="Import it with --video")
    require_videos(lab, name)
    tracks = find_landmarks2d(lab, name, take, run=run)
    clocks = _clocks(lab, name, take, run, tracks)
    start_s = float(clocks.grid_s()[0]) if clocks.stamped else 0.0
    likelihood = _least_likelihood(lab, name, run)
    found, notes = [], []
    for camera, file in take.cameras.items():
        if camera not in tracks or tracks[camera].n_frames != file.n_frames:
            notes.append(f"camera {camera} is left out: its landmarks are not those of its {file.n_frames} frames")
            continue
        track = tracks[camera]
        xy_px = np.where((track.confidence >= likelihood)[..., None], track.xy_px, np.nan)
        times_s = clocks.clocks[camera].times_s - start_s
        path = take_folder(lab, name) / file.path
        found.append(CameraSource(camera, path, file.size_px, times_s, track.landmarks, xy_px))
    return tuple(found), tuple(notes)


def _clocks(lab: Lab, name: TrialName, take: Take, run: str, tracks: Mapping[str, CameraTrack]) -> CameraClocks:
    """The clocks of the cameras with the offsets that the run corrected."""
    stamps = take.files.get(TIMESTAMPS)
    noted = None if stamps is None else read_stamps(take_folder(lab, name) / stamps.path, tracks)
    clocks = read_clocks(tracks, rate_hz=take.rate_hz, stamps=noted)
    offsets = {a.camera: _offset(a) for a in _audit(lab, name, run).cameras if a.offset_used}
    return shift_clocks(clocks, offsets) if offsets else clocks


def _audit(lab: Lab, name: TrialName, run: str) -> ReconstructionAudit:
    if AUDIT_FILE not in load_run(lab, name, run).files:
        return ReconstructionAudit()
    return read_audit(run_file(lab, name, run, AUDIT_FILE))


def _offset(audit: CameraAudit) -> CameraOffset:
    return CameraOffset(audit.offset_s or 0.0, audit.offset_sd_s or 0.0, 1e-6 * (audit.drift_ppm or 0.0), 0.0)


def _least_likelihood(lab: Lab, name: TrialName, run: str) -> float:
    """What the run asked of a landmark before it believed it."""
    parameters = load_run(lab, name, run).provenance.parameters
    return float(parameters.get("reconstruct.min_likelihood", 0.0))
