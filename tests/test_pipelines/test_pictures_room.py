"""Room, belt, board and sensor in pictures: true to the lens, to the belt's speed and to their own figures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration.board.detector import full_search
from labsys.core.board import Board
from labsys.core.cameras import Camera, LensModel
from pipelines.synthetic.pictures.belt import LOOP_M, paint_belt
from pipelines.synthetic.pictures.board import LYING, WavedBoard, shoot_board
from pipelines.synthetic.pictures.draws import Draws, Split
from pipelines.synthetic.pictures.easel import Easel
from pipelines.synthetic.pictures.film import lay_ground
from pipelines.synthetic.pictures.sensor import (
    NOISELESS,
    Sensor,
    burn_counter,
    develop,
    make_curve,
    make_falloff,
    read_counter,
)
from pipelines.synthetic.pictures.shadows import soften
from pipelines.synthetic.pictures.stage import set_stage
from tests.test_pipelines.picture_scenes import SIZE, make_quiet_studio, make_rig, place_camera

BOARD = Board(5, 3, 0.165, 0.13, "DICT_4X4_50")
FISHEYE = place_camera(
    "wide", (1.1, 1.5, 0.9), (0.0, 0.8, 0.0), focal_px=230.0, distortion=(0.03, -0.01, 0.002, 0.0),
    model=LensModel.FISHEYE,
)  # fmt: skip
PINHOLE = place_camera("long", (1.9, 1.3, 1.6), (0.0, 0.8, 0.0), focal_px=430.0)


@pytest.mark.slow
@pytest.mark.parametrize("camera", [PINHOLE, FISHEYE], ids=lambda c: c.name)
def test_board_corners_are_found_where_opencv_projects_them(camera: Camera) -> None:
    studio = make_quiet_studio(make_rig())
    sensor = Sensor(focus_px=0.5, read_noise=0.003)
    stage = set_stage(camera, studio.room, studio.light, sensor)
    actor = WavedBoard(BOARD, studio.belt, seed=2, lying_s=0.0)
    times = np.arange(2.0, 14.0, 0.6)
    R, t = actor.pose(times)
    errors, views = [], 0
    for i, shot in enumerate(shoot_board(stage, actor, times, exposure_s=0.001, seed=1)):
        seen = full_search(np.ascontiguousarray(shot.picture[..., 1]), BOARD)
        if len(seen.ids) < 4:
            continue
        views += 1
        truth = _opencv_projection(camera, BOARD.corners_m @ R[i].T + t[i])
        np.testing.assert_allclose(shot.corners_px, truth, atol=1e-6)
        errors.append(seen.xy_px - truth[seen.ids])
    error = np.concatenate(errors)
    assert views >= 5
    assert np.abs(np.median(error, axis=0)).max() < 0.05
    assert np.median(np.linalg.norm(error, axis=1)) < 0.15


def _opencv_projection(camera: Camera, points_m: np.ndarray) -> np.ndarray:
    """OpenCV's own projection, which the rendering does not use."""
    rotation, _ = cv2.Rodrigues(camera.T_cam_lab.rotation)
    lens = camera.intrinsics
    shift = camera.T_cam_lab.translation_m
    if lens.model is LensModel.FISHEYE:
        xy, _ = cv2.fisheye.projectPoints(points_m.reshape(-1, 1, 3), rotation, shift, lens.matrix, lens.distortion)
    else:
        xy, _ = cv2.projectPoints(points_m.reshape(-1, 1, 3), rotation, shift, lens.matrix, lens.distortion)
    return np.asarray(xy).reshape(-1, 2)


def test_board_lies_in_the_middle_of_the_belt_and_shows_its_back_to_the_ground() -> None:
    actor = WavedBoard(BOARD, paint_belt(Draws(Split.TRAINING, 1, "belt")), seed=1, lying_s=2.0)
    R, t = actor.pose(np.array([0.0, 1.9, 8.0]))
    np.testing.assert_allclose(R[:2], np.stack([LYING, LYING]), atol=1e-12)
    corners = BOARD.corners_m @ R[0].T + t[0]
    np.testing.assert_allclose(corners.mean(axis=0), 0.0, atol=1e-12)
    assert (R[0] @ [0.0, 0.0, 1.0])[1] == pytest.approx(-1.0)
    assert (BOARD.corners_m @ R[2].T + t[2])[:, 1].min() > 0.3


