"""The runner in pictures: its stickers lie where the truth has them, and what hides them is really in the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration.projection import project
from labsys.core.cameras import Camera
from labsys.core.session import TrialKind
from labsys.core.skeleton import LABSYS_RUN_37
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.pictures.draws import Draws, Split
from pipelines.synthetic.pictures.film import Shot, pose_runner, shoot_runner
from pipelines.synthetic.pictures.runner import Runner, follow
from pipelines.synthetic.pictures.skin import STICKERS, pose_skin
from pipelines.synthetic.pictures.stage import Stage
from pipelines.synthetic.pictures.studio import Studio, draw_rig, draw_runner
from pipelines.synthetic.pictures.wardrobe import draw_look
from pipelines.synthetic.trial import make_trial
from tests.test_pipelines.picture_scenes import (
    SIZE,
    make_black_stage,
    make_quiet_studio,
    make_rig,
    make_runner,
    place_camera,
    show_only_stickers,
)

pytestmark = pytest.mark.slow

_ROWS = [LABSYS_RUN_37.landmarks.index(n) for n in STICKERS]


@pytest.fixture(scope="module")
def studio() -> Studio:
    return make_quiet_studio(make_rig())


@pytest.fixture(scope="module")
def runner(studio: Studio) -> Runner:
    return make_runner(studio)


@pytest.fixture(scope="module")
def stages(studio: Studio) -> list[Stage]:
    places = [(2.2, 1.2, 2.2), (-2.2, 1.8, 2.2)]
    cameras = [
        place_camera(f"vga{i}", p, (0.0, 0.9, 0.0), focal_px=600.0, size_px=(640, 480)) for i, p in enumerate(places)
    ]
    return [make_black_stage(c, studio) for c in cameras]


def test_runner_moves_as_the_trial_of_the_same_numbers(studio: Studio, runner: Runner) -> None:
    own = studio.split.parity + 2 * studio.seed
    trial = make_trial(RunnerParameters(speed_mps=3.4), seconds=3.0, rate_hz=50.0, seed=own, visit_seed=own)
    there = runner.landmarks_m(runner.pose(trial.landmarks.times_s))
    np.testing.assert_allclose(there, trial.landmarks.xyz_m, atol=1e-12)
    assert runner.belt_mps == 3.4
    still = make_runner(studio, kind=TrialKind.STATIC)
    assert still.belt_mps == 0.0
    ankles = still.landmarks_m(still.pose(np.array([0.0, 2.0])))[:, LABSYS_RUN_37.landmarks.index("RLM")]
    assert np.linalg.norm(ankles[1] - ankles[0]) < 0.002


def test_skin_carries_every_sticker_and_stands_on_the_belt(runner: Runner) -> None:
    motion = follow(runner, np.linspace(0.5, 2.5, 25), 0.002)
    skin = runner.dressed.skin
    lowest = []
    for i in range(25):
        body = pose_skin(skin, motion.rotations[i, 0], motion.origins_m[i, 0], motion.landmarks_m[i, 0])
        np.testing.assert_allclose(body[skin.anchor], motion.landmarks_m[i, 0, _ROWS], atol=1e-9)
        lowest.append(body[:, 1].min())
        edges = np.linalg.norm(body[skin.triangles] - np.roll(body[skin.triangles], 1, axis=1), axis=-1)
        assert np.percentile(edges, 99.9) < 0.08  # nothing tears
    assert min(lowest) > -0.02
    assert np.sum(np.array(lowest) < 0.01) >= 8  # in stance the sole is on the belt


def test_stickers_lie_at_the_projected_truth(runner: Runner, stages: list[Stage]) -> None:
    alone = show_only_stickers(runner)
    errors = []
    for stage in stages:
        for shot in shoot_runner(stage, alone, np.linspace(0.9, 1.6, 6), exposure_s=0.002, seed=1):
            errors += _centroid_errors(shot.picture, shot.xy_px, shot.seen)
    errors_px = np.array(errors)
    assert len(errors_px) > 40
    assert np.abs(errors_px.mean(axis=0)).max() < 0.06
    assert np.median(np.linalg.norm(errors_px, axis=1)) < 0.15
    assert np.percentile(np.linalg.norm(errors_px, axis=1), 95) < 0.5


def _centroid_errors(picture: np.ndarray, xy_px: np.ndarray, seen: np.ndarray) -> list[np.ndarray]:
    """Centroid minus truth of stickers that show wholly and have no other near them, px."""
    light = (picture.astype(np.float64).mean(axis=2) / 255.0) ** 2.2
    found = []
    reach = 5
    for k in np.flatnonzero(seen == 1.0):
        apart = np.linalg.norm(np.delete(xy_px, k, axis=0) - xy_px[k], axis=1).min()
        x, y = np.round(xy_px[k]).astype(int)
        inside = reach < x < light.shape[1] - reach - 1 and reach < y < light.shape[0] - reach - 1
        if apart < 2.5 * reach or not inside or LABSYS_RUN_37.landmarks[k] == "HEAD":
            continue
        patch = light[y - reach : y + reach + 1, x - reach : x + reach + 1]
        rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        found.append(
            np.array([x + (patch * columns).sum() / patch.sum(), y + (patch * rows).sum() / patch.sum()]) - xy_px[k]
        )
    return found


def test_a_longer_exposure_blurs_by_the_way_that_a_point_goes(runner: Runner, stages: list[Stage]) -> None:
    moment, exposure, stage = np.array([1.05]), 0.016, stages[0]

    def shoot(names: tuple[str, ...], exposure_s: float) -> Shot:
        return next(shoot_runner(stage, show_only_stickers(runner, names), moment, exposure_s=exposure_s, seed=1))

    ends = project(stage.camera, runner.landmarks_m(runner.pose(moment + exposure * np.array([-0.5, 0.5]))))
    way = np.linalg.norm(ends[1] - ends[0], axis=-1)
    wholly = (shoot(STICKERS, 1e-5).seen == 1.0) & (shoot(STICKERS, exposure).seen == 1.0)
    k = int(np.where(wholly, way, 0.0).argmax())
    assert way[k] > 5.0
    name = (LABSYS_RUN_37.landmarks[k],)
    sharp, blurred = shoot(name, 1e-5), shoot(name, exposure)
    along = (ends[1, k] - ends[0, k]) / way[k]
    gained = [_spread_along(s.picture, s.xy_px[k], along) for s in (blurred, sharp)]
    # Four even steps over the way have 15/16 of the variance of an even smear.
    assert gained[0] - gained[1] == pytest.approx(way[k] ** 2 / 12 * 15 / 16, rel=0.15)


def _spread_along(picture: np.ndarray, xy_px: np.ndarray, along: np.ndarray) -> float:
    light = (picture.astype(np.float64).mean(axis=2) / 255.0) ** 2.2
    x, y = np.round(xy_px).astype(int)
    rows, columns = np.mgrid[y - 12 : y + 13, x - 12 : x + 13]
    weight = light[rows, columns]
    place = (columns - xy_px[0]) * along[0] + (rows - xy_px[1]) * along[1]
    mean = (weight * place).sum() / weight.sum()
    return float((weight * (place - mean) ** 2).sum() / weight.sum())


def test_what_is_told_visible_is_what_a_ray_reaches(runner: Runner, stages: list[Stage]) -> None:
    moments = np.array([0.9, 1.05, 1.3])
    agreed, doubtful, total = 0, 0, 0
    for stage in stages:
        motion = follow(runner, moments, 1e-5)
        for i, shot in enumerate(shoot_runner(stage, runner, moments, exposure_s=1e-5, seed=1)):
            pose = pose_runner(runner, stage.light, motion, i)
            free = _reached_by_rays(runner, pose.vertices_m.mean(axis=0), pose.normals, stage.camera)
            told = shot.seen[_ROWS]
            clear = (told < 0.2) | (told > 0.8)
            agreed += int((free == shot.visible[_ROWS])[clear].sum())
            doubtful += int((~clear).sum())
            total += len(free)
    assert agreed / (total - doubtful) > 0.98
    assert doubtful < 0.12 * total
    head = LABSYS_RUN_37.landmarks.index("HEAD")
    assert shot.visible[head]


def _reached_by_rays(runner: Runner, vertices: np.ndarray, normals: np.ndarray, camera: Camera) -> np.ndarray:
    """Whether the line from every sticker to the camera is free of the body's triangles (Möller & Trumbore 1997)."""
    skin = runner.dressed.skin
    a, b, c = (vertices[skin.triangles[:, i]] for i in range(3))
    free = []
    for anchor in skin.anchor:
        start = vertices[anchor] + 0.004 * normals[anchor]
        ray = camera.centre_lab_m - start
        facing = ray @ normals[anchor] / np.linalg.norm(ray)
        p = np.cross(ray, c - a)
        area = np.einsum("fi,fi->f", b - a, p)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.einsum("fi,fi->f", start - a, p) / area
            q = np.cross(start - a, b - a)
            v = q @ ray / area
            t = np.einsum("fi,fi->f", c - a, q) / area
        hit = (np.abs(area) > 1e-14) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < 1)
        free.append(bool(facing > 0.17 and not hit.any()))
    return np.array(free)


