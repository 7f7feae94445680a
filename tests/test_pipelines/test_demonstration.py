"""The filmed demonstration: its cameras, and what it says where it cannot run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from api.cli import main
from calibration.align import WorldAxes
from calibration.projection import project
from labsys.core.errors import MissingPartError
from labsys.core.session import Phase, TrialKind
from labsys.core.skeleton import LABSYS_RUN_37
from pipelines.demonstration import filmed
from pipelines.demonstration.filmed import WORLD_AXES, check_film, demo_rig
from pipelines.demonstration.settings import DemoSettings
from pipelines.synthetic.pictures.draws import Split
from pipelines.synthetic.pictures.film import shoot_runner
from pipelines.synthetic.pictures.studio import cast_runner, make_studio
from pipelines.synthetic.trial import make_trial


def test_first_camera_stands_as_the_calibration_is_told() -> None:
    for seed in range(4):
        camera = demo_rig(DemoSettings(seed=seed).filmed()).cameras[0]
        told = WorldAxes.parse(WORLD_AXES).T_lab_world.rotation
        assert np.allclose(camera.T_cam_lab.rotation.T, told, atol=1e-12)


@pytest.mark.slow
def test_every_camera_sees_the_whole_runner() -> None:
    for seed in range(5):
        settings = DemoSettings(seed=seed).filmed()
        trial = make_trial(
            settings.runner(Phase.POST), kind=TrialKind.RUN, seconds=4.0, rate_hz=30.0, seed=2 * seed + 1
        )
        for camera in demo_rig(settings).cameras:
            xy = project(camera, trial.landmarks.xyz_m.reshape(-1, 3))
            assert (xy > 5).all(), (seed, camera.name)
            assert (xy < np.array(settings.size_px) - 5).all(), (seed, camera.name)


@pytest.mark.parametrize("quick", [False, True])
def test_every_side_of_the_runner_shows_in_two_pictures(quick: bool) -> None:
    ways = {"ahead": (1.0, 0.0), "back": (-1.0, 0.0), "right": (0.0, 1.0), "left": (0.0, -1.0)}
    for seed in range(20):
        rig = demo_rig(DemoSettings(seed=seed).filmed(quick=quick))
        for name, way in ways.items():
            places = np.array([c.centre_lab_m[[0, 2]] for c in rig.cameras])
            cosines = sorted(places @ way / np.linalg.norm(places, axis=1))
            assert cosines[-2] > np.cos(np.radians(62.0)), (seed, name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [100, 107])
def test_the_pelvis_shows_in_two_pictures_for_most_of_a_stride(seed: int) -> None:
    settings = DemoSettings(seed=seed).filmed(quick=True)
    studio = make_studio(Split.DEMO, seed, demo_rig(settings))
    runner = cast_runner(studio, settings.runner(Phase.PRE), kind=TrialKind.RUN, seconds=3.0)
    moments = np.linspace(1.0, 1.7, 12)  # a stride
    seen = np.stack(
        [
            [shot.visible for shot in shoot_runner(studio.stage(i), runner, moments, exposure_s=0.002, seed=1)]
            for i in range(len(studio.rig.cameras))
        ]
    )
    in_two = (seen.sum(axis=0) >= 2).mean(axis=0)
    for name in ("LASIS", "RASIS", "LPSIS", "RPSIS", "S3", "L3", "T10"):
        assert in_two[LABSYS_RUN_37.landmarks.index(name)] > 0.7, name


def test_rigs_differ_by_seed_and_not_otherwise() -> None:
    first, again, other = (demo_rig(DemoSettings(seed=s).filmed()) for s in (1, 1, 2))
    centres = [np.stack([c.centre_lab_m for c in rig.cameras]) for rig in (first, again, other)]
    assert (centres[0] == centres[1]).all()
    assert np.abs(centres[0] - centres[2]).max() > 0.05


@pytest.mark.parametrize(("cap", "said"), [("nan", "is no number"), ("-60", "no gait of the synthetic runner")])
def test_a_runner_that_cannot_be_leaves_no_lab_behind(
    cap: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["demo", "--quick", "--out", str(tmp_path / "lab"), "--hip-extension-cap-deg", cap])
    assert left.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()


def test_without_deeplabcut_nothing_is_filmed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "deeplabcut" else find(name, *a))
    with pytest.raises(MissingPartError, match="DeepLabCut"):
        check_film(tmp_path)


def test_the_shipped_model_is_whole_small_and_owns_up_to_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filmed, "require_deeplabcut", lambda: None)
    stored = check_film()
    assert set(LABSYS_RUN_37.landmarks) <= set(stored.model.landmarks)
    assert sum(f.stat().st_size for f in stored.folder.iterdir()) <= 10_000_000
    assert "never saw a real person" in stored.model.knows
    assert stored.model.evaluation["error_median_px720"] <= 5.0
    assert {"project.n_labs", "epochs", "backbone"} <= stored.model.recipe.keys()
