"""What `labsys synth` leaves on disk can be read back, and says the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.formats import read_calibration
from labsys.core.catalogue import ANGLES, METRICS
from labsys.core.errors import InputError
from labsys.core.session import TrialKind
from labsys.core.skeleton import Side
from labsys.storage.exchange.dlc import read_dlc
from labsys.storage.exchange.trc import read_trc
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from pipelines.synthetic.write import SynthOutput, write_synthetic


@pytest.fixture(scope="module")
def visit() -> tuple[SyntheticTrial, SyntheticTrial]:
    run, static = (
        make_trial(RunnerParameters(), kind=k, seconds=3.0, rate_hz=100.0, seed=3, visit_seed=3)
        for k in (TrialKind.RUN, TrialKind.STATIC)
    )
    return run, static


def test_landmarks3d_come_back(tmp_path: Path, visit: tuple[SyntheticTrial, SyntheticTrial]) -> None:
    folder = tmp_path / "new" / "synth"
    truth = write_synthetic(folder, *visit, what=SynthOutput.LANDMARKS3D)
    assert truth == folder / "truth.json"
    assert {p.name for p in folder.iterdir()} == {"run.trc", "static.trc", "truth.json", "static_truth.json"}
    for name, trial in zip(("run", "static"), visit, strict=True):
        table = read_trc(folder / f"{name}.trc")
        landmarks = table.markers
        assert tuple(landmarks) == trial.landmarks.landmarks
        assert np.abs(table.xyz_m - trial.landmarks.xyz_m).max() < 1e-5


@pytest.mark.slow
def test_landmarks2d_and_calibration_come_back(tmp_path: Path, visit: tuple[SyntheticTrial, SyntheticTrial]) -> None:
    rig, noise = make_rig(3), NoiseModel.dlc_like(missing=0.01)
    write_synthetic(tmp_path, *visit, what=SynthOutput.LANDMARKS2D, rig=rig, noise=noise, noise_seed=9)
    calibration = read_calibration(tmp_path / "calibration.toml")
    assert calibration.heading_known
    assert calibration.rig.names == rig.names
    for a, b in zip(calibration.rig.cameras, rig.cameras, strict=True):
        assert np.abs(a.centre_lab_m - b.centre_lab_m).max() < 1e-6
        assert np.allclose(a.intrinsics.matrix, b.intrinsics.matrix)
    seen = observe(visit[0], rig, noise, 9)
    for i, name in enumerate(rig.names):
        track = read_dlc(tmp_path / "run" / f"{name}.h5")
        assert track.landmarks == seen.landmarks
        assert np.allclose(track.xy_px, seen.xy_px[:, i], equal_nan=True)
        assert np.allclose(track.confidence, seen.confidence[:, i])
    assert {p.stem for p in (tmp_path / "static").iterdir()} == set(rig.names)


def test_truth_has_the_shape_of_show(tmp_path: Path, visit: tuple[SyntheticTrial, SyntheticTrial]) -> None:
    run = visit[0]
    truth = json.loads(write_synthetic(tmp_path, *visit, what=SynthOutput.LANDMARKS3D).read_text())
    assert (truth["kind"], truth["surface"], truth["speed_mps"], truth["rate_hz"]) == ("run", "treadmill", 3.0, 100.0)
    assert truth["tier"] == "T3"
    assert truth["n_strides"] == {s.value: sum(x.side is s for x in run.strides) for s in (Side.LEFT, Side.RIGHT)}
    assert {(a["id"], a["side"]) for a in truth["angles"]} == {(a.id, s.value) for a in ANGLES for s in a.sided.sides}
    assert {(m["id"], m["side"]) for m in truth["metrics"]} == {(m.id, s.value) for m in METRICS for s in m.sided.sides}
    peak = next(m for m in truth["metrics"] if (m["id"], m["side"]) == ("hip_ext_pelvis_peak", "right"))
    assert peak["unit"] == "deg"
    assert peak["mean"] == pytest.approx(np.degrees(run.metric("hip_ext_pelvis_peak", Side.RIGHT).mean))
    cadence = next(m for m in truth["metrics"] if m["id"] == "cadence")
    assert 150 < cadence["mean"] < 185
    assert run.events is not None
    assert len(truth["synthetic"]["events"]) == len(run.events.events)
    static = json.loads((tmp_path / "static_truth.json").read_text())
    assert (static["kind"], static["metrics"], static["speed_mps"]) == ("static", [], None)


def test_nothing_is_overwritten_and_cameras_are_needed(
    tmp_path: Path, visit: tuple[SyntheticTrial, SyntheticTrial]
) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not an empty folder"):
        write_synthetic(tmp_path, *visit, what=SynthOutput.LANDMARKS3D)
    with pytest.raises(InputError, match="cameras"):
        write_synthetic(tmp_path / "new", *visit, what=SynthOutput.LANDMARKS2D)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    assert not (tmp_path / "new").exists()
