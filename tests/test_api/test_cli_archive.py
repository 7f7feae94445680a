"""`labsys archive`: which takes go, what is refused by name, and what the index, the audit and later commands say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from labsys.storage.trials import load_trial, save_trial
from tests.test_api.cli_answer import Run, make_runner
from tests.test_api.conftest import BASE, HERE
from tests.test_labsys.recorded_scene import add_videos, make_trial

NAME = "S01/2026-11-22/run1"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


def test_takes_that_nobody_waits_for_go_and_come_back(run: Run, tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    add_videos(lab, name, ("camA", "camB"))
    disk = tmp_path / "disk"
    disk.mkdir()
    words = ["archive", "takes", "--to", disk, "--same-disk", "--lab", lab.root]
    old = [*words, "--older-than", "0"]
    assert run(*old).out == "0 takes, 0.00 GB taken out of the lab\n", "not processed yet: its videos are needed"
    trial = load_trial(lab, name)
    save_trial(lab, replace(trial, recorded_at="2026-01-01T00:00:00Z", excluded=True, exclusion_reason="stumbled"))
    assert run("index", "--lab", lab.root).code == 0
    done = run(*words, "--json").json
    assert [d["trial"] for d in done["archived"]] == [NAME]
    assert done["size_bytes"] == sum(p.stat().st_size for p in disk.rglob("*.mkv")) > 0
    assert list(lab.root.rglob("*.mkv")) == []
    again = run("archive", "takes", NAME, "--to", disk, "--same-disk", "--lab", lab.root)
    assert again.out == f"{NAME}: 0.00 GB\n0 takes, 0.00 GB taken out of the lab\n"
    refused = run("export", NAME, "--format", "videos", "--out", tmp_path / "out", "--lab", lab.root)
    assert (refused.code, "labsys archive fetch" in refused.err) == (2, True), refused
    assert run("archive", "check", "--lab", lab.root).out == f"{NAME}: as recorded\n"
    assert run("archive", "fetch", NAME, "--remove-copies", "--lab", lab.root).code == 0
    assert run("archive", "check", "--lab", lab.root).out == "nothing is archived\n"
    with TestClient(create_app(lab), base_url=BASE, client=HERE) as client:
        files = client.get(f"/api/v1/trials/{NAME}/files").json()["items"]
        said = [a["action"] for a in client.get("/api/v1/audit").json()["items"]]
    assert [f["path"].rpartition("/")[2] for f in files if f["kind"] == "video"] == ["camA.mkv", "camB.mkv"]
    # What moved nothing is not in the audit; an export is before it begins, also one that comes to nothing.
    assert said == ["take.archive", "export", "take.fetch"]


def test_one_that_cannot_go_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    add_videos(lab, name, ("camA",))
    disk = tmp_path / "disk"
    disk.mkdir()
    absent = "S01/2026-11-22/run9"
    answer = run("archive", "takes", absent, NAME, "--to", disk, "--same-disk", "--lab", lab.root, "--json")
    assert answer.code == 3
    assert [d["trial"] for d in answer.json["archived"]] == [NAME]
    assert [(r["trial"], "Unknown trial" in r["why"]) for r in answer.json["refused"]] == [(absent, True)]
    (copy,) = disk.rglob("*.mkv")
    copy.write_bytes(b"x")
    checked = run("archive", "check", "--lab", lab.root)
    assert (checked.code, "is not what was recorded" in checked.out) == (3, True)
    assert run("archive", "fetch", NAME, "--lab", lab.root).code == 2
