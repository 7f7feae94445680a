"""Videos of takes on another disk: copied there, compared with what was recorded, and only then taken out of the lab.

take/archive.json                         where the videos of this take are, with hash and size
PLACE/<lab's uuid>/<trial's uuid>/raw/…   the videos, byte for byte; trial.txt says whose

Nothing is encoded again: what comes back is what was recorded, and every run keeps its identity. Everything else of a
take stays in the lab. Each step can be cut short and asked for again; at every moment each video is whole in one place.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.core.progress import Progress, SilentProgress
from labsys.core.session import Trial, TrialName
from labsys.storage.archived_take import (
    ArchivedTake,
    ArchivedVideo,
    check_archived,
    find_archived,
    find_faults,
    hash_from_disk,
    size_of_video,
)
from labsys.storage.atomic import is_there, make_folder, replacing, sync_folder, write_text_atomic
from labsys.storage.documents import load_document, save_document
from labsys.storage.folder_copy import copy_hashed
from labsys.storage.lab import Lab, take_folder, trial_folder
from labsys.storage.locks import hold_lock
from labsys.storage.staged_runs import refuse_while_running
from labsys.storage.takes import ARCHIVE_FILE, RECORDING_FOLDER, TAKE_LOCK, load_take
from labsys.storage.trials import TRIAL_FILE, load_trial, require_trial

_RESERVE_BYTES = 100_000_000
_SILENT = SilentProgress()
_WHOSE = "trial.txt"
_AWAY = "Plug it in, or say where it is now: labsys archive fetch --from FOLDER"


def archive_take(
    lab: Lab, name: TrialName, place: Path, *, same_disk: bool = False, progress: Progress = _SILENT
) -> ArchivedTake:
    """Move the videos of a take to a folder on another disk; one that is there already is read whole and kept.

    Raises:
        UnknownNameError: no such trial.
        ConcurrencyError: its take is being written, or a run of the trial is being made.
        InputError: no videos, no room, the lab's own disk (unless same_disk), a video that is not what was recorded, or
            a copy that is not; the lab then still has all that is not whole elsewhere.
    """
    with _holding(lab, name):
        refuse_while_running(lab, name)
        there, folder = _resume(lab, name, place) or _plan(lab, name, place, same_disk), take_folder(lab, name)
        _check_room(place, sum(v.size_bytes for p, v in there.videos.items() if not is_there(Path(there.folder) / p)))
        write_text_atomic(Path(there.folder) / _WHOSE, f"{lab.name}: {name}\n")
        progress.stage(f"Copying {name}", len(there.videos))
        for path, video in there.videos.items():
            if is_there(folder / path):
                _copy_whole(folder / path, Path(there.folder) / path, video.sha256)
            elif faults := find_faults(Path(there.folder) / path, video):
                raise InputError(
                    faults[0], remedy="It is no longer in the lab: restore it from a backup of the archive"
                )
            progress.advance()
        refuse_while_running(lab, name)  # one may have begun, and looked at its videos, while they were copied
        save_document(folder / ARCHIVE_FILE, there)
        for path in there.videos:
            (folder / path).unlink(missing_ok=True)
        sync_folder(folder / "raw")
        return there


def fetch_take(
    lab: Lab, name: TrialName, *, place: Path | None = None, removing: bool = False, progress: Progress = _SILENT
) -> ArchivedTake:
    """Bring the videos of a take back into the lab; removing: remove the copies once all are here.

    place: where the archive is now, if its disk is mounted elsewhere; where it was is forgotten once all fit.

    Copies are kept otherwise: another copy of the lab, such as a restored backup, may have nothing but them.

    Raises:
        InputError: they are in the lab, their disk is not there, a copy is damaged, a file that lies in its place in
            the lab is not what was recorded, or there is no room for them. All copies are there then.
    """
    with _holding(lab, name):
        there, folder = find_archived(lab, name), take_folder(lab, name)
        if there is None:
            raise InputError(f"the videos of {name} are in the lab")
        if place is not None:
            there = replace(there, folder=str(_own_folder(lab, name, place)))
            _require_copies(there)
        _require_own(lab, folder, there)
        missing = {path: video for path, video in there.videos.items() if not is_there(folder / path)}
        if missing:
            _require_place(there)
        _check_room(folder, sum(video.size_bytes for video in missing.values()))
        progress.stage(f"Fetching {name}", len(there.videos))
        # Every one, not only what is missing: a file that lies there may be half of what was recorded.
        for path, video in there.videos.items():
            _copy_whole(Path(there.folder) / path, folder / path, video.sha256)
            progress.advance()
        if place is not None:
            save_document(folder / ARCHIVE_FILE, there)
        if removing:
            remove_copies(lab, folder)
        return there


def remove_copies(lab: Lab, take: Path) -> None:
    """Remove what the archive holds of a take's folder, and nothing else that lies there.

    Raises:
        InputError: its disk is not there, it cannot be removed, or the take names a folder that is not its own.
    """
    if not is_there(take / ARCHIVE_FILE):
        return
    there = load_document(take / ARCHIVE_FILE, ArchivedTake)
    _require_own(lab, take, there)
    _require_disk(there)
    try:
        _remove_videos(there)
    except OSError as error:
        raise InputError(f"cannot be removed: {error.strerror or error}", where=there.folder) from error
    # In this order: as long as there is a copy anywhere, the take says where.
    (take / ARCHIVE_FILE).unlink()
    sync_folder(take)


def _require_own(lab: Lab, take: Path, there: ArchivedTake) -> None:
    """The folder is that of this trial, and every video lies in it: a file that was edited names no other."""
    own = (lab.uuid, load_document(take.with_name(TRIAL_FILE), Trial).uuid)
    if Path(there.folder).parts[-2:] != own or any(
        ".." in Path(p).parts or Path(p).is_absolute() for p in there.videos
    ):
        raise InputError(
            f"names a folder that is not this trial's, which ends in {'/'.join(own)}",
            where=str(take / ARCHIVE_FILE),
            remedy="Restore it from a backup",
        )


def _remove_videos(there: ArchivedTake) -> None:
    """Remove the videos, what a copy that was cut short left of them, and folders that are empty then."""
    folder = Path(there.folder)
    for path in (*(folder / p for p in there.videos), folder / _WHOSE):
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink()
        path.unlink(missing_ok=True)
    for emptied in {*((folder / p).parent for p in there.videos)}:
        _remove_if_empty(emptied)
    _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _require_copies(there: ArchivedTake) -> None:
    """What becomes the place of a take holds all of it (InputError names what is gone or damaged)."""
    _require_place(there)
    if faults := check_archived(there):
        raise InputError(faults[0], remedy="Name the folder that 'archive takes --to' was given")


@contextmanager
def _holding(lab: Lab, name: TrialName) -> Iterator[None]:
    """Nobody else writes the take meanwhile (UnknownNameError: no such trial, for the lock would make its folder)."""
    require_trial(lab, name)
    with hold_lock(trial_folder(lab, name) / TAKE_LOCK, what=f"the take of {name}"):
        yield


def _resume(lab: Lab, name: TrialName, place: Path) -> ArchivedTake | None:
    """What was begun or done already (InputError: at another place, or its disk is not there)."""
    there = find_archived(lab, name)
    if there is None:
        return None
    moved = _own_folder(lab, name, place)
    if not Path(there.folder).is_dir() and moved.is_dir():
        return replace(there, folder=str(moved))  # its disk is mounted elsewhere; every copy is read before it counts
    if not Path(there.folder).is_relative_to(place.expanduser().resolve()):
        raise InputError(
            f"the videos of {name} are in another archive",
            where=there.folder,
            remedy="Fetch them with --remove-copies first",
        )
    _require_place(there)
    return there


def _plan(lab: Lab, name: TrialName, place: Path, same_disk: bool) -> ArchivedTake:
    """Which videos go where (InputError: there are none, one is gone, or the place is none)."""
    take, folder = load_take(lab, name), take_folder(lab, name)
    if not take.cameras:
        raise InputError(f"the take of {name} has no videos", where=str(folder))
    if is_there(folder.with_name(RECORDING_FOLDER)):
        raise InputError(f"trial {name} is being recorded", remedy="Run 'labsys recover'")
    place = place.expanduser().resolve()
    if not place.is_dir():
        raise InputError("there is no such folder", where=str(place), remedy="Make it, or plug the disk in")
    if place.is_relative_to(lab.root):
        raise InputError("lies inside the lab", where=str(place), remedy="Name a folder on another disk")
    if not same_disk and place.stat().st_dev == lab.root.stat().st_dev:
        raise InputError(
            "is on the disk of the lab, which gains no room",
            where=str(place),
            remedy="Plug the other disk in, or ask with --same-disk",
        )
    videos = {f.path: ArchivedVideo(f.sha256, size_of_video(folder / f.path)) for f in take.cameras.values()}
    return ArchivedTake(str(_own_folder(lab, name, place)), utc_now(), videos)


def _own_folder(lab: Lab, name: TrialName, place: Path) -> Path:
    return place.expanduser().resolve() / lab.uuid / load_trial(lab, name).uuid


def _check_room(place: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(place).free
    if needed_bytes and free < needed_bytes + _RESERVE_BYTES:
        raise InputError(
            f"{free / 1e9:.1f} GB are free, {(needed_bytes + _RESERVE_BYTES) / 1e9:.1f} GB are needed",
            where=str(place),
            remedy="Make room there, or name another disk",
        )


def _require_place(there: ArchivedTake) -> None:
    if not Path(there.folder).is_dir():
        raise InputError("the disk of the archive is not there", where=there.folder, remedy=_AWAY)


def _require_disk(there: ArchivedTake) -> None:
    """A take's own folder may be gone already, that of the lab is there with the disk."""
    if not Path(there.folder).parent.is_dir():
        raise InputError("the disk of the archive is not there", where=there.folder, remedy=_AWAY)


def _copy_whole(source: Path, target: Path, sha256: str) -> None:
    """A copy that was read back from the disk and is what was recorded; an equal one that is there is kept."""
    if is_there(target):
        if hash_from_disk(target) != sha256:
            raise InputError("is not what was recorded", where=str(target), remedy="Move it away, then ask again")
        return
    make_folder(target.parent)
    with replacing(target) as temporary:
        copied = copy_hashed(source, temporary)
        if copied.sha256 != sha256:
            raise InputError("is not what was recorded", where=str(source), remedy="Restore it from a backup")
        if hash_from_disk(temporary) != sha256:
            raise InputError("was not written as it was read", where=str(target), remedy="Look after this disk")
