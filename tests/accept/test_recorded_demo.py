"""The demonstration whose takes are recorded: they are what the recorder found, and the truth is still measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.cli import main
from labsys.core.session import TrialName
from labsys.storage.lab import open_lab, take_folder
from labsys.storage.sidecar import read_sidecar
from labsys.storage.takes import load_take, verify_take
from pipelines.retiming.stamps import read_stamps

pytestmark = pytest.mark.timeout(1800)
MOST_OFF_DEG = 2.5


def test_the_demonstration_records_its_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--out", str(tmp_path / "demo"), "--json"])
    assert not ended.value.code
    document = json.loads(capsys.readouterr().out)
    assert [(t["visit"], t["take"]) for t in document["takes"]] == [
        (visit, take) for visit in ("pre", "post") for take in ("static", "run")
    ]
    lab = open_lab(tmp_path / "demo")
    for told, trial in zip(document["takes"], ("run1-static", "run1") * 2, strict=True):
        session = "2026-03-02" if told["visit"] == "pre" else "2026-06-01"
        name = TrialName("D01", session, trial)
        verify_take(lab, name)
        take, folder = load_take(lab, name), take_folder(lab, name)
        manifest = json.loads((folder / take.files["manifest"].path).read_text(encoding="utf-8"))
        report = json.loads((folder / take.files["report"].path).read_text(encoding="utf-8"))
        assert manifest["n_pulses"] == told["pulses"] > 90 * (30 if told["take"] == "run" else 4)
        assert (report["grade"], told["verdict"].startswith(report["verdict"])) == (told["grade"], True)
        stamps = read_stamps(folder / take.files["timestamps"].path, take.landmarks2d)
        for camera, noted in stamps.items():
            assert noted.times_s.size == report["cameras"][camera]["stored"]
            assert noted.times_s.size == read_sidecar(folder / take.files[f"sidecar-{camera}"].path).size
    hips = [r for r in document["rows"] if r["id"] == "hip_ext_excursion_stance"]
    assert len(hips) == 4
    assert all(abs(r["measured"] - r["truth"]) < MOST_OFF_DEG for r in hips), hips
