"""A deleted trial is in the bin with its reason, and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.lab import trial_folder
from labsys.storage.trial_bin import delete_trial, list_bin, restore_trial
from labsys.storage.trials import load_trial, trial_codes
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
