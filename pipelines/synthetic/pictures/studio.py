"""Scenes by seed: cameras, room, light and sensors, a person in clothes; training and evaluation share none of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.rigid import look_at
from labsys.core.session import TrialKind
from pipelines.synthetic.parameters import RunnerParameters, Strike
from pipelines.synthetic.pictures.belt import paint_belt
from pipelines.synthetic.pictures.draws import Draws, Split
from pipelines.synthetic.pictures.light import RGB, Light
from pipelines.synthetic.pictures.raster import Floats32
from pipelines.synthetic.pictures.room import FLOOR_M, Room, make_room
from pipelines.synthetic.pictures.runner import Runner, make_runner
from pipelines.synthetic.pictures.sensor import Sensor, draw_sensor
from pipelines.synthetic.pictures.stage import STILL_SAMPLES, Stage, set_stage
from pipelines.synthetic.pictures.wardrobe import draw_look

_SCENE_HEIGHT_M = 2.5  # what fills the picture at the runner, as `rigs.make_rig` has it


@dataclass(frozen=True, eq=False)
class Studio:
    """A lab that can be filmed: everything but who or what stands on the belt.

    Attributes:
        sensors: one per camera of the rig, in its order. belt: see `belt.paint_belt`.
    """

    split: Split
    seed: int
    rig: CameraRig
    room: Room
    light: Light
    sensors: tuple[Sensor, ...]
    belt: Floats32
    _stages: dict[tuple[int, int], Stage] = field(default_factory=dict, init=False, repr=False)

    def stage(self, number: int, *, samples: int = STILL_SAMPLES) -> Stage:
        """The room as one of the cameras sees it (`samples`: see `set_stage`)."""
        key = number, samples
        if key not in self._stages:  # seconds of work, and every take of a day is filmed on the same one
            camera, sensor = self.rig.cameras[number], self.sensors[number]
            self._stages[key] = set_stage(camera, self.room, self.light, sensor, samples=samples)
        return self._stages[key]


def make_studio(split: Split, seed: int, rig: CameraRig) -> Studio:
    """A lab around these cameras, by seed."""
    reach = max(float(np.abs(c.centre_lab_m[[0, 2]]).max()) for c in rig.cameras)
    room = make_room(Draws(split, seed, "room"), reach_m=reach)
    sensors = tuple(draw_sensor(Draws(split, seed, f"sensor {i}")) for i in range(len(rig.cameras)))
    belt = paint_belt(Draws(split, seed, "belt"))
    return Studio(split, seed, rig, room, draw_light(Draws(split, seed, "light")), sensors, belt)


def draw_light(draws: Draws) -> Light:
    """A ceiling lamp and what comes from all round: warm or cool, hard or soft, from another place every time."""
    warmth = draws.between(-0.14, 0.14)
    tone = np.array([1.0 + warmth, 1.0, 1.0 - warmth])
    contrast = draws.between(0.45, 0.80)
    level = draws.between(0.85, 1.20)
    turn = draws.between(-math.pi, math.pi)
    return Light(
        panel_m=(draws.between(-1.0, 1.0), FLOOR_M + draws.between(2.6, 2.85), draws.between(-1.1, 1.1)),
        panel_half_m=(draws.between(0.3, 0.9), draws.between(0.2, 0.7)),
        panel=_rgb(level * 1.05 * contrast * tone),
        fill_from=(math.cos(turn), draws.between(0.1, 0.6), math.sin(turn)),
        fill=_rgb(level * draws.between(0.10, 0.30) * tone[::-1]),
        sky=_rgb(level * (0.90 - 0.75 * contrast) * np.array(draws.colour(0.08))),
        ground=_rgb(level * draws.between(0.10, 0.22) * np.array(draws.colour(0.20))),
    )


def _rgb(values: np.ndarray) -> RGB:
    return float(values[0]), float(values[1]), float(values[2])


def draw_rig(split: Split, seed: int, n_cameras: int, *, size_px: tuple[int, int]) -> CameraRig:
    """Cameras round the treadmill whose places, aims and lenses differ from seed to seed; a few are fisheyes."""
    draws = Draws(split, seed, "rig")
    radius, start = draws.between(2.5, 4.0), draws.between(-math.pi, math.pi)
    fisheye = draws.unit() < 0.15
    cameras = []
    for i in range(n_cameras):
        azimuth = start + 2 * math.pi * (i + draws.between(-0.3, 0.3)) / n_cameras
        far = radius * draws.between(0.9, 1.1)
        centre = np.array([far * math.cos(azimuth), draws.between(0.5, 2.3), far * math.sin(azimuth)])
        target = np.array([draws.between(-0.12, 0.12), draws.between(0.85, 1.05), draws.between(-0.10, 0.10)])
        lens = _draw_lens(draws, far, size_px, fisheye=fisheye)
        cameras.append(Camera(f"cam{i}", lens, look_at(centre, target, roll_rad=draws.between(-0.06, 0.06))))
    return CameraRig(tuple(cameras))


def _draw_lens(draws: Draws, far_m: float, size_px: tuple[int, int], *, fisheye: bool) -> Intrinsics:
    width, height = size_px
    focal = height * far_m / _SCENE_HEIGHT_M * draws.between(0.80, 1.12)
    middle = ((width - 1) / 2 + draws.between(-8.0, 8.0), (height - 1) / 2 + draws.between(-6.0, 6.0))
    matrix = np.array([[focal, 0.0, middle[0]], [0.0, focal, middle[1]], [0.0, 0.0, 1.0]])
    if fisheye:
        bend = np.array([draws.between(-0.05, 0.03), draws.between(-0.02, 0.02), 0.0, 0.0])
        return Intrinsics(matrix, bend, size_px, LensModel.FISHEYE)
    k1, k2 = draws.between(-0.28, 0.05), draws.between(0.0, 0.08)
    return Intrinsics(matrix, np.array([k1, k2, 0.0004, -0.0003, 0.0]), size_px)


def draw_runner(split: Split, seed: int) -> RunnerParameters:
    """How a person of this seed runs or, now and then, walks."""
    draws = Draws(split, seed, "runner")
    return RunnerParameters(
        speed_mps=draws.between(2.3, 4.4),
        strike=draws.choose((Strike.REAR, Strike.REAR, Strike.MID, Strike.FORE)),
        hip_extension_cap_rad=math.radians(draws.between(4.0, 16.0)) if draws.unit() < 0.5 else None,
        lumbar_gain=draws.between(0.0, 0.8),
        trunk_lean_rad=math.radians(draws.between(2.0, 11.0)),
        height_m=draws.between(1.55, 1.95),
    )


def cast_runner(
    studio: Studio,
    parameters: RunnerParameters,
    *,
    kind: TrialKind,
    seconds: float,
    seed: int | None = None,
    visit_seed: int | None = None,
    look_seed: int | None = None,
) -> Runner:
    """The runner of a studio, on its belt.

    Args:
        seed, visit_seed: as for `make_trial`; None takes those that this studio's split keeps for its seed.
        look_seed: of clothes and build; the studio's seed where None.

    Raises:
        InputError: a speed or duration that the kind cannot have.
    """
    own = 2 * studio.seed + studio.split.parity
    look = draw_look(Draws(studio.split, studio.seed if look_seed is None else look_seed, "look"))
    return make_runner(
        parameters,
        look,
        studio.belt,
        kind=kind,
        seconds=seconds,
        seed=own if seed is None else seed,
        visit_seed=own if visit_seed is None else visit_seed,
    )


def with_sensor(studio: Studio, sensor: Sensor) -> Studio:
    """The same studio with one kind of sensor in every camera."""
    return replace(studio, sensors=tuple(sensor for _ in studio.sensors))
