"""Takes: what was recorded or imported, written once. take/take.json lists every file with its hash."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import TrialName, check_code
from labsys.storage.atomic import hash_file, is_there, make_folder, read_json, sync_folder, sync_tree
from labsys.storage.documents import load_document, save_document
from labsys.storage.erasures import find_erasure, refuse_new_take
from labsys.storage.lab import Lab, take_folder, trial_folder
from labsys.storage.locks import hold_lock
from labsys.storage.trials import require_trial
from labsys.storage.video import check_video

if TYPE_CHECKING:
    from labsys.storage.exchange.tracks import CameraTrack

TAKE_FILE = "take.json"
ARCHIVE_FILE = "archive.json"  # in a take whose videos are on another disk (take_archive.py)
TAKE_LOCK = ".take.lock"  # of a trial, held by who imports its take or takes its videos away
RECORDING_FOLDER = ".take.recording"  # beside take/, while it is recorded or waits to be recovered


@dataclass(frozen=True)
class TakeFile:
    """A file of a take: path relative to take/, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True)
class CameraFile:
    """One camera's video. size_px: (width, height); n_frames counted by demuxing; path relative to take/."""

    path: str
    sha256: str
    size_px: tuple[int, int]
    n_frames: int
    rate_hz: float


@dataclass(frozen=True)
class Take:
    """One recording.

    Attributes:
        rate_hz: common frame rate.
        cameras: camera -> video; empty where only landmarks or markers were imported.
        landmarks2d: camera -> 2D landmarks in DeepLabCut's h5 (pose2d/<cam>.h5); empty where none were imported.
        files: role -> file, for all else: "markers", "marker_map", "truth", …
        calibration: name of the calibration, "" if none.
        source: where the take came from, in words.
        notes: what the import found worth saying (people in the picture, accepted sizes, …).
    """

    rate_hz: float
    cameras: Mapping[str, CameraFile] = field(default_factory=dict)
    landmarks2d: Mapping[str, TakeFile] = field(default_factory=dict)
    files: Mapping[str, TakeFile] = field(default_factory=dict)
    calibration: str = ""
    source: str = ""
    notes: tuple[str, ...] = ()


class StagedTake:
    """A take in the making, in a hidden folder of the trial; nothing is visible before `finish`. See `stage_take`."""

    def __init__(self, folder: Path, target: Path) -> None:
        self._folder, self._target = folder, target
        self._cameras: dict[str, CameraFile] = {}
        self._landmarks2d: dict[str, TakeFile] = {}
        self._files: dict[str, TakeFile] = {}

    def add_video(self, camera: str, path: Path) -> CameraFile:
        """Copy a video to raw/<camera><suffix> and decode all of it once.

        Raises:
            InputError: unreadable, damaged or empty video, or the camera has one already.
        """
        _require_free("video of camera", camera, self._cameras)
        info = check_video(path)
        copied = self._copy(path, f"raw/{camera}{path.suffix.lower()}")
        self._cameras[camera] = CameraFile(copied.path, copied.sha256, info.size_px, info.n_frames, info.rate_hz)
        return self._cameras[camera]

    def add_landmarks2d(self, camera: str, track: CameraTrack) -> TakeFile:
        """Write one camera's 2D landmarks to pose2d/<camera>.h5 (InputError: the camera has them already)."""
        # Tables take seconds to import, and a recorder that reads no landmarks has none to lose.
        from labsys.storage.exchange.dlc import write_dlc_h5

        _require_free("2D landmarks of camera", camera, self._landmarks2d)
        path = f"pose2d/{camera}.h5"
        write_dlc_h5(self._folder / path, track)
        self._landmarks2d[camera] = TakeFile(path, hash_file(self._folder / path))
        return self._landmarks2d[camera]

    def add_file(self, role: str, path: Path) -> TakeFile:
        """Copy any other file to files/<role><suffix> (InputError: unreadable, or the role is taken)."""
        _require_free("file", role, self._files)
        self._files[role] = self._copy(path, f"files/{role}{path.suffix.lower()}")
        return self._files[role]

    def finish(self, *, rate_hz: float, calibration: str = "", source: str = "", notes: tuple[str, ...] = ()) -> Take:
        """Write take.json and make the take visible, all at once.

        Raises:
            InputError: nothing was added, videos are of unequal length, or the rate is not positive.
        """
        if not (self._cameras or self._landmarks2d or self._files):
            raise InputError("the take is empty", where=str(self._target))
        if not rate_hz > 0:
            raise InputError(f"frame rate {rate_hz:g} Hz is not positive", where=str(self._target))
        take = Take(
            rate_hz=rate_hz,
            cameras=self._cameras,
            landmarks2d=self._landmarks2d,
            files=self._files,
            calibration=calibration,
            source=source,
            notes=notes,
        )
        save_document(self._folder / TAKE_FILE, take)
        sync_tree(self._folder)
        self._folder.rename(self._target)
        sync_folder(self._target.parent)
        return take

    def _copy(self, source: Path, path: str) -> TakeFile:
        target = self._folder / path
        make_folder(target.parent)
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            raise InputError(f"cannot be copied: {error.strerror or error}", where=str(source)) from error
        return TakeFile(path, hash_file(target))