def test_a_handrail_in_front_hides_what_is_behind_it(studio: Studio, runner: Runner, stages: list[Stage]) -> None:
    stage = stages[0]
    seen = next(shoot_runner(stage, runner, np.array([1.0]), exposure_s=0.001, seed=1)).visible
    wall = replace(stage, depth=np.full_like(stage.depth, 0.5))
    assert seen.sum() > 8
    assert not next(shoot_runner(wall, runner, np.array([1.0]), exposure_s=0.001, seed=1)).visible.any()


def test_training_and_evaluation_share_no_number() -> None:
    looks = {s: [draw_look(Draws(s, k, "look")) for k in range(30)] for s in (Split.TRAINING, Split.EVALUATION)}
    runners = {s: [draw_runner(s, k) for k in range(30)] for s in (Split.TRAINING, Split.EVALUATION)}
    for read in (lambda x: x.height_m, lambda x: x.speed_mps):
        cells = [
            _cells([read(r) for r in runners[s]], *_RANGES[read(RunnerParameters(height_m=1.7)) > 2]) for s in runners
        ]
        assert not cells[0] & cells[1]
        assert len(cells[0]) > 5
    skins = [{round(look.skin[0], 12) for look in looks[s]} for s in looks]
    assert not skins[0] & skins[1]
    assert draw_look(Draws(Split.TRAINING, 4, "look")) == looks[Split.TRAINING][4]
    seeds = [{Draws(s, 0, "x").body_seed(k) for k in range(50)} for s in looks]
    assert not seeds[0] & seeds[1]
    rigs = [draw_rig(s, 3, 4, size_px=SIZE) for s in looks]
    centres = [np.stack([c.centre_lab_m for c in rig.cameras]) for rig in rigs]
    assert np.linalg.norm(centres[0][:, None] - centres[1][None], axis=-1).min() > 0.01


_RANGES = {False: (1.55, 1.95), True: (2.3, 4.4)}


def _cells(values: list[float], low: float, high: float) -> set[int]:
    return {int(24 * (v - low) / (high - low)) for v in values}
