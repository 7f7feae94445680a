"""Runs: identity, stages, resuming, inheritance, and what `current` says after a crash."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from labsys.core.errors import ConcurrencyError, InputError, NewerSchemaError, UnknownNameError
from labsys.core.provenance import Provenance
from labsys.core.session import Session, Subject, Trial, TrialKind, TrialName
from labsys.storage.lab import Lab, create_lab, runs_folder, trial_folder
from labsys.storage.runs import (
    RunRecord,
    current_run,
    is_complete,
    list_runs,
    load_run,
    open_run,
    run_file,
    run_folder,
    run_identity,
    set_current_run,
    settle_run,
    verify_run,
)
from labsys.storage.sessions import save_session
from labsys.storage.subjects import save_subject
from labsys.storage.trials import save_trial

pytestmark = pytest.mark.slow

NAME = TrialName("S01", "2026-11-22", "run1")
RUN = "r0123456789ab"


def _provenance(started_at: str = "2026-11-22T10:00:00Z") -> Provenance:
    return Provenance("0.1.0", 1, {"take/raw/a.mp4": "0" * 64}, {"a.b": "1"}, "m", "c", "", started_at, {"pose2d": 1.5})


def _make_trial(root: Path) -> Lab:
    lab = create_lab(root)
    save_subject(lab, Subject(uuid="", code="S01"))
    save_session(lab, Session(uuid="", subject="S01", session="2026-11-22", captured_at=""))
    save_trial(lab, Trial(uuid="", name=NAME, kind=TrialKind.RUN, recorded_at=""))
    return lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return _make_trial(tmp_path / "lab")


def _write_run(lab: Lab, run_id: str = RUN, started_at: str = "2026-11-22T10:00:00Z") -> None:
    with open_run(lab, NAME, run_id) as run:
        for stage in ("pose2d", "analyse"):
            if not run.has(stage):
                (run.folder / f"{stage}.bin").write_bytes(stage.encode() * 10)
                run.complete(stage, [f"{stage}.bin"])
        run.finish(RunRecord(run_id, _provenance(started_at)))


def test_identity_is_a_hash_of_inputs_parameters_and_version() -> None:
    base = run_identity({"a": "1", "b": "2"}, {"k": "v"}, "0.1.0")
    assert base == run_identity({"b": "2", "a": "1"}, {"k": "v"}, "0.1.0")
    assert base[0] == "r"
    assert len(base) == 13
    others = [
        run_identity({"a": "1", "b": "3"}, {"k": "v"}, "0.1.0"),
        run_identity({"a": "1", "b": "2"}, {"k": "w"}, "0.1.0"),
        run_identity({"a": "1", "b": "2"}, {"k": "v"}, "0.1.1"),
        run_identity({"a": "1"}, {"b": "2", "k": "v"}, "0.1.0"),
    ]
    assert len({base, *others}) == 5


def test_a_finished_run_is_visible_current_and_whole(lab: Lab) -> None:
    assert current_run(lab, NAME) is None
    _write_run(lab)
    assert current_run(lab, NAME) == RUN
    assert (trial_folder(lab, NAME) / "current").read_text() == f"{RUN}\n"
    record = load_run(lab, NAME, RUN)
    assert record == replace(RunRecord(RUN, _provenance()), files=record.files)
    assert set(record.files) == {"pose2d.bin", "analyse.bin"}
    verify_run(lab, NAME, RUN)
    assert {p.name for p in runs_folder(lab, NAME).iterdir()} == {RUN}
    assert {p.name for p in run_folder(lab, NAME, RUN).iterdir()} == {"pose2d.bin", "analyse.bin", "run.json"}


def test_a_complete_run_is_never_opened_again(lab: Lab) -> None:
    _write_run(lab)
    with pytest.raises(InputError, match="is complete"):
        _write_run(lab)
    assert {p.name for p in runs_folder(lab, NAME).iterdir()} == {RUN}


def test_a_second_run_becomes_current_and_the_first_stays(lab: Lab) -> None:
    _write_run(lab)
    _write_run(lab, "r999999999999", "2026-11-22T11:00:00Z")
    assert current_run(lab, NAME) == "r999999999999"
    assert [r.run for r in list_runs(lab, NAME)] == [RUN, "r999999999999"]
    set_current_run(lab, NAME, RUN)
    assert current_run(lab, NAME) == RUN
    with pytest.raises(UnknownNameError, match=f"Unknown run 'r0123456789aa'.*{RUN}"):
        set_current_run(lab, NAME, "r0123456789aa")


def _start(lab: Lab) -> None:
    """Two complete stages and a half-written third, as a crash leaves them."""
    with open_run(lab, NAME, RUN) as run:
        (run.folder / "pose2d").mkdir()
        for camera in ("a", "b"):
            (run.folder / "pose2d" / f"{camera}.h5").write_bytes(camera.encode() * 100)
        run.complete("pose2d", ["pose2d/a.h5", "pose2d/b.h5"])
        (run.folder / "landmarks3d.parquet").write_bytes(b"xyz")
        run.complete("reconstruct", ["landmarks3d.parquet"])
        (run.folder / "angles.parquet").write_bytes(b"half")


def _staged(lab: Lab) -> Path:
    return runs_folder(lab, NAME) / ".work" / RUN


def test_resuming_keeps_whole_stages_and_throws_away_what_no_stage_vouches_for(lab: Lab) -> None:
    _start(lab)
    assert list_runs(lab, NAME) == ()
    with open_run(lab, NAME, RUN) as run:
        assert run.stages == ("pose2d", "reconstruct")
        assert not (run.folder / "angles.parquet").exists()
        assert run.file("pose2d/a.h5").read_bytes() == b"a" * 100


@pytest.mark.parametrize("damage", ["change", "truncate", "remove", "marker"])
def test_a_torn_stage_is_done_again_with_all_after_it(lab: Lab, damage: str) -> None:
    _start(lab)
    torn = _staged(lab) / "run" / "pose2d" / "b.h5"
    match damage:
        case "change":
            torn.write_bytes(b"c" + b"b" * 99)
        case "truncate":
            torn.write_bytes(b"b" * 50)
        case "remove":
            torn.unlink()
        case "marker":
            (_staged(lab) / "stages" / "pose2d.json").write_text("{")
    with open_run(lab, NAME, RUN) as run:
        assert run.stages == ()
        assert not [p for p in run.folder.rglob("*") if p.is_file()]


def test_a_torn_later_stage_leaves_the_earlier_ones(lab: Lab) -> None:
    _start(lab)
    (_staged(lab) / "run" / "landmarks3d.parquet").write_bytes(b"xy")
    with open_run(lab, NAME, RUN) as run:
        assert run.has("pose2d")
        assert not run.has("reconstruct")


def test_only_one_process_holds_a_run(lab: Lab) -> None:
    with open_run(lab, NAME, RUN):
        with pytest.raises(ConcurrencyError, match="being written by another process"), open_run(lab, NAME, RUN):
            pass
        with open_run(lab, NAME, "r999999999999"):
            pass  # another run of the same trial is free
    with open_run(lab, NAME, RUN):
        pass


def test_wrong_use_is_refused(lab: Lab) -> None:
    with open_run(lab, NAME, RUN) as run:
        (run.folder / "a.bin").write_bytes(b"a")
        with pytest.raises(InputError, match=r"did not write 'b\.bin'"):
            run.complete("one", ["b.bin"])
        for path in ("../a.bin", "/a.bin", "run.json", "x//y"):
            with pytest.raises(InputError, match="no path inside a run"):
                run.complete("one", [path])
        run.complete("one", ["a.bin"])
        with pytest.raises(InputError, match="belongs to stage one"):
            run.complete("two", ["a.bin"])
        with pytest.raises(InputError, match="complete already"):
            run.complete("one", [])
        with pytest.raises(InputError, match="record is of run r9"):
            run.finish(RunRecord("r9", _provenance()))
        (run.folder / "stray.bin").write_bytes(b"a")
        with pytest.raises(InputError, match=r"no stage completed 'stray\.bin'"):
            run.finish(RunRecord(RUN, _provenance()))
        with pytest.raises(UnknownNameError, match=r"a\.bim.*a\.bin"):
            run.file("a.bim")
    assert not is_complete(lab, NAME, RUN)
    with pytest.raises(UnknownNameError), open_run(lab, TrialName("S01", "2026-11-22", "nope"), RUN):
        pass


def test_a_run_may_refer_to_files_of_its_parent_and_grandparent(lab: Lab) -> None:
    _write_run(lab)
    child, grandchild = "rcccccccccccc", "rgggggggggggg"
    for run_id, parent in ((child, RUN), (grandchild, child)):
        with open_run(lab, NAME, run_id) as run:
            run.inherit("pose2d", parent, ["pose2d.bin"])
            (run.folder / "more.bin").write_bytes(run_id.encode())
            run.complete("more", ["more.bin"])
            assert run.file("pose2d.bin") == run_folder(lab, NAME, RUN) / "pose2d.bin"
            run.finish(RunRecord(run_id, _provenance(), parent=parent))
    record = load_run(lab, NAME, grandchild)
    assert record.inherited == {"pose2d.bin": RUN}
    assert run_file(lab, NAME, grandchild, "pose2d.bin") == run_folder(lab, NAME, RUN) / "pose2d.bin"
    assert run_file(lab, NAME, grandchild, "more.bin").read_bytes() == grandchild.encode()
    verify_run(lab, NAME, grandchild)
    (run_folder(lab, NAME, RUN) / "pose2d.bin").write_bytes(b"changed")
    with pytest.raises(InputError, match=r"differs from what the run wrote.*pose2d\.bin"):
        verify_run(lab, NAME, grandchild)


def test_inheriting_what_is_not_there_is_refused(lab: Lab) -> None:
    _write_run(lab)
    with open_run(lab, NAME, "rcccccccccccc") as run:
        with pytest.raises(UnknownNameError, match="Unknown run"):
            run.inherit("pose2d", "rffffffffffff", ["pose2d.bin"])
        with pytest.raises(UnknownNameError, match=r"pose2e\.bin.*pose2d\.bin"):
            run.inherit("pose2d", RUN, ["pose2e.bin"])


def test_a_crash_between_visible_and_current_is_settled(lab: Lab) -> None:
    _write_run(lab)
    _write_run(lab, "r999999999999", "2026-11-22T11:00:00Z")
    # As after a crash: the second run is visible, its name has not reached `current`.
    (trial_folder(lab, NAME) / "current").write_text(RUN + "\n")
    work = runs_folder(lab, NAME) / ".work" / "r999999999999"
    work.mkdir(parents=True)
    (work / "pending").write_text("r999999999999\n")
    assert current_run(lab, NAME) == "r999999999999"
    settle_run(lab, NAME, "r999999999999")
    assert (trial_folder(lab, NAME) / "current").read_text() == "r999999999999\n"
    assert not work.exists()


def test_a_later_choice_outlives_an_unsettled_run(lab: Lab) -> None:
    _write_run(lab)
    _write_run(lab, "r999999999999")
    work = runs_folder(lab, NAME) / ".work" / "r999999999999"
    work.mkdir(parents=True)
    (work / "pending").write_text("r999999999999\n")
    set_current_run(lab, NAME, RUN)
    assert current_run(lab, NAME) == RUN


def test_damaged_and_newer_run_files_are_refused_by_name(lab: Lab) -> None:
    _write_run(lab)
    path = run_folder(lab, NAME, RUN) / "run.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"schema_version": 7}))
    with pytest.raises(NewerSchemaError, match=r"schema 7, this labsys reads up to 1 .*run\.json"):
        load_run(lab, NAME, RUN)
    path.write_text("{")
    with pytest.raises(InputError, match=r"run\.json"):
        list_runs(lab, NAME)
    (trial_folder(lab, NAME) / "current").write_text("rgone\n")
    with pytest.raises(InputError, match="names run 'rgone'"):
        current_run(lab, NAME)


def test_files_of_a_finished_run_are_on_disk_under_their_own_names(lab: Lab) -> None:
    """Renaming must not leave a lock or marker behind that a backup would copy."""
    _write_run(lab)
    assert not list(trial_folder(lab, NAME).rglob(".*"))
    assert os.access(run_folder(lab, NAME, RUN) / "run.json", os.R_OK)
