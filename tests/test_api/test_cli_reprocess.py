"""`labsys reprocess` and `labsys release`: results beside those that count, named, promoted and looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from labsys.core.session import TrialName
from labsys.storage.lab import open_lab
from labsys.storage.releases import load_candidate
from labsys.storage.runs import current_run
from tests.test_api.cli_answer import Run
from tests.test_api.import_scene import Scene, refused, static

pytestmark = pytest.mark.slow

STATIC = TrialName("S01", "2026-11-22", "static1")


def test_reprocess_then_promote(labsys: Run, new_lab: Path, scene: Scene) -> None:
    lab = open_lab(new_lab)
    assert (
        labsys(*static(), *scene.landmarks2d(), "--rate-hz", "100", "--calibration", str(scene.calibration)).code == 0
    )
    refused(labsys("reprocess", "--preview"), "nothing was processed beside", "labsys reprocess")
    refused(labsys("release", "promote", "autumn"), "nothing was processed beside")
    assert labsys("process", str(STATIC), "--quiet").code == 0
    counted = current_run(lab, STATIC)
    assert labsys("release", "name", "spring", "--json").json["trials"] == 1
    half = ("--set", "reconstruct.min_likelihood=0.5", "--json")
    made = labsys("reprocess", "--all", *half).json["reprocessed"]
    assert [m["new"] for m in made] == [True]
    assert current_run(lab, STATIC) == counted
    again = labsys("reprocess", STATIC, *half).json["reprocessed"]
    assert [(m["run"], m["new"]) for m in again] == [(made[0]["run"], False)]
    shown = labsys("reprocess", "--preview")
    assert "0 of 0 verdicts would flip, in 0 of 1 subjects" in shown.out
    assert "S01: 1 trial processed anew" in shown.out
    refused(labsys("reprocess", "--preview", "--all"), "--preview")
    refused(labsys("reprocess", "--all", "--subject", "S01"), "--subject")
    refused(labsys("reprocess"), "--all")
    refused(labsys("release", "promote", "spring"), "already")
    told = labsys("release", "promote", "autumn", "--note", "half the likelihood")
    assert told.out == "release autumn: 1 trial counts; release spring is closed\n"
    assert current_run(lab, STATIC) == made[0]["run"]
    assert load_candidate(lab) is None
    listed = labsys("release", "list", "--json").json["releases"]
    assert [(r["name"], r["state"], r["n_trials"]) for r in listed] == [("spring", "closed", 1), ("autumn", "open", 1)]
    assert "half the likelihood" in labsys("release", "show", "autumn").out
    refused(labsys("release", "show", "atumn"), "atumn", "autumn")
