"""Archived videos are always whole in one place, whatever cuts the work short, and come back as they were recorded."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from labsys.core.errors import ConcurrencyError, InputError, UnknownNameError
from labsys.core.session import TrialName
from labsys.storage import take_archive
from labsys.storage.archived_take import check_archived, count_bytes_in_lab, find_archived
from labsys.storage.atomic import hash_file, is_there
from labsys.storage.documents import save_document
from labsys.storage.lab import Lab, open_lab, take_folder, trial_folder
from labsys.storage.locks import hold_lock
from labsys.storage.runs import open_run
from labsys.storage.take_archive import fetch_take
from labsys.storage.takes import ARCHIVE_FILE, load_take, require_videos, verify_take
from labsys.storage.trial_bin import delete_trial, destroy_deleted
from tests.test_labsys.recorded_scene import add_videos, make_trial

pytestmark = pytest.mark.slow

CAMERAS = ("camA", "camB")
archive_take = partial(take_archive.archive_take, same_disk=True)  # a folder of the test stands for another disk


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Lab, TrialName, Path]:
    """A lab with a take of two videos, and a folder that stands for another disk."""
    lab, name = make_trial(tmp_path / "lab")
    add_videos(lab, name, CAMERAS)
    disk = tmp_path / "disk"
    disk.mkdir()
    return lab, name, disk


def _places(lab: Lab, name: TrialName, disk: Path) -> dict[str, list[str]]:
    """Camera -> where its video is, whole: "lab", "disk"."""
    found = {}
    for camera, file in load_take(lab, name).cameras.items():
        copies = list(disk.rglob(f"raw/{camera}.mkv"))
        places = {"lab": [take_folder(lab, name) / file.path], "disk": copies}
        found[camera] = [w for w, paths in places.items() for p in paths if is_there(p) and hash_file(p) == file.sha256]
    return found


def test_videos_leave_the_lab_and_come_back_as_they_were(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    before = load_take(lab, name)
    there = archive_take(lab, name, disk)
    assert _places(lab, name, disk) == {camera: ["disk"] for camera in CAMERAS}
    assert load_take(lab, name) == before, "runs keep their identity"
    assert check_archived(there) == ()
    assert (Path(there.folder) / "trial.txt").read_text() == f"lab: {name}\n"
    for look in (require_videos, verify_take):
        with pytest.raises(InputError, match=rf"in the archive .*{disk}.*labsys archive fetch {name}"):
            look(lab, name)
    assert archive_take(lab, name, disk) == there, "asking again changes nothing"
    fetch_take(lab, name, removing=True)
    verify_take(lab, name)
    assert _places(lab, name, disk) == {camera: ["lab"] for camera in CAMERAS}
    assert find_archived(lab, name) is None
    assert {p.name for p in take_folder(lab, name).iterdir()} == {"take.json", "raw"}
    with pytest.raises(InputError, match="are in the lab"):
        fetch_take(lab, name)


class _CutShortError(BaseException):
    """As a kill, for the steps that came before."""


@contextmanager
def _cut_before(step: int, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the step-th act on the disk not happen any more."""
    left = [step]

    def guarded(act: Callable[..., Any]) -> Callable[..., Any]:
        def do(*args: Any, **kwargs: Any) -> Any:
            if str(args[0]).endswith(".lock"):
                return act(*args, **kwargs)  # the system lets go of a lock, however its holder ends
            if not left[0]:
                raise _CutShortError
            left[0] -= 1
            return act(*args, **kwargs)

        return do

    with patch.context() as patched:
        for holder, act in (
            (take_archive, "copy_hashed"),
            (take_archive, "save_document"),
            (take_archive, "write_text_atomic"),
            (take_archive, "sync_folder"),
            (take_archive.shutil, "rmtree"),
            (Path, "unlink"),
            (Path, "rmdir"),
            (Path, "replace"),
        ):
            patched.setattr(holder, act, guarded(getattr(holder, act)))
        yield


