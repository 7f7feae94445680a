"""Recordings of an erased subject go wherever they are: in the lab, in its archive, in the bin; nobody else's do."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labsys.core.errors import ConcurrencyError, InputError, UnknownNameError
from labsys.core.session import Subject, TrialName
from labsys.storage.documents import save_document
from labsys.storage.erased_recordings import remove_erased
from labsys.storage.erasures import Erasure, begin_erasure, cancel_erasure, find_erasure
from labsys.storage.lab import Lab, take_folder, trial_folder
from labsys.storage.sessions import load_session, save_session
from labsys.storage.subjects import save_subject
from labsys.storage.take_archive import archive_take
from labsys.storage.takes import load_take, require_videos, stage_take
from labsys.storage.trial_bin import delete_trial, move_trial_away, moved_to_others, restore_trial
from labsys.storage.trials import begin_trial, load_trial, save_trial, trial_codes
from tests.test_labsys.recorded_scene import add_videos, make_trial


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Lab, TrialName]:
    """A lab with a take of two videos, and a film that was made of it."""
    lab, name = make_trial(tmp_path / "lab")
    add_videos(lab, name, ("camA", "camB"))
    film = trial_folder(lab, name) / "derived/films/0/film.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"a face")
    return lab, name


def _videos(lab: Lab) -> list[str]:
    return sorted(p.name for p in lab.root.rglob("*.m[kp][v4]"))


def _remove(lab: Lab) -> tuple[list[str], list[str]]:
    noted: list[str] = []
    return remove_erased(lab, note=noted.append), noted


@pytest.mark.slow
def test_videos_and_films_go_when_the_day_has_come(recorded: tuple[Lab, TrialName]) -> None:
    lab, name = recorded
    assert _remove(lab) == ([], [])
    asked = begin_erasure(lab, name.subject, keep_days=7)
    assert begin_erasure(lab, name.subject, keep_days=9) == asked, "the earlier day holds"
    assert (_remove(lab), len(_videos(lab))) == (([], []), 3)
    begin_erasure(lab, name.subject, keep_days=0)
    take = load_take(lab, name)
    assert _remove(lab) == ([name.subject], [name.subject])
    assert _videos(lab) == []
    assert load_take(lab, name) == take, "what was recorded, and its hashes, stay known"
    found = find_erasure(lab, name.subject)
    assert found is not None
    assert "were removed on" in found.says
    assert _remove(lab) == ([], []), "asked again, nothing is left to do"
    with pytest.raises(InputError, match="were removed"):
        cancel_erasure(lab, name.subject)


@pytest.mark.slow
def test_archived_and_binned_videos_go_too_and_those_of_a_like_named_subject_stay(
    recorded: tuple[Lab, TrialName], tmp_path: Path
) -> None:
    lab, name = recorded
    other = TrialName(f"{name.subject}_b", name.session, name.trial)
    shutil.copytree(lab.root / "subjects" / name.subject, lab.root / "subjects" / other.subject)
    for path in (lab.root / "subjects" / other.subject).rglob("*.json"):
        path.write_text(
            path.read_text().replace(f'"{name.subject}"', f'"{other.subject}"').replace(str(name), str(other))
        )
    disk = tmp_path / "disk"
    disk.mkdir()
    archive_take(lab, name, disk, same_disk=True)
    assert len(list(disk.rglob("*.mkv"))) == 2
    delete_trial(lab, other, reason="another runner")
    delete_trial(lab, name, reason="consent withdrawn")
    begin_erasure(lab, name.subject, keep_days=0)
    disk.rename(tmp_path / "away")
    with pytest.raises(InputError, match="disk of the archive is not there"):
        _remove(lab)
    found = find_erasure(lab, name.subject)
    assert found is not None
    assert found.removed_at == "", "not before all of it went"
    (tmp_path / "away").rename(disk)
    assert _remove(lab) == ([name.subject], [name.subject])
    assert list(disk.rglob("*.mkv")) == []
    assert _videos(lab) == ["camA.mkv", "camB.mkv"]
    restore_trial(lab, other)
    assert all((take_folder(lab, other) / video.path).exists() for video in load_take(lab, other).cameras.values())


def test_erasure_of_nobody(recorded: tuple[Lab, TrialName]) -> None:
    lab, name = recorded
    with pytest.raises(UnknownNameError):
        begin_erasure(lab, "nobody", keep_days=1)
    with pytest.raises(InputError, match="nobody asked"):
        cancel_erasure(lab, name.subject)
    begin_erasure(lab, name.subject, keep_days=1)
    cancel_erasure(lab, name.subject)
    assert find_erasure(lab, name.subject) is None


def test_erasure_that_was_removed_in_a_restored_lab_is_finished_again(recorded: tuple[Lab, TrialName]) -> None:
    """Videos that come back, from the archive or a backup, go at the next purge."""
    lab, name = recorded
    long_ago = "2026-01-01T00:00:00.000Z"
    save_document(lab.root / "subjects" / name.subject / "erasure.json", Erasure(long_ago, long_ago, long_ago))
    assert _remove(lab) == ([name.subject], [name.subject])
    assert _videos(lab) == []


def test_what_cannot_be_read_of_one_subject_does_not_keep_anothers_recordings(recorded: tuple[Lab, TrialName]) -> None:
    lab, name = recorded
    save_subject(lab, Subject("", "A00"))  # comes first
    (lab.root / "subjects/A00/erasure.json").write_text("{")
    begin_erasure(lab, name.subject, keep_days=0)
    with pytest.raises(InputError):
        _remove(lab)
    assert _videos(lab) == []
    found = find_erasure(lab, name.subject)
    assert found is not None
    assert found.removed_at


def test_trials_of_an_erased_subject_stay_until_their_recordings_are_removed(recorded: tuple[Lab, TrialName]) -> None:
    """Under another code they would be seen again, and stay for ever."""
    lab, name = recorded
    other, within = _visit_of(lab, "S02", name), replace(name, trial="run9")
    begin_erasure(lab, name.subject, keep_days=7)
    with pytest.raises(InputError, match=f"{name} stays where it is.*--cancel"):
        move_trial_away(lab, name, other)
    assert _videos(lab) == ["camA.mkv", "camB.mkv", "film.mp4"]
    move_trial_away(lab, name, within)
    begin_erasure(lab, name.subject, keep_days=0)
    assert _remove(lab)[0] == [name.subject]
    assert _videos(lab) == []
    assert move_trial_away(lab, within, other).name == other, "numbers alone may go anywhere"


def test_trials_that_were_moved_away_before_are_named_and_removed_once_they_are_back(
    recorded: tuple[Lab, TrialName],
) -> None:
    lab, name = recorded
    assert moved_to_others(lab, name.subject) == []
    there, further = _visit_of(lab, "S02", name), _visit_of(lab, "S03", name)
    move_trial_away(lab, name, there)
    assert moved_to_others(lab, name.subject) == [there]
    move_trial_away(lab, there, further)
    assert moved_to_others(lab, name.subject) == moved_to_others(lab, "S02") == [further]
    begin_erasure(lab, name.subject, keep_days=0)
    assert _remove(lab) == ([name.subject], [name.subject])
    assert _videos(lab) == ["camA.mkv", "camB.mkv"], "they are S03's, until somebody says otherwise"
    move_trial_away(lab, further, name)
    assert moved_to_others(lab, name.subject) == []
    assert _remove(lab) == ([name.subject], [name.subject])
    assert _videos(lab) == []


def _visit_of(lab: Lab, subject: str, name: TrialName) -> TrialName:
    """A trial's name in a visit of another subject, which is made."""
    save_subject(lab, Subject("", subject))
    save_session(lab, replace(load_session(lab, name.subject, name.session), uuid="", subject=subject, episode=""))
    return replace(name, subject=subject)


