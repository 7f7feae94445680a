"""A rig of emulated machine-vision cameras, checked and recorded from the terminal as any other."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from labsys.core.session import TrialName
from labsys.storage.takes import load_take, verify_take
from tests.test_api.cli_answer import make_runner
from tests.test_labsys.recorded_scene import make_trial
from tests.test_labsys.test_capture_genicam import _document

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("absent", [False, True])
def test_an_emulated_rig_is_checked_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, absent: bool
) -> None:
    monkeypatch.setenv("PYLON_CAMEMU", "2")
    if importlib.util.find_spec("pypylon") is None:
        pytest.skip("pypylon is not installed here: make setup")
    run, (lab, _) = make_runner(capsys), make_trial(tmp_path / "lab")
    document = _document()
    document["defaults"]["nodes"] = [{"!AcquisitionFrameRate": 30.0}, {"!ExposureTime": 800.0}]
    if absent:
        document["cameras"]["c2"] = {"serial": "0815-0009"}
    rig = tmp_path / "rig.yaml"
    rig.write_text(yaml.safe_dump(document), encoding="utf-8")
    words = ["record", "trial", "S01/2026-11-22/run2", "--rig", rig, "--seconds", "2", "--kind", "run"]
    answer = run(*words, "--lab", lab.root)
    if absent:
        assert (answer.code, "no camera has serial number 0815-0009" in answer.err) == (3, True), answer
        return
    assert answer.code == 0, answer
    assert "the file does not say ExposureAuto" in answer.err
    assert "KEEP WITH NOTES" in answer.out
    assert "nan" not in answer.out
    name = TrialName("S01", "2026-11-22", "run2")
    verify_take(lab, name)
    assert all(camera.n_frames > 30 for camera in load_take(lab, name).cameras.values())