@pytest.mark.slow
def test_belt_moves_by_its_speed() -> None:
    above = place_camera("above", (0.0, 2.4, 0.0), (0.0, 0.0, 0.0), focal_px=500.0, distortion=(0, 0, 0, 0, 0))
    studio = make_quiet_studio(make_rig())
    stage = set_stage(above, studio.room, studio.light, NOISELESS)
    no_shadow = soften(np.full((150, 190), np.inf))

    def film(travel_m: float, blur_m: float = 0.0) -> np.ndarray:
        easel = Easel(stage)
        lay_ground(easel, studio.belt, no_shadow, travel_m, blur_m)
        return np.asarray(easel.light[150:210, 60:420].mean(axis=2), dtype=np.float64)

    step_m = 3.1 / 60.0
    (dx, dy), _ = cv2.phaseCorrelate(film(0.4), film(0.4 + step_m), cv2.createHanningWindow((360, 60), cv2.CV_64F))
    assert dx == pytest.approx(-step_m * 500.0 / 2.4, abs=0.1)  # against X, which runs to the right of this picture
    assert dy == pytest.approx(0.0, abs=0.1)
    np.testing.assert_allclose(film(0.4), film(0.4 + LOOP_M), atol=1e-6)
    assert np.diff(film(0.4, blur_m=0.06), axis=1).std() < 0.6 * np.diff(film(0.4), axis=1).std()


@pytest.mark.parametrize("samples", [4, 8])
def test_where_the_belt_fills_a_pixel_all_of_its_light_counts_however_many_samples(samples: int) -> None:
    # Pictures to train on are drawn with fewer samples than films: the belt came out half as bright in them.
    above = place_camera("above", (0.0, 2.4, 0.0), (0.0, 0.0, 0.0), focal_px=50.0, size_px=(48, 36))
    studio = make_quiet_studio(make_rig())
    shares = set_stage(above, studio.room, studio.light, NOISELESS, samples=samples).belt[:, 2]
    assert np.median(shares) == shares.max() == 1.0


def test_a_picture_of_which_only_what_changed_is_drawn_is_that_of_all_of_it() -> None:
    camera = place_camera("small", (1.9, 1.3, 1.6), (0.0, 0.8, 0.0), focal_px=60.0, size_px=(64, 48))
    studio = make_quiet_studio(make_rig())
    stage = set_stage(camera, studio.room, studio.light, Sensor(focus_px=0.7, falloff=0.2), samples=4)
    easel = Easel(stage)
    for seed, (left, top, right, bottom) in enumerate(((0, 0, 9, 7), (20, 12, 33, 30), (58, 40, 64, 48), (5, 5, 5, 5))):
        easel.clear()
        easel.light[top:bottom, left:right] += 0.5
        whole = stage.still.copy()
        whole[top:bottom, left:right] += 0.5
        easel.touch((left, top, right, bottom))
        expected = develop(whole, stage.sensor, stage.falloff, make_curve(), seed=seed)
        np.testing.assert_array_equal(easel.develop(seed), expected)


def test_noise_is_what_the_sensor_promises_and_repeats_with_its_seed() -> None:
    sensor = Sensor(gain=1.0, focus_px=0.0, falloff=0.0, read_noise=0.004, shot_noise=0.0002)
    curve, falloff = make_curve(), make_falloff(sensor, SIZE)
    for level in (0.05, 0.3, 0.6):
        light = np.full((SIZE[1], SIZE[0], 3), level, np.float32)
        picture = develop(light, sensor, falloff, curve, seed=3)
        back = (picture / 255.0) ** 2.2
        expected = np.sqrt(0.004**2 + 0.0002 * level)
        assert back.std() == pytest.approx(expected, rel=0.05)
        assert back.mean() == pytest.approx(level, rel=0.01)
        assert abs(np.corrcoef(back[..., 0].ravel(), back[..., 1].ravel())[0, 1]) < 0.02
        np.testing.assert_array_equal(picture, develop(light, sensor, falloff, curve, seed=3))
        assert (picture != develop(light, sensor, falloff, curve, seed=4)).mean() > 0.5
    clean = develop(light, NOISELESS, make_falloff(NOISELESS, SIZE), curve, seed=1)
    assert np.unique(clean).size == 1
    dim = make_falloff(replace(NOISELESS, falloff=0.3), SIZE)
    assert dim[0, 0] == pytest.approx(0.7 * NOISELESS.gain)


@pytest.mark.parametrize("number", [0, 1, 4711, 65535])
def test_counter_survives_jpeg(number: int) -> None:
    picture = np.full((64, 160, 3), 90, np.uint8)
    burn_counter(picture, number)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert read_counter(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))) == number
