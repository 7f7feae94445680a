"""A deleted trial is in the bin with its reason, and comes back as it was."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labsys.core.errors import ConcurrencyError, InputError, LabsysError, UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.lab import trial_folder
from labsys.storage.recordings import begin_recording, discard_recording
from labsys.storage.staged_runs import open_run
from labsys.storage.takes import stage_take
from labsys.storage.trial_bin import (
    BinEntry,
    delete_trial,
    destroy_deleted,
    list_bin,
    list_gone,
    move_trial_away,
    restore_trial,
)
from labsys.storage.trials import load_trial, save_trial, trial_codes
from labsys.storage.unrecorded import hold_new
from tests.test_labsys.recorded_scene import make_trial


def test_a_deleted_trial_comes_back_as_it_was(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    before = load_trial(lab, name)
    (trial_folder(lab, name) / "take").mkdir()
    (trial_folder(lab, name) / "take/take.json").write_text("kept")
    entry = delete_trial(lab, name, reason="  shoe came off ")
    assert trial_codes(lab, name.subject, name.session) == ()
    assert list_bin(lab) == [entry]
    assert (entry.name, entry.reason) == (name, "shoe came off")
    assert restore_trial(lab, name) == entry
    assert load_trial(lab, name) == before
    assert (trial_folder(lab, name) / "take/take.json").read_text() == "kept"
    assert list_bin(lab) == []
    assert list((lab.root / "bin").iterdir()) == []


def test_what_cannot_be_deleted_or_restored_is_refused(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    with pytest.raises(InputError, match="no reason"):
        delete_trial(lab, name, reason=" ")
    with pytest.raises(UnknownNameError, match="Unknown trial 'run9'"):
        delete_trial(lab, TrialName("S01", "2026-11-22", "run9"), reason="wrong")
    with pytest.raises(UnknownNameError, match="deleted trial"):
        restore_trial(lab, name)
    recording = trial_folder(lab, name) / ".take.recording"
    recording.mkdir()
    with pytest.raises(InputError, match="labsys recover"):
        delete_trial(lab, name, reason="wrong")
    recording.rmdir()
    delete_trial(lab, name, reason="wrong")
    trial_folder(lab, name).mkdir()
    with pytest.raises(InputError, match="exists already"):
        restore_trial(lab, name)


def test_what_somebody_writes_just_now_stays_where_it_is(tmp_path: Path) -> None:
    """A recorder, an import or a run would go on writing at the old place, and lose what it writes."""
    lab, name = make_trial(tmp_path / "lab")
    folder, target = trial_folder(lab, name), TrialName(name.subject, name.session, "moved")

    def refused(error: type[LabsysError], message: str) -> None:
        with pytest.raises(error, match=message):
            move_trial_away(lab, name, target)
        with pytest.raises(error, match=message):
            delete_trial(lab, name, reason="wrong")
        assert trial_codes(lab, name.subject, name.session) == (name.trial,)

    with begin_recording(folder / "take") as recording:
        refused(InputError, "is being recorded or was cut short")
    discard_recording(recording)
    with hold_new(folder):
        refused(ConcurrencyError, "the take of S01/2026-11-22/run1 is being written")
    with stage_take(lab, name):
        refused(ConcurrencyError, "the take of S01/2026-11-22/run1 is being written")
    with open_run(lab, name, "r1"):
        refused(ConcurrencyError, "run r1 of S01/2026-11-22/run1 is being made")
    assert list_bin(lab) == []
    assert move_trial_away(lab, name, target).name == target


def test_what_was_deleted_long_ago_is_destroyed_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, name = make_trial(tmp_path / "lab")
    take = trial_folder(lab, name) / "take/raw/cam1.mkv"
    take.parent.mkdir(parents=True)
    take.write_bytes(b"a face")
    run = trial_folder(lab, name) / "runs/r1/run.json"
    run.parent.mkdir(parents=True)
    run.write_text("{}")
    entry = delete_trial(lab, name, reason="consent withdrawn")
    now, noted = datetime.now(UTC), list[BinEntry]()
    assert destroy_deleted(lab, now - timedelta(days=30), note=noted.append) == []
    assert list_bin(lab) == [entry]
    # Cut short: it cannot be restored any more, and asking again finishes it.
    monkeypatch.setattr("labsys.storage.trial_bin.shutil.rmtree", _fail)
    with pytest.raises(InputError, match="cannot be removed"):
        destroy_deleted(lab, now + timedelta(seconds=1), note=noted.append)
    monkeypatch.undo()
    assert list_bin(lab) == []
    assert any(p.read_bytes() == b"a face" for p in (lab.root / "bin").rglob("*.mkv"))
    assert destroy_deleted(lab, now - timedelta(days=30), note=noted.append) == []
    assert [p.name for p in (lab.root / "bin").rglob("*") if p.is_file()] == ["entry.json"]
    assert [(gone.name, gone.runs) for gone in list_gone(lab, name.subject)] == [(name, ("r1",))]
    with pytest.raises(UnknownNameError, match="deleted trial"):
        restore_trial(lab, name)


def test_every_destruction_is_noted_before_anything_goes_and_so_is_one_that_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, name = make_trial(tmp_path / "lab")
    entry = delete_trial(lab, name, reason="consent withdrawn")
    later = datetime.now(UTC) + timedelta(seconds=1)

    def kill(_entry: BinEntry) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        destroy_deleted(lab, later, note=kill)
    assert len(list((lab.root / "bin").rglob("trial.json"))) == 1
    noted: list[BinEntry] = []
    monkeypatch.setattr("labsys.storage.trial_bin.shutil.rmtree", _fail)
    with pytest.raises(InputError, match="cannot be removed"):
        destroy_deleted(lab, later, note=noted.append)
    monkeypatch.undo()
    assert noted == [entry]
    destroy_deleted(lab, later, note=noted.append)
    destroy_deleted(lab, later, note=noted.append)
    assert noted == [entry, entry]


def test_films_go_with_a_trial_that_may_be_in_them(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    other = TrialName(name.subject, name.session, "other")
    save_trial(lab, replace(load_trial(lab, name), name=other, uuid=""))

    def film(trial: TrialName) -> Path:
        folder = trial_folder(lab, trial) / "derived/films/ab"
        folder.mkdir(parents=True)
        (folder / "film.mp4").write_bytes(b"two faces")
        return folder

    films = film(name), film(other)
    moved = move_trial_away(lab, name, TrialName(name.subject, name.session, "moved")).name
    assert not any(folder.exists() for folder in films)
    assert not list(lab.root.rglob("film.mp4"))
    film(moved), film(other)
    delete_trial(lab, moved, reason="consent withdrawn")
    assert not list(lab.root.rglob("film.mp4"))
    film(other)  # was in the making
    destroy_deleted(lab, datetime.now(UTC) + timedelta(seconds=1), note=lambda _: None)
    assert not list(lab.root.rglob("film.mp4"))


def test_what_is_gone_of_a_subject_is_told_without_reading_or_naming_others(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    entry = delete_trial(lab, name, reason="consent withdrawn")
    for other in ("P7_S01_run1", "S01_P7_run1_x"):  # a session of P7's, called S01; a subject called S01_P7
        folder = lab.root / "bin" / f"2026-11-22T101112+0000_{other}"
        folder.mkdir()
        (folder / "entry.json").write_text("{")
        if other.startswith("P7"):
            assert list_gone(lab, "S01") == [entry]
    with pytest.raises(InputError, match="cannot be read") as refused:
        list_gone(lab, "S01")
    assert (refused.value.where, "P7" in str(refused.value)) == ("bin/2026-11-22T101112+0000", False)


def _fail(_folder: Path) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("entry", ["{", '{"deleted_at": "yesterday"}', '{"deleted_at": "2026-01-01T00:00:00"}'])
def test_entry_that_cannot_be_read_keeps_nobody_elses_recordings(tmp_path: Path, entry: str) -> None:
    lab, name = make_trial(tmp_path / "lab")
    delete_trial(lab, name, reason="consent withdrawn")
    (whole,) = (lab.root / "bin").iterdir()
    broken = whole.with_name(f"2026-01-01T000000000Z_{name.subject}_{name.session}_first")  # comes before
    shutil.copytree(whole, broken)
    said = json.loads((whole / "entry.json").read_text())
    text = entry if entry == "{" else json.dumps(said | json.loads(entry))
    (broken / "entry.json").write_text(text)
    with pytest.raises(InputError, match=r"entry\.json"):
        destroy_deleted(lab, datetime.now(UTC) + timedelta(seconds=1), note=lambda _: None)
    assert [path.name for path in whole.iterdir()] == ["entry.json"]
    assert (broken / "trial/trial.json").exists()


def test_two_who_destroy_at_once_note_everything_once(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    entry, noted = delete_trial(lab, name, reason="wrong"), list[BinEntry]()
    later = datetime.now(UTC) + timedelta(seconds=1)

    def note(one: BinEntry) -> None:
        noted.append(one)
        with pytest.raises(ConcurrencyError):
            destroy_deleted(lab, later, note=noted.append)

    assert destroy_deleted(lab, later, note=note) == [entry]
    assert noted == [entry]
