"""2D landmarks of a take: those that were imported with it, or what a model finds in its videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from labsys.core.errors import InputError, LabsysError, MissingPartError
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.storage.atomic import make_folder, write_json_atomic
from labsys.storage.exchange.dlc import read_dlc, write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, take_folder
from labsys.storage.runs import current_run, hash_file, load_run, run_file
from labsys.storage.takes import Take, load_landmarks2d, require_videos

POSE_FILE = "pose2d/pose2d.json"


@dataclass(frozen=True)
class PoseVideo:
    """One camera's video as a take holds it."""

    camera: str
    path: Path
    sha256: str
    n_frames: int


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """What a model found.

    Attributes:
        tracks: camera -> landmarks by labsys's names, one row per frame of the video.
        scorer: who found them, as DeepLabCut's files name it. details: how, for provenance.
        notes: what is worth telling a person.
    """

    tracks: Mapping[str, CameraTrack]
    scorer: str
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class PoseEstimator(Protocol):
    """Finds landmarks in videos."""

    @property
    def identity(self) -> str:
        """Name and digest of the model."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """All that decides what is found, dotted key -> text; part of a run's identity."""

    def estimate(self, videos: Sequence[PoseVideo], *, afresh: bool, progress: Progress) -> PoseEstimate:
        """Look at every frame of every video; `afresh` takes nothing from what was found before."""


def estimate_pose(
    videos: Sequence[PoseVideo], estimator: PoseEstimator, *, afresh: bool = False, progress: Progress
) -> PoseEstimate:
    """2D landmarks of videos: as many rows as frames, for every camera.

    Raises:
        LabsysError: the estimator lost or added frames. InputError: a video cannot be read to its end.
    """
    found = estimator.estimate(videos, afresh=afresh, progress=progress)
    for video in videos:
        track = found.tracks.get(video.camera)
        if track is None or track.n_frames != video.n_frames:
            n = 0 if track is None else track.n_frames
            raise LabsysError(f"camera {video.camera}: {video.n_frames} frames went in, {n} came out")
    return found


def needs_model(take: Take) -> bool:
    """Whether a take has videos, and neither 2D landmarks nor markers."""
    return bool(take.cameras) and not take.landmarks2d and "markers" not in take.files


def take_videos(lab: Lab, name: TrialName, take: Take) -> tuple[PoseVideo, ...]:
    """The take's videos (InputError: one was changed after its import, or is in the archive)."""
    require_videos(lab, name)
    folder = take_folder(lab, name)
    for file in take.cameras.values():
        _check_unchanged(folder / file.path, file.sha256)
    return tuple(PoseVideo(c, folder / f.path, f.sha256, f.n_frames) for c, f in take.cameras.items())


def write_estimate(folder: Path, found: PoseEstimate) -> tuple[str, ...]:
    """Write what was found below a run's folder, DeepLabCut's h5 per camera; returns paths relative to it."""
    make_folder(folder / "pose2d")
    for camera, track in found.tracks.items():
        write_dlc_h5(folder / _track_path(camera), track, scorer=found.scorer)
    write_json_atomic(folder / POSE_FILE, {"scorer": found.scorer, **found.details, "notes": list(found.notes)})
    return (*(_track_path(camera) for camera in found.tracks), POSE_FILE)


def pose_files(cameras: Sequence[str]) -> tuple[str, ...]:
    """What `write_estimate` writes for these cameras."""
    return (*(_track_path(camera) for camera in cameras), POSE_FILE)


def read_tracks(locate: Callable[[str], Path], cameras: Sequence[str]) -> dict[str, CameraTrack]:
    """What `write_estimate` wrote; `locate` says where a path of the run is."""
    return {camera: read_dlc(locate(_track_path(camera))) for camera in cameras}


def find_landmarks2d(lab: Lab, name: TrialName, take: Take, *, run: str | None = None) -> dict[str, CameraTrack]:
    """A take's 2D landmarks by camera: imported ones, else those that a model found for a run (the current one).

    Raises:
        MissingPartError: the take has videos alone, and no model looked at them yet.
        InputError: a file was changed after its import.
    """
    if take.landmarks2d:
        for file in take.landmarks2d.values():
            _check_unchanged(take_folder(lab, name) / file.path, file.sha256)
        return {camera: load_landmarks2d(lab, name, camera) for camera in take.landmarks2d}
    chosen = run or current_run(lab, name)
    if chosen is None or POSE_FILE not in load_run(lab, name, chosen).files:
        raise MissingPartError(
            f"trial {name} has videos but no 2D landmarks",
            remedy=f"Let a model find them: labsys process {name} --model NAME; or import it with --landmarks2d",
        )
    return read_tracks(partial(run_file, lab, name, chosen), tuple(take.cameras))


def _track_path(camera: str) -> str:
    return f"pose2d/{camera}.h5"


def _check_unchanged(path: Path, sha256: str) -> None:
    if hash_file(path) != sha256:
        raise InputError("was changed after its import", where=str(path), remedy="Restore it from a backup")
