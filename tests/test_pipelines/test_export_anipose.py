"""An exported trial runs through the real `anipose` command, and what comes out is what `--engine anipose` gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration.formats import write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import COCO_17, LABSYS_RUN_37
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import create_lab
from labsys.storage.results import load_trial_result
from pipelines.config import Profile, load_config
from pipelines.export_anipose import export_anipose, format_config
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial

NAME = TrialName("S01", "2026-11-22", "static1")
RATE_HZ = 50.0
# As a shell would: first one command, then the other, in the project's folder.
ANIPOSE = """
from anipose.anipose import cli
for word in ("triangulate", "angles"):
    try:
        cli([word])
    except SystemExit as left:
        assert not left.code, word
"""


@pytest.mark.slow
def test_anipose_itself_gives_the_points_of_the_engine_and_angles_of_them(tmp_path: Path) -> None:
    lab, rig, rng = create_lab(tmp_path / "lab"), make_rig(4), np.random.default_rng(5)
    trial = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=0.5, rate_hz=RATE_HZ, seed=3)
    xy_px = project_rig(rig, trial.landmarks.xyz_m) + rng.normal(0, 1.0, (*trial.landmarks.xyz_m.shape[:2], 4, 2))
    # A fifth of the points is less sure than Anipose's own threshold, a tenth than the engine's.
    confidence = np.where(rng.random(xy_px.shape[:3]) < 0.2, 0.5, 0.95)
    confidence[rng.random(xy_px.shape[:3]) < 0.1] = 0.1
    files = {}
    for c, camera in enumerate(rig.names):
        files[camera] = tmp_path / f"{camera}.h5"
        write_dlc_h5(files[camera], CameraTrack(trial.landmarks.landmarks, xy_px[:, :, c], confidence[:, :, c]))
    write_anipose(tmp_path / "calibration.toml", Calibration(rig, "test"))
    request = ImportRequest(
        name=NAME,
        kind=TrialKind.STATIC,
        landmarks2d=files,
        calibration=tmp_path / "calibration.toml",
        rate_hz=RATE_HZ,
    )
    import_trial(lab, request, progress=SilentProgress())
    run_trial(lab, NAME, config=load_config(Profile.ANIPOSE), progress=SilentProgress())
    ours = load_trial_result(lab, NAME).landmarks

    export_anipose(lab, NAME, tmp_path / "project")
    words = [sys.executable, "-W", "ignore", "-c", ANIPOSE]
    said = subprocess.run(words, cwd=tmp_path / "project", capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr[-2000:]

    session = tmp_path / "project" / NAME.session
    points = pd.read_csv(session / "pose-3d" / "static1.csv")
    theirs_m = np.stack([points[[f"{n}_{axis}" for axis in "xyz"]].to_numpy() for n in ours.landmarks], axis=1)
    assert np.isfinite(ours.xyz_m).mean() > 0.95
    np.testing.assert_allclose(theirs_m, ours.xyz_m, atol=1e-6)

    angles = pd.read_csv(session / "angles" / "static1.csv")
    assert set(angles) == {"fnum", *(f"{s}_{j}_flex" for s in "LR" for j in ("hip", "knee", "ankle", "elbow"))}
    hip, knee, ankle = (ours.xyz_m[:, ours.index(n)] for n in ("RGT", "RLFE", "RLM"))
    expected_deg = np.degrees(_angle_between(hip - knee, ankle - knee))
    np.testing.assert_allclose(angles["R_knee_flex"], expected_deg, atol=1e-4)
    assert 150.0 < np.nanmedian(expected_deg) <= 180.0, "a nearly straight knee"


def test_angles_follow_the_landmarks_that_there_are() -> None:
    text = format_config(("a.1", "b"), COCO_17.landmarks, video_suffix=".mkv")
    assert 'L_knee_flex = ["LHip", "LKnee", "LAnkle"]' in text
    assert "ankle_flex" not in text
    assert r"cam_regex = '-(a\.1|b)$'" in text
    assert 'video_extension = "mkv"' in text
    assert "score_threshold = 0.3" in text
    assert 'R_ankle_flex = ["RLFE", "RLM", "RMT5"]' in format_config(("a",), LABSYS_RUN_37.landmarks)
    assert "[angles]" not in format_config(("a",), ("RHip",))


def _angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    unit_a, unit_b = (v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b))
    return np.arctan2(np.linalg.norm(np.cross(unit_a, unit_b), axis=-1), (unit_a * unit_b).sum(axis=-1))
