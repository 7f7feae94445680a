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
from labsys.core.errors import InputError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import COCO_17, LABSYS_RUN_37
from labsys.storage.exchange.dlc import read_dlc, write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, create_lab
from labsys.storage.results import load_trial_result
from pipelines.config import Profile, load_config
from pipelines.export_anipose import _suffix_of, export_anipose, format_config
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial
from pipelines.synthetic.noise import NoiseModel, observe_free_running
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

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


def _import_free_running(lab: Lab, folder: Path) -> SyntheticTrial:
    """A run that four cameras filmed each on its own clock, 4 ms after each other; the second one lost a frame."""
    rig = make_rig(4)
    trial = make_trial(RunnerParameters(), seconds=1.5, rate_hz=240.0, seed=3)
    rows = np.arange(60)
    times = tuple(0.1 + 0.004 * c + (rows + (rows >= (30 if c == 1 else 99))) / RATE_HZ for c in range(4))
    views = observe_free_running(trial, rig, NoiseModel.white(0.0, outliers=0.0), times, 1)
    files, lines = {}, ["cam_id,frame_time,frame"]
    for c, view in enumerate(views):
        camera = view.cameras[0]
        files[camera] = folder / f"{camera}.h5"
        write_dlc_h5(files[camera], CameraTrack(view.landmarks, view.xy_px[:, 0], view.confidence[:, 0]))
        numbers = rows + (rows >= (30 if c == 1 else 99))
        lines += [f"{camera},{t:.6f},{n}" for t, n in zip(times[c], numbers, strict=True)]
    write_anipose(folder / "calibration.toml", Calibration(rig, "test"))
    (folder / "stamps.csv").write_text("\n".join(lines) + "\n")
    request = ImportRequest(
        name=NAME,
        kind=TrialKind.RUN,
        landmarks2d=files,
        calibration=folder / "calibration.toml",
        timestamps=folder / "stamps.csv",
        rate_hz=RATE_HZ,
    )
    import_trial(lab, request, progress=SilentProgress())
    return trial


@pytest.mark.slow
def test_rows_of_cameras_with_clocks_of_their_own_are_one_moment_each(tmp_path: Path) -> None:
    lab, rig = create_lab(tmp_path / "lab"), make_rig(4)
    trial = _import_free_running(lab, tmp_path)
    written = export_anipose(lab, NAME, tmp_path / "project")
    tracks = {path.stem.split("-")[1]: read_dlc(path) for path in written if path.suffix == ".h5"}
    assert len({track.n_frames for track in tracks.values()}) == 1
    # From the first frame of the last camera on.
    moments = 0.1 + 3 * 0.004 + np.arange(next(iter(tracks.values())).n_frames) / RATE_HZ
    exact = NoiseModel.white(0.0, outliers=0.0)
    for c, expected in enumerate(observe_free_running(trial, rig, exact, (moments,) * 4, 1)):
        apart = np.linalg.norm(tracks[rig.names[c]].xy_px - expected.xy_px[:, 0], axis=-1)
        assert np.isfinite(apart).mean() > 0.8
        # As they were filmed, rows would lie up to 16 ms apart: tens of pixels at a foot.
        assert np.nanpercentile(apart, 99) < 1.0


def test_videos_of_several_kinds_are_refused() -> None:
    assert _suffix_of({}) == ""
    assert _suffix_of({"a": Path("a.mkv"), "b": Path("b.mkv")}) == ".mkv"
    with pytest.raises(InputError, match=r"several kinds \(\.mkv, \.mp4\)"):
        _suffix_of({"a": Path("a.mp4"), "b": Path("b.mkv")})


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