def _repeat_cut(work: Callable[[], object], look: Callable[[], None], patch: pytest.MonkeyPatch) -> int:
    """Begin work anew again and again, each time one step further, and look at what there is after every cut."""
    for step in range(100):
        try:
            with _cut_before(step, patch):
                work()
        except _CutShortError:
            look()
        else:
            return step
    raise AssertionError("never came to an end")


def test_cut_short_anywhere_every_video_is_whole_somewhere(
    recorded: tuple[Lab, TrialName, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, name, disk = recorded

    def look() -> None:
        assert all(places for places in _places(lab, name, disk).values())
        if not any("lab" in places for places in _places(lab, name, disk).values()):
            assert find_archived(lab, name) is not None, "the lab knows where they are"

    assert _repeat_cut(lambda: archive_take(lab, name, disk), look, monkeypatch) >= 5
    assert _places(lab, name, disk) == {camera: ["disk"] for camera in CAMERAS}
    assert _repeat_cut(lambda: fetch_take(lab, name, removing=True), look, monkeypatch) >= 3
    assert _places(lab, name, disk) == {camera: ["lab"] for camera in CAMERAS}
    assert find_archived(lab, name) is None


@contextmanager
def _no_file_larger_than(limit_bytes: int) -> Iterator[None]:
    """As a full disk: writing fails in the middle of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_costs_nothing(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    with _no_file_larger_than(20_000), pytest.raises(InputError, match="cannot be copied: File too large"):
        archive_take(lab, name, disk)
    assert _places(lab, name, disk) == {camera: ["lab"] for camera in CAMERAS}
    assert list(disk.rglob("*.mkv")) == [], "nothing half is left"
    verify_take(lab, name)
    archive_take(lab, name, disk)
    with _no_file_larger_than(20_000), pytest.raises(InputError, match="cannot be copied: File too large"):
        fetch_take(lab, name)
    assert _places(lab, name, disk) == {camera: ["disk"] for camera in CAMERAS}
    fetch_take(lab, name)
    verify_take(lab, name)


def test_no_room_is_said_before_anything_is_copied(
    recorded: tuple[Lab, TrialName, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, name, disk = recorded
    monkeypatch.setattr(take_archive, "_RESERVE_BYTES", 10**18)
    with pytest.raises(InputError, match="GB are free"):
        archive_take(lab, name, disk)
    assert list(disk.iterdir()) == []


def test_what_is_not_what_was_recorded_is_never_taken_for_it(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    original = take_folder(lab, name) / "raw/camB.mkv"
    sound = original.read_bytes()
    original.write_bytes(sound[:-1] + b"x")
    with pytest.raises(InputError, match=r"is not what was recorded .*camB.*backup"):
        archive_take(lab, name, disk)
    assert original.exists()
    original.write_bytes(sound)
    there = archive_take(lab, name, disk)
    copy = Path(there.folder) / "raw/camA.mkv"
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    assert check_archived(there) == (f"{copy} is not what was recorded",)
    with pytest.raises(InputError, match=r"is not what was recorded .*camA"):
        fetch_take(lab, name)
    assert copy.exists()
    assert find_archived(lab, name) == there


def test_what_lies_in_the_lab_is_compared_before_any_copy_goes(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    there = archive_take(lab, name, disk)
    restored = take_folder(lab, name) / "raw/camA.mkv"
    restored.write_bytes(b"half restored")
    with pytest.raises(InputError, match=rf"is not what was recorded \({restored}\)\. Move it away"):
        fetch_take(lab, name, removing=True)
    assert check_archived(there) == (), "every copy is still there"
    restored.unlink()
    fetch_take(lab, name, removing=True)
    verify_take(lab, name)


def test_a_copy_that_cannot_be_read_does_not_hide_the_others(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    there = archive_take(lab, name, disk)
    copies = [Path(there.folder) / f"raw/{camera}.mkv" for camera in CAMERAS]
    copies[0].unlink()
    copies[0].mkdir()
    copies[1].write_bytes(b"x")
    assert check_archived(there) == (
        f"{copies[0]} cannot be read: Is a directory",
        f"{copies[1]} is not what was recorded",
    )
    with pytest.raises(InputError, match="cannot be copied: Is a directory"):
        fetch_take(lab, name)


@pytest.mark.parametrize("wrong", ["S99/2026-11-22/run1", "S01/2026-11-22/run9"])
def test_a_name_that_nothing_answers_to_leaves_nothing_behind(
    recorded: tuple[Lab, TrialName, Path], wrong: str
) -> None:
    lab, _, disk = recorded
    before = sorted(lab.root.rglob("*"))
    for work in (lambda n: archive_take(lab, n, disk), lambda n: fetch_take(lab, n)):
        with pytest.raises(UnknownNameError):
            work(TrialName.parse(wrong))
    assert sorted(lab.root.rglob("*")) == before


def test_a_disk_that_is_away_is_named_and_nothing_is_written_in_its_place(
    recorded: tuple[Lab, TrialName, Path],
) -> None:
    lab, name, disk = recorded
    there = archive_take(lab, name, disk)
    disk.rename(disk.with_name("unplugged"))
    assert len(check_archived(there)) == len(CAMERAS)
    for work in (lambda: fetch_take(lab, name), lambda: archive_take(lab, name, disk)):
        with pytest.raises(InputError, match="disk of the archive is not there"):
            work()
    assert not disk.exists()


@pytest.mark.parametrize("place", ["absent", "lab/bin", "file"])
def test_places_that_are_none_are_refused(recorded: tuple[Lab, TrialName, Path], place: str) -> None:
    lab, name, disk = recorded
    (disk.parent / "file").write_text("x")
    with pytest.raises(InputError, match=r"no such folder|inside the lab"):
        archive_take(lab, name, disk.parent / place)
    verify_take(lab, name)


def test_two_at_once_and_another_place_are_refused(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    with hold_lock(trial_folder(lab, name) / ".take.lock", what="it"), pytest.raises(ConcurrencyError):
        archive_take(lab, name, disk)
    archive_take(lab, name, disk)
    other = disk.with_name("other")
    other.mkdir()
    with pytest.raises(InputError, match="another archive"):
        archive_take(lab, name, other)


def test_a_destroyed_trial_leaves_nothing_in_the_archive(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    archive_take(lab, name, disk)
    delete_trial(lab, name, reason="consent withdrawn")
    later = datetime.now(UTC) + timedelta(days=1)
    disk.rename(disk.with_name("unplugged"))
    with pytest.raises(InputError, match="disk of the archive is not there"):
        destroy_deleted(lab, later, note=lambda _: None)
    disk.with_name("unplugged").rename(disk)
    noted = list[Any]()
    destroy_deleted(lab, later, note=noted.append)
    assert [entry.name for entry in noted] == [name]
    assert [p for p in disk.rglob("*") if p.is_file()] == []
    assert not list((lab.root / "bin").rglob(ARCHIVE_FILE))


def test_a_copy_of_the_lab_leaves_the_copies_to_the_others(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    there = archive_take(lab, name, disk)
    other = open_lab(shutil.copytree(lab.root, lab.root.with_name("restored")))
    fetch_take(other, name)
    verify_take(other, name)
    assert check_archived(there) == ()
    fetch_take(lab, name)
    verify_take(lab, name)
    assert find_archived(lab, name) == there, "who destroys the trial finds the copies"
    archive_take(lab, name, disk)
    assert _places(lab, name, disk) == {camera: ["disk"] for camera in CAMERAS}


def test_only_the_copies_are_removed(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    folder = Path(archive_take(lab, name, disk).folder)
    (folder / "raw/.camA.mkv.0123.mkv").write_bytes(b"cut short")
    (folder / "raw/notes.txt").write_text("precious")
    fetch_take(lab, name, removing=True)
    assert [p for p in disk.rglob("*") if p.is_file()] == [folder / "raw/notes.txt"]


@pytest.mark.parametrize("way", ["fetch", "purge"])
def test_a_folder_that_is_not_the_trials_is_never_removed(recorded: tuple[Lab, TrialName, Path], way: str) -> None:
    lab, name, disk = recorded
    there = archive_take(lab, name, disk)
    victim = disk.parent / "victim"
    shutil.copytree(there.folder, victim)
    save_document(take_folder(lab, name) / ARCHIVE_FILE, replace(there, folder=str(victim)))
    if way == "purge":
        delete_trial(lab, name, reason="consent withdrawn")
    later = datetime.now(UTC) + timedelta(days=1)
    works: dict[str, Callable[[], object]] = {
        "fetch": lambda: fetch_take(lab, name, removing=True),
        "purge": lambda: destroy_deleted(lab, later, note=lambda _: None),
    }
    with pytest.raises(InputError, match=r"names a folder that is not this trial's, which ends in .*archive\.json"):
        works[way]()
    assert {p.name for p in victim.rglob("*") if p.is_file()} == {"trial.txt", "camA.mkv", "camB.mkv"}


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_asking_again_reads_the_copies_that_are_all_there_is(recorded: tuple[Lab, TrialName, Path], harm: str) -> None:
    lab, name, disk = recorded
    assert count_bytes_in_lab(lab, name) > 0
    copy = Path(archive_take(lab, name, disk).folder) / "raw/camB.mkv"
    assert count_bytes_in_lab(lab, name) == 0
    copy.unlink()
    if harm == "damaged":
        copy.write_bytes(b"x")
    with pytest.raises(InputError, match=rf"{copy} is not (there|what was recorded)\. It is no longer in the lab"):
        archive_take(lab, name, disk)


def test_nothing_is_taken_from_under_a_run(
    recorded: tuple[Lab, TrialName, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, name, disk = recorded
    with open_run(lab, name, "r1"), pytest.raises(ConcurrencyError, match=r"run r1 of .* is being made"):
        archive_take(lab, name, disk)
    assert list(disk.iterdir()) == []
    with ExitStack() as begun, monkeypatch.context() as patched:
        copied = take_archive.copy_hashed

        def begin_and_copy(source: Path, target: Path) -> Any:
            begun.enter_context(open_run(lab, name, source.stem))
            return copied(source, target)

        patched.setattr(take_archive, "copy_hashed", begin_and_copy)
        with pytest.raises(ConcurrencyError, match="is being made"):
            archive_take(lab, name, disk)
    verify_take(lab, name)
    archive_take(lab, name, disk)
    assert _places(lab, name, disk) == {camera: ["disk"] for camera in CAMERAS}


def test_the_disk_of_the_lab_is_no_other_disk(recorded: tuple[Lab, TrialName, Path]) -> None:
    lab, name, disk = recorded
    with pytest.raises(InputError, match=rf"is on the disk of the lab.*{disk}.*--same-disk"):
        take_archive.archive_take(lab, name, disk)
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize("way", ["fetch", "takes"])
def test_a_disk_that_is_mounted_elsewhere_is_found_there(recorded: tuple[Lab, TrialName, Path], way: str) -> None:
    lab, name, disk = recorded
    archive_take(lab, name, disk)
    moved = disk.rename(disk.with_name("mounted"))
    copy = next(moved.rglob("camB.mkv"))
    sound = copy.read_bytes()
    copy.write_bytes(b"x")
    works: dict[str, Callable[[], object]] = {
        "fetch": lambda: fetch_take(lab, name, place=moved),
        "takes": lambda: archive_take(lab, name, moved),
    }
    with pytest.raises(InputError, match="is not what was recorded"):
        works[way]()
    copy.write_bytes(sound)
    works[way]()
    there = find_archived(lab, name)
    assert there is not None
    assert Path(there.folder).is_relative_to(moved)
    fetch_take(lab, name, removing=True)
    verify_take(lab, name)
