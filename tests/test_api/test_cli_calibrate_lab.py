"""Calibrating in a lab: stored takes, the daily check, and takes made with other settings than the calibration."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from api.work import do_job
from calibration.formats import format_anipose, read_calibration
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.fingerprint import CameraFingerprint, compare_fingerprints
from labsys.core.progress import SilentProgress
from labsys.storage.board_takes import list_board_takes, read_refusal_page
from labsys.storage.calibrations import list_calibrations, read_calibration_report
from labsys.storage.lab import open_lab
from tests.test_api.cli_answer import Run, make_runner
from tests.test_api.rendered_lab import (
    BOARD_YAML,
    LYING,
    SIZE,
    film,
    make_rig,
    turn_camera,
    wave_board,
    write_lenses,
)

RIG_YAML = {
    "schema": "labsys.hardware/1",
    "name": "rendered",
    "driver": "v4l2",
    "sync": {"mode": "free_run"},
    "defaults": {
        "mode": {"fourcc": "MJPG", "width": SIZE[0], "height": SIZE[1], "fps": 10},
        "shutter": "global",
        "controls": {"exposure_time_absolute": 8, "focus_absolute": 30},
    },
    "cameras": {f"cam{i}": {"by_path": f"port{i}", "usb_id": "32e4:9230"} for i in range(4)},
    "task": {"v_max_mps": 7},
}


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    run = make_runner(capsys)
    assert run("init", "lab", "--quiet").code == 0
    monkeypatch.setenv("LABSYS_LAB", str(tmp_path / "lab"))
    return run


@pytest.mark.slow
def test_a_stored_take_is_calibrated_and_checked(labsys: Run, tmp_path: Path) -> None:
    rig = make_rig(0)
    videos = film(tmp_path / "take", rig, [*wave_board(40), *[LYING] * 11])
    Path("lab/boards/lab_board.yaml").write_text(BOARD_YAML)
    Path("lab/rigs/rendered.yaml").write_text(yaml.safe_dump(RIG_YAML))
    write_lenses(Path("lenses.toml"), rig)
    trial = ("--subject", "CAL", "--session", "2026-11-22", "--trial", "board", "--kind", "other")
    assert labsys("import", *trial, "--videos", *videos).code == 0

    take = "CAL/2026-11-22/board"
    placing = ("--belt-board", "forward:40-50", "--level-board", "40-50")
    words = ("calibrate", take, "--board", "lab_board", "--intrinsics", "lenses.toml", *placing, "--rig", "rendered")
    made = labsys(*words, "--out", "out", "--save", "rig1", "--json")
    assert made.code == 0, made.err
    assert made.json["detections_reused"] == []
    assert list(Path("lab/cache/detections").glob("*.npz")), "found boards are kept inside the lab"
    kept = Path("lab/calibrations", made.json["saved"])
    assert sorted(p.stem for p in (kept / "take/raw").iterdir()) == ["cam0", "cam1", "cam2", "cam3"]
    known = read_calibration(kept / "calibration.toml").fingerprint["cam2"]
    assert (known.size_px, known.focus, known.exposure) == (SIZE, "30", "800 us")
    assert known.serial == "32e4:9230 at port2"
    assert known.mode == "MJPG 900x676@10"

    again = labsys("calibrate", made.json["saved"], "--out", "again", "--world-axes", "up=-y", "--json")
    assert again.code == 0, again.err
    assert again.json["detections_reused"] == ["cam0", "cam1", "cam2", "cam3"]
    assert again.json["seconds"]["detect"] < 2.0
    assert again.json["rms_px"] == made.json["rms_px"]
    anew = labsys("calibrate", made.json["saved"], "--out", "anew", "--world-axes", "up=-y", "--json", "--no-cache")
    assert anew.json["detections_reused"] == []
    assert anew.json["rms_px"] == made.json["rms_px"]

    daily(labsys, rig, tmp_path, kept)
    misnamed(labsys)
    from_the_page(kept, made.json)


def from_the_page(kept: Path, made: dict[str, Any]) -> None:
    """The jobs of the page: the same take as the recorder leaves it, the same calibration beside it, once for all."""
    lab = open_lab(Path("lab"))
    folder = kept.parent / "2026-11-22_rendered_009"
    shutil.copytree(kept / "take", folder / "take")
    (folder / "take/manifest.json").write_text(json.dumps({"rig_file": yaml.safe_dump(RIG_YAML)}))
    assert [take.name for take in list_board_takes(lab) if not take.is_calibrated] == [folder.name]
    placing = {"tags": "", "along": "forward", "from_s": 4.0, "until_s": 5.0, "level": True}
    asked = {"board": "", "lenses": "", "placing": placing}
    found = _do("calibrate", folder, asked)
    assert (found["calibration"], found["grade"], found["rms_px"]) == (folder.name, made["grade"], made["rms_px"])
    assert set(found["cameras"]) == {"cam0", "cam1", "cam2", "cam3"}
    assert read_calibration(folder / "calibration.toml").fingerprint["cam2"].focus == "30"
    assert read_calibration_report(lab, folder.name)["calibration"] == f"calibrations/{folder.name}/calibration.toml"
    written = (folder / "calibration.toml").stat().st_mtime_ns
    assert _do("calibrate", folder, asked) == found, "asked again, as after a crash, nothing is made anew"
    assert (folder / "calibration.toml").stat().st_mtime_ns == written
    with pytest.raises(InputError, match="calibrated already"):
        _do("calibrate", folder, {**asked, "placing": {**placing, "level": False}})

    check = _do("check-calibration", folder, {"calibration": kept.name, "board": "", "tags": ""})
    assert (check["verdict"], check["calibration"]) == ("still_valid", kept.name)
    assert len(list((kept / "checks").glob("*.json"))) == 3

    blind = kept.parent / "2026-11-22_rendered_010"
    shutil.copytree(kept / "take", blind / "take")
    video = next((blind / "take/raw").glob("cam2.*"))
    grey = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE, False)
    for _ in range(51):
        grey.write(np.full((SIZE[1], SIZE[0]), 120, np.uint8))
    grey.release()
    with pytest.raises(GateRefusedError, match=r"cam2.*\."):
        _do("calibrate", blind, asked)
    assert blind.name not in list_calibrations(lab)
    assert [take.name for take in list_board_takes(lab) if take.is_refused] == [blind.name]
    page = read_refusal_page(lab, blind.name)
    assert page is None or "cam2" in page


def _do(kind: str, folder: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    lab = open_lab(Path("lab"))
    job = {"kind": kind, "target": f"calibrations/{folder.name}", "parameters": parameters}
    return dict(do_job({"lab": str(lab.root), "database": lab.database, **job}, SilentProgress()))


def daily(labsys: Run, rig: CameraRig, tmp_path: Path, kept: Path) -> None:
    """The check takes the lab's latest calibration, keeps what it found, and names a camera that was turned."""
    sweep = film(tmp_path / "sweep", rig, wave_board(30, seed=3))
    check = ("calibrate", "--check", "--board", "lab_board", "--json", "--videos")
    valid = labsys(*check, *sweep)
    assert valid.code == 0, valid.err
    assert valid.json["verdict"] == "still_valid"
    assert valid.json["calibration"] == kept.name
    assert Path(valid.json["kept"]).parent == kept.resolve() / "checks"
    assert valid.json["seconds"]["total"] < 30
    turned = film(tmp_path / "turned", turn_camera(rig, "cam1", 1.0), wave_board(30, seed=3))
    moved = labsys(*check, *turned)
    assert moved.code == 3
    assert [c for c, found in moved.json["cameras"].items() if found["moved"]] == ["cam1"]
    assert "cam1 moved: " in moved.err
    cam1 = moved.json["cameras"]["cam1"]
    assert abs(cam1["turn_deg"] - 1.0) < 3 * cam1["turn_sd_deg"] < 0.5
    assert "Calibrate again" in moved.err
    assert len(list((kept / "checks").glob("*.json"))) == 2


