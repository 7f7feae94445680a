"""A trial notices that a camera moved, the terminal says so, repairs it, and holds the results back until a check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.drift.views import move_camera
from calibration.formats import read_calibration, write_anipose
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.progress import SilentProgress
from labsys.core.session import Conditions, Surface, TrialKind, TrialName
from labsys.storage.calibrations import calibration_folder, list_calibrations, save_check
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.exchange.trc import write_trc
from labsys.storage.lab import Lab, create_lab
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from tests.test_api.cli_answer import Run, make_runner

MOVED, STILL, MARKERS = (TrialName("S01", "2026-11-22", t) for t in ("run1", "run2", "run3"))
TURN = np.radians(0.5) * np.array([0.6, 0.8, 0.0])
RATE_HZ = 50.0


@pytest.fixture(scope="module")
def trial() -> SyntheticTrial:
    return make_trial(RunnerParameters(), seconds=12.0, rate_hz=RATE_HZ, seed=3)


@pytest.fixture
def lab(tmp_path: Path, trial: SyntheticTrial) -> Lab:
    """Two runs with one calibration; before the first of them the second camera was turned."""
    lab = create_lab(tmp_path / "lab")
    rig = make_rig(4)
    write_anipose(tmp_path / "calibration.toml", Calibration(rig, "test"))
    real = {MOVED: move_camera(rig, 1, turn_rad=TURN, shift_m=np.zeros(3)), STILL: rig}
    for name, seen_by in real.items():
        _import(lab, name, tmp_path, landmarks2d=_write_2d(tmp_path / name.trial, trial, seen_by))
    return lab


def _import(lab: Lab, name: TrialName, folder: Path, **what: object) -> None:
    cameras = {"calibration": folder / "calibration.toml", "rate_hz": RATE_HZ} if "landmarks2d" in what else {}
    treadmill = Conditions(surface=Surface.TREADMILL, speed_mps=3.0)
    request = ImportRequest(name=name, kind=TrialKind.RUN, conditions=treadmill, **cameras, **what)
    import_trial(lab, request, progress=SilentProgress())


def _write_2d(folder: Path, trial: SyntheticTrial, rig: CameraRig) -> dict[str, Path]:
    folder.mkdir()
    seen = observe(trial, rig, NoiseModel.white(1.0), 7)
    files = {camera: folder / f"{camera}.h5" for camera in seen.cameras}
    for i, path in enumerate(files.values()):
        write_dlc_h5(path, CameraTrack(seen.landmarks, seen.xy_px[:, i], seen.confidence[:, i]))
    return files


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lab: Lab) -> Run:
    monkeypatch.chdir(lab.root)
    return make_runner(capsys)


@pytest.mark.slow
def test_a_moved_camera_is_noticed_repaired_held_back_and_confirmed(labsys: Run, lab: Lab) -> None:
    assert labsys("process", str(MOVED)).code == 0
    warned = labsys("show", str(MOVED), "--json").json
    assert any("cam1 turned by 0.5" in w and f"labsys recalibrate {MOVED}" in w for w in warned["camera_warnings"])
    assert warned["drift"]["moved"] == ["cam1"]
    assert warned["drift"]["cameras"]["cam1"]["turn_deg"] == pytest.approx(0.5, abs=0.05)
    before = warned["provenance"]["calibration"]

    answer = labsys("recalibrate", str(MOVED), "--json")
    assert answer.code == 0, answer.err
    done = answer.json
    repair = done["repair"]
    assert (repair["camera"], repair["made_from"], repair["trial"]) == ("cam1", before, str(MOVED))
    assert repair["rotation_deg"] == pytest.approx(0.5, abs=0.05)
    assert repair["translation_mm"] == 0.0
    assert repair["after_px"] < 0.5 * repair["before_px"]
    assert done["calibration"].endswith("-repaired_001")
    assert set(list_calibrations(lab)) == {before, done["calibration"]}

    after = labsys("show", str(MOVED), "--json").json
    assert after["run"] == done["run"]
    assert after["provenance"]["calibration"] == done["calibration"]
    assert "no check confirms it yet" in after["not_for_comparison"]
    assert after["drift"]["moved"] == []
    assert not any("cam1" in w for w in after["camera_warnings"])
    rig = read_calibration(calibration_folder(lab, done["calibration"]) / "calibration.toml").rig
    real = move_camera(make_rig(4), 1, turn_rad=TURN, shift_m=np.zeros(3))
    left = rig.cameras[1].T_cam_lab @ real.cameras[1].T_cam_lab.inverse()
    assert np.linalg.norm(left.as_rotvec()) < np.linalg.norm(TURN) / 3

    save_check(lab, done["calibration"], {"verdict": "still_valid"}, at="2026-11-23T08:00:00Z")
    labsys("process", str(MOVED))
    assert labsys("show", str(MOVED), "--json").json["not_for_comparison"] is None


@pytest.mark.slow
def test_nothing_to_repair_is_refused_and_changes_nothing(labsys: Run, lab: Lab, trial: SyntheticTrial) -> None:
    kept = list_calibrations(lab)
    refused = labsys("recalibrate", str(STILL))
    assert refused.code == 3
    assert "no camera moved" in refused.err
    write_trc(lab.root.parent / "markers.trc", trial.landmarks)
    _import(lab, MARKERS, lab.root.parent, markers=lab.root.parent / "markers.trc")
    refused = labsys("recalibrate", str(MARKERS))
    assert refused.code == 2
    assert "no 2D landmarks" in refused.err
    refused = labsys("recalibrate", str(MOVED), "--also", str(MARKERS))
    assert refused.code == 2
    assert "does not use calibration" in refused.err
    assert list_calibrations(lab) == kept