@contextmanager
def stage_take(lab: Lab, name: TrialName) -> Iterator[StagedTake]:
    """Begin a take of an existing trial; leaving without `finish` removes everything.

    Raises:
        UnknownNameError: no such trial. InputError: the trial has a take already (takes are written once), or its
            subject was erased.
        ConcurrencyError: another process is writing this take.
    """
    require_trial(lab, name)
    refuse_new_take(lab, name.subject)
    staging, target = trial_folder(lab, name) / ".take.partial", take_folder(lab, name)
    with hold_lock(trial_folder(lab, name) / TAKE_LOCK, what=f"the take of {name}"):
        if is_there(target):
            raise InputError(f"trial {name} has a take already", where=str(target), remedy="Import under another name")
        if is_there(target.with_name(RECORDING_FOLDER)):
            raise InputError(f"trial {name} is being recorded", where=str(target), remedy="Run 'labsys recover'")
        shutil.rmtree(staging, ignore_errors=True)  # what a crash left
        make_folder(staging)
        try:
            yield StagedTake(staging, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def load_take(lab: Lab, name: TrialName) -> Take:
    """Read take.json (UnknownNameError: no such trial; InputError where it has no take; NewerSchemaError)."""
    require_trial(lab, name)
    path = take_folder(lab, name) / TAKE_FILE
    if not is_there(path):
        raise InputError(f"trial {name} has no take", where=str(path), remedy="Record or import one")
    return load_document(path, Take)


def has_take(lab: Lab, name: TrialName) -> bool:
    """Whether the trial has a take."""
    return is_there(take_folder(lab, name) / TAKE_FILE)


def require_videos(lab: Lab, name: TrialName) -> None:
    """Refuse a take whose videos are not here, and say where they are (InputError)."""
    take, folder = load_take(lab, name), take_folder(lab, name)
    gone = [file.path for file in take.cameras.values() if not is_there(folder / file.path)]
    if gone and is_there(folder / ARCHIVE_FILE):
        raise InputError(
            f"the videos of trial {name} are in the archive",
            where=str(read_json(folder / ARCHIVE_FILE).get("folder")),
            remedy=f"Bring them back: labsys archive fetch {name}",
        )
    erasure = find_erasure(lab, name.subject) if gone else None
    if erasure is not None:
        raise InputError(f"trial {name} has no videos any more: {erasure.says}")
    if gone:
        raise InputError("a video is gone", where=str(folder / gone[0]), remedy="Restore it from a backup")


def load_landmarks2d(lab: Lab, name: TrialName, camera: str) -> CameraTrack:
    """Imported 2D landmarks of one camera of the take (UnknownNameError: no such camera, or none imported)."""
    from labsys.storage.exchange.dlc import read_dlc

    take = load_take(lab, name)
    if camera not in take.landmarks2d:
        raise UnknownNameError("camera with 2D landmarks", camera, valid=take.landmarks2d, where=f"take of {name}")
    return read_dlc(take_folder(lab, name) / take.landmarks2d[camera].path)


def verify_take(lab: Lab, name: TrialName) -> None:
    """Compare every file of a take with its hash (InputError names one that differs, or says where the videos are)."""
    require_videos(lab, name)
    take = load_take(lab, name)
    videos = [TakeFile(v.path, v.sha256) for v in take.cameras.values()]
    for file in (*videos, *take.landmarks2d.values(), *take.files.values()):
        path = take_folder(lab, name) / file.path
        if hash_file(path) != file.sha256:
            raise InputError("differs from what was recorded", where=str(path), remedy="Restore it from a backup")


def _require_free(what: str, key: str, taken: Mapping[str, object]) -> None:
    check_code("camera or file", key)
    if key in taken:
        raise InputError(f"{what} '{key}' was given twice")