def misnamed(labsys: Run) -> None:
    nearest = labsys("calibrate", "2026-11-22_rig2_001", "--out", "x")
    assert nearest.code == 2
    assert "rig1_001" in nearest.err
    no_board = labsys("calibrate", "CAL/2026-11-22/board", "--out", "x")
    assert no_board.code == 2
    assert "which board" in no_board.err
    nothing = labsys("calibrate", "--board", "lab_board", "--out", "x")
    assert nothing.code == 2
    assert "--videos cam0=PATH" in nothing.err
    both = labsys("calibrate", "--check", "CAL/2026-11-22/board", "--board", "lab_board", "--out", "x")
    assert both.code == 2
    assert "takes no --out" in both.err


def write_grey_video(path: Path, size: tuple[int, int]) -> None:
    """Three seconds in which nothing is to be seen."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 100.0, size)
    for _ in range(300):
        video.write(np.full((size[1], size[0], 3), 90, dtype=np.uint8))
    video.release()


@pytest.mark.slow
def test_a_take_made_with_other_settings_is_flagged_at_import_and_in_its_results(labsys: Run) -> None:
    assert labsys("synth", "--out", "synth", "--what", "landmarks2d", "--seconds", "3", "--quiet").code == 0
    known = read_calibration(Path("synth/calibration.toml"))
    names = known.rig.names
    size = known.rig.cameras[0].intrinsics.size_px
    set_as = {name: CameraFingerprint(size, 50.0 if name == names[2] else 100.0) for name in names}
    Path("rig.toml").write_text(format_anipose(replace(known, fingerprint=set_as)))
    write_grey_video(Path("grey.mp4"), size)
    for name in names:
        shutil.copy("grey.mp4", f"{name}.mp4")
    videos = [f"{name}={name}.mp4" for name in names]
    tracks = [f"{name}={Path('synth/run', f'{name}.h5')}" for name in names]
    trial = ("--subject", "S01", "--session", "2026-11-22", "--trial", "run1", "--kind", "run")
    files = ("--videos", *videos, "--landmarks2d", *tracks, "--calibration", "rig.toml")
    brought = labsys("import", *trial, *files, "--surface", "treadmill", "--speed-mps", "3")
    assert brought.code == 0, brought.err
    said = f"{names[2]} has rate 100 Hz, calibrated at 50 Hz"
    assert said in brought.err
    assert f"{names[1]} has" not in brought.err
    assert labsys("process", "S01/2026-11-22/run1", "--quiet").code == 0
    shown = labsys("show", "S01/2026-11-22/run1", "--json")
    assert shown.json["notes"]["calibration"] == said
    assert f"calibration: {said}" in labsys("show", "S01/2026-11-22/run1").out


def test_fingerprints_differ_by_camera_and_field_and_what_is_unknown_agrees() -> None:
    then = CameraFingerprint((1280, 720), 120.0, "A1", "MJPG", "30", "800 us")
    assert compare_fingerprints({"a": then}, {"a": CameraFingerprint()}) == ()
    assert compare_fingerprints({"a": then}, {"b": CameraFingerprint((640, 480))}) == ()
    assert compare_fingerprints({"a": then}, {"a": replace(then, rate_hz=119.9)}) == ()
    now = replace(then, size_px=(640, 480), focus="31")
    assert compare_fingerprints({"a": then}, {"a": now}) == (
        "a has size 640x480, calibrated at 1280x720",
        "a has focus 31, calibrated with 30",
    )
    assert CameraFingerprint.from_table(then.as_table()) == then