def test_no_take_is_begun_for_who_was_erased_as_it_would_be_removed(recorded: tuple[Lab, TrialName]) -> None:
    lab, name = recorded
    waiting = TrialName(name.subject, name.session, "run2")
    save_trial(lab, replace(load_trial(lab, name), name=waiting, uuid=""))
    new = replace(load_trial(lab, name), name=replace(name, trial="run3"), uuid="")
    begin_erasure(lab, name.subject, keep_days=7)
    with pytest.raises(InputError, match=r"no take of S01 is kept.*--cancel"), stage_take(lab, waiting):
        pass
    with pytest.raises(InputError, match="no take of S01 is kept"), begin_trial(lab, new):
        pass
    assert trial_codes(lab, name.subject, name.session) == ("run1", "run2"), "nothing is left of the refused one"
    begin_erasure(lab, name.subject, keep_days=0)
    _remove(lab)
    with pytest.raises(InputError, match=r"were removed on.*Take a new code") as refused, stage_take(lab, waiting):
        pass
    assert "--cancel" not in str(refused.value)
    cancelled, _ = make_trial(lab.root.parent / "other")
    begin_erasure(cancelled, name.subject, keep_days=7)
    cancel_erasure(cancelled, name.subject)
    with stage_take(cancelled, name):
        pass


def test_film_that_was_finished_after_the_removal_goes_too(recorded: tuple[Lab, TrialName]) -> None:
    lab, name = recorded
    begin_erasure(lab, name.subject, keep_days=0)
    _remove(lab)
    late = trial_folder(lab, name) / "derived/films/0/film.mp4"
    late.parent.mkdir(parents=True)
    late.write_bytes(b"a face")
    assert _remove(lab) == ([name.subject], [name.subject])
    assert _videos(lab) == []
    assert _remove(lab) == ([], [])


def test_two_who_remove_at_once_note_everything_once(recorded: tuple[Lab, TrialName]) -> None:
    lab, name = recorded
    begin_erasure(lab, name.subject, keep_days=0)
    noted: list[str] = []

    def note(subject: str) -> None:
        noted.append(subject)
        with pytest.raises(ConcurrencyError):
            remove_erased(lab, note=noted.append)

    assert remove_erased(lab, note=note) == [name.subject]
    assert noted == [name.subject]


@pytest.mark.parametrize("time", ["soon", "2026-01-01T00:00:00", ""])
def test_erasure_whose_day_cannot_be_read_is_said(recorded: tuple[Lab, TrialName], time: str) -> None:
    lab, name = recorded
    path = lab.root / "subjects" / name.subject / "erasure.json"
    path.write_text(json.dumps({"schema_version": 1, "asked_at": "2026-01-01T00:00:00Z", "remove_after": time}))
    with pytest.raises(InputError, match=r"time.*erasure\.json"):
        _remove(lab)


def test_trial_whose_videos_were_removed_does_not_ask_for_a_backup(recorded: tuple[Lab, TrialName]) -> None:
    lab, name = recorded
    begin_erasure(lab, name.subject, keep_days=0)
    _remove(lab)
    with pytest.raises(InputError, match="no videos any more: the recordings were removed on") as refused:
        require_videos(lab, name)
    assert "backup" not in str(refused.value)
