"""`labsys recover` and `labsys rig measure`: what the terminal says, what the index learns, and what is left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select

from api.database.connection import open_database
from api.database.tables import FileRow
from labsys.capture.bench_day import BY_HAND
from labsys.storage.lab import Lab
from labsys.storage.recordings import load_manifest, save_manifest
from labsys.storage.trials import list_trials
from tests.test_api.cli_answer import Run, make_runner
from tests.test_labsys.recorded_scene import make_trial, rig_document
from tests.test_labsys.test_capture_recovery import cut_short


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


def _indexed(lab: Lab) -> set[str]:
    database = open_database(lab)
    try:
        with database.read() as session:
            return set(session.scalars(select(FileRow.path)).all())
    finally:
        database.close()


def test_a_recovered_take_is_in_the_index_and_a_failed_one_is_no_success(run: Run, tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    cut_short(lab, "run2")
    stuck = cut_short(lab, "run3")
    (stuck.raw / "camA.part1.fts").write_bytes(b"no timestamps at all" * 10)
    answer = run("recover", "--lab", lab.root)
    assert answer.code == 2, answer
    assert "S01/2026-11-22/run2: REPEAT (the recording was cut short" in answer.out
    assert "S01/2026-11-22/run3: holds no timestamps of labsys" in answer.out
    found = _indexed(lab)
    assert "subjects/S01/2026-11-22/run2/take/raw/camA.mkv" in found
    assert not any("run3" in path for path in found)
    assert stuck.folder.exists()


def test_a_recovered_step_of_a_visit_that_is_to_be_repeated_is_excluded(run: Run, tmp_path: Path) -> None:
    """As where its recorder lived; a trial that nobody led is for whoever recorded it to judge."""
    lab, _ = make_trial(tmp_path / "lab")
    cut_short(lab, "run2")
    step = cut_short(lab, "run3")
    save_manifest(step, {**load_manifest(step.folder), "step_s": 45.0})
    answer = run("recover", "--lab", lab.root)
    assert answer.code == 0, answer
    said = {line.split(": ")[0][-4:]: line for line in answer.out.splitlines()}
    assert "the recording was cut short" in said["run3"]
    assert [line.endswith("; excluded") for line in said.values()] == [False, True]
    trials = {t.name.trial: t for t in list_trials(lab, "S01", "2026-11-22")}
    assert (trials["run2"].excluded, trials["run3"].excluded) == (False, True)
    assert "the recording was cut short" in trials["run3"].exclusion_reason


def test_nothing_to_recover_and_all_recovered_are_successes(run: Run, tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    assert run("recover", "--lab", lab.root).code == 0
    cut_short(lab, "run2")
    answer = run("recover", "--lab", lab.root, "--json")
    assert answer.code == 0, answer
    (found,) = answer.json["recordings"]
    assert (found["recording"], found["recovered"]) == ("S01/2026-11-22/run2", True)
    assert run("recover", "--lab", lab.root).out == "nothing to recover\n"


@pytest.mark.slow
def test_a_rig_is_measured_into_a_file_beside_it(run: Run, tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    rig = tmp_path / "rig.yaml"
    rig.write_text(yaml.safe_dump(rig_document(cameras=1)), encoding="utf-8")
    before = sorted(lab.root.rglob("*"))
    answer = run("rig", "measure", rig, "--seconds", "1", "--lab", lab.root, "--json")
    assert answer.code == 0, answer
    assert sorted(p for p in lab.root.rglob("*") if p.suffix != ".db" and "labsys.db" not in p.name) == before, (
        "the take is thrown away"
    )
    document = json.loads((tmp_path / "rig.bench.json").read_text(encoding="utf-8"))
    assert {**answer.json, "file": "", "by_hand": ""} == {**document, "file": "", "by_hand": ""}
    camera = document["report"]["cameras"]["camA"]
    assert camera["due"] == camera["stored"] + camera["lost_in_kernel"] + camera["lost_in_camera"] >= 35
    assert document["report"]["grade"] == "C"
    assert document["cameras"]["camA"]["port"] == "port-A"
    assert {c["check"] for c in document["checks"]} >= {"identity", "stream", "disk"}
    assert set(document["by_hand"]) == set(BY_HAND)
    document["by_hand"]["kill_5"]["found"] = "0 frames"
    (tmp_path / "rig.bench.json").write_text(json.dumps(document), encoding="utf-8")
    _refuses_a_faulty_rig_and_keeps_answers(run, lab, rig)


def _refuses_a_faulty_rig_and_keeps_answers(run: Run, lab: Lab, rig: Path) -> None:
    faulty = rig_document(cameras=1, behaviour={"camA": {"absent": True}})
    rig.write_text(yaml.safe_dump(faulty), encoding="utf-8")
    answer = run("rig", "measure", rig, "--seconds", "1", "--lab", lab.root)
    assert answer.code == 3, answer
    assert "not recorded: a check failed" in answer.out
    document = json.loads(rig.with_name("rig.bench.json").read_text(encoding="utf-8"))
    assert (document["report"], document["recorded_s"]) == (None, 0.0)
    assert any(c["outcome"] == "fail" and "no camera is plugged in" in c["what"] for c in document["checks"])
    assert document["by_hand"]["kill_5"]["found"] == "0 frames", "what a person wrote is kept"


def test_the_example_of_measuring_can_be_recorded(run: Run) -> None:
    """Its length is one that a rig of the default record.max_minutes takes."""
    said = run("rig", "measure", "--help").out
    seconds = float(said.split("--seconds ")[1].split()[0])
    assert seconds <= 60 * 20.0
