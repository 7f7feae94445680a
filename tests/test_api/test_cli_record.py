"""Recording from the terminal: what cannot be recorded is refused by name before anything is, what can is a trial."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from labsys.capture.device import CameraInfo, ControlRange, Mode, check_controls, check_mode
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.lab import take_folder
from labsys.storage.takes import has_take
from labsys.storage.trials import load_trial, trial_codes
from tests.test_api.cli_answer import Answer, Run, make_runner
from tests.test_labsys.recorded_scene import make_trial, rig_document

NAME = "S01/2026-11-22/run1"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return make_runner(capsys)


def _rig(folder: Path, **changes: Any) -> Path:
    path = folder / "rig.yaml"
    path.write_text(yaml.safe_dump(rig_document(**changes)), encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "words", "message"),
    [
        (lambda d: d["cameras"]["camB"].update(by_path="port-A"), [], "port (by_path) used more than once: port-A"),
        (lambda d: d.update(driver="v4l2"), [], "virtual belong together"),
        (lambda d: d["limits"].update(disk_min_free_GB=1e9), ["--no-check"], "GB are needed"),
        (lambda d: d["defaults"]["controls"].update(gian=4), ["--no-check"], "no control 'gian'. It offers auto_exp"),
        (lambda d: d, ["--seconds", "0", "--no-check"], "0 s cannot be recorded"),
        (lambda d: d, ["--seconds", "99999", "--no-check"], "99999 s cannot be recorded"),
        (lambda d: d, ["--calibration", "absent"], "Unknown calibration 'absent'"),
    ],
)
def test_what_cannot_be_recorded_is_refused_before_anything_is(
    run: Run, tmp_path: Path, edit: Any, words: list[str], message: str
) -> None:
    lab, name = make_trial(tmp_path / "lab")
    document = copy.deepcopy(rig_document())
    edit(document)
    rig = tmp_path / "rig.yaml"
    rig.write_text(yaml.safe_dump(document), encoding="utf-8")
    seconds = [] if "--seconds" in words else ["--seconds", "1"]
    answer = run("record", "trial", NAME, "--rig", rig, *seconds, *words, "--lab", lab.root)
    assert answer.code == 2, answer
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not has_take(lab, name)
    assert not take_folder(lab, name).with_name(".take.recording").exists(), "nothing is left behind"


def test_a_camera_refuses_values_and_modes_that_it_does_not_offer() -> None:
    """As a recording's first step does; the terminal shows the same message."""
    info = CameraInfo(
        "port-A", "video0", modes=(Mode("MJPG", 512, 288, 40.0),), controls={"gain": ControlRange(0, 255)}
    )
    with pytest.raises(InputError, match=r"gain cannot be 999.*takes 0 to 255"):
        check_controls(info, {"gain": 999}, where="camA")
    with pytest.raises(InputError, match=r"no mode MJPG 640x480 at 40 fps.*MJPG 512x288 at 40 fps"):
        check_mode(info, Mode("MJPG", 640, 480, 40.0), where="camA")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["S02/2026-11-22/run1"], "Unknown subject 'S02'"),
        (["S01/2026-11-23/run1"], "Unknown session '2026-11-23'"),
        (["S01/2026-11-22/run2"], "is new and needs a kind"),
        (["S01"], "does not name a trial"),
    ],
)
def test_a_trial_that_nobody_knows_is_refused(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    answer = run("record", "trial", *words, "--rig", _rig(tmp_path), "--seconds", "1", "--lab", lab.root)
    assert (answer.code, message in answer.err) == (2, True), answer
    answer = run("record", "trial", NAME, "--rig", "absent", "--seconds", "1", "--lab", lab.root)
    assert (answer.code, "Unknown rig 'absent'" in answer.err) == (2, True), answer


def test_rigs_that_are_not_driven_yet_are_refused_by_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    for rig, message in (("basler6_usb3", "no firmware"), ("elp4_gs_trigger", "no firmware")):
        answer = run("record", "trial", NAME, "--rig", rig, "--seconds", "1", "--lab", lab.root)
        assert (answer.code, message in answer.err) == (2, True), answer
    monkeypatch.setattr("labsys.capture.drivers.v4l2.find_forbidden", lambda: ["port-1", "port-2"])
    listed = run("rig", "list", "--lab", lab.root)
    assert "2 video devices may not be opened: add this user to the group video" in listed.err
    assert "rig webcam2_freerun: 2 cameras, driver v4l2, free_run" in listed.out
    assert "schema: labsys.hardware/1" in run("rig", "list", "--emit-config").out


PROTOCOL = {
    "schema": "labsys.protocol/1",
    "name": "short",
    "steps": [
        {"kind": "static", "seconds": 0.6},
        {"kind": "familiarisation", "seconds": 60},
        {"kind": "run", "speed_mps": "preferred", "seconds": 0.6},
    ],
    "required": ["shoes", "pain_0_10", "leg_length_m"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (["shoes=X"], "protocol short requires pain_0_10, leg_length_m"),
        (["shoes=X", "pain_0_10=much", "leg_length_m=0.9"], "pain_0_10 'much' is no number"),
        (["shoe=X"], "Unknown field 'shoe'"),
        (["shoes=X", "pain_0_10=0", "leg_length_m=0.9"], "preferred speed"),
        (["shoes=X", "pain_0_10=0", "leg_length_m=90", "speed_mps=3"], "leg length 90 m is not believable"),
    ],
)
def test_a_protocol_asks_before_it_records(run: Run, tmp_path: Path, answers: list[str], message: str) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    answer = _start(run, lab.root, tmp_path, answers)
    assert (answer.code, message in answer.err) == (2, True), answer
    assert trial_codes(lab, "S01", "2026-11-22") == ("run1",), "nothing was added"


@pytest.mark.slow
def test_a_visit_is_led_through_its_protocol(run: Run, tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    answers = ["shoes=Brand-X", "pain_0_10=2", "leg_length_m=0.86", "speed_mps=2.8"]
    answer = _start(run, lab.root, tmp_path, answers)
    assert answer.code == 0, answer
    assert answer.out.split() == ["S01/2026-11-22/static1", "S01/2026-11-22/run2"]
    trial = load_trial(lab, TrialName("S01", "2026-11-22", "run2"))
    conditions = trial.conditions
    assert (conditions.speed_mps, conditions.footwear, conditions.pain_0_10) == (2.8, "Brand-X", 2.0)
    assert has_take(lab, trial.name)
    assert run("record", "trial", trial.name, "--rig", tmp_path / "rig.yaml", "--seconds", "1", "--lab", lab.root
               ).err.startswith("error: trial S01/2026-11-22/run2 has a take already")  # fmt: skip
    assert run("recover", "--lab", lab.root).out == "nothing to recover\n"


def _start(run: Run, lab: Path, folder: Path, answers: list[str]) -> Answer:
    protocol = folder / "short.yaml"
    protocol.write_text(yaml.safe_dump(PROTOCOL), encoding="utf-8")
    given = [word for a in answers for word in ("--answer", a)]
    words = ["session", "start", "S01", "--protocol", protocol, "--rig", _rig(folder), "--session", "2026-11-22"]
    return run(*words, "--unattended", "--no-check", *given, "--lab", lab)
