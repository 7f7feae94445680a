"""Pictures of a runner, one after the other, as one camera takes them, each with what is true of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from calibration.lens import pack_lens, project_points, read_only_floats
from calibration.projection import project
from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.cameras import Camera
from pipelines.synthetic.pictures.belt import lay_belt
from pipelines.synthetic.pictures.easel import Easel
from pipelines.synthetic.pictures.light import PackedLight, shade_vertices
from pipelines.synthetic.pictures.raster import Floats32, add_layer, box_of, clear_layer, draw_mesh, lay_over
from pipelines.synthetic.pictures.runner import Motion, Runner, follow
from pipelines.synthetic.pictures.sensor import Picture
from pipelines.synthetic.pictures.shadows import (
    Shadow,
    dim_ground,
    lay_on_belt,
    light_vertices,
    see_from_lamp,
    soften,
)
from pipelines.synthetic.pictures.skin import STICKERS, pose_skin, vertex_normals
from pipelines.synthetic.pictures.stage import SHIFTS_PX, Stage
from pipelines.synthetic.pictures.tailor import lay_stickers
from pipelines.synthetic.pictures.visibility import see_landmarks, seek_landmarks

_STICKER_NEARER_M = 0.004  # stickers win over the skin that they lie on


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture and its truth.

    Attributes:
        picture: (H, W, 3) RGB. time_s: middle of the exposure.
        xy_px: (37, 2) px in IMAGE, LABSYS-RUN-37, also outside the picture; NaN without an image.
        seen: (37,) share of every sticker that shows, 0 to 1.
    """

    picture: Picture
    time_s: float
    xy_px: FloatArray
    seen: FloatArray

    @property
    def visible(self) -> BoolArray:
        """(37,) True where at least half of the sticker shows."""
        return np.asarray(self.seen >= 0.5, dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Pose:
    """The runner's surface in one exposure round time_s: vertices (2, V, 3) m at its beginning and end, normals (V, 3),
    and light (V, 3), body first, stickers behind; landmarks_m (37, 3) in the middle; the shadow on the ground."""

    time_s: float
    vertices_m: FloatArray
    normals: FloatArray
    light: Floats32
    landmarks_m: FloatArray
    shadow: Shadow


def pose_runner(runner: Runner, lamps: PackedLight, motion: Motion, number: int) -> Pose:
    """The runner in the room's light during one exposure of a film; the same for every camera of a room."""
    skin, bare = runner.dressed.skin, runner.dressed.bare
    R, origins, landmarks = motion.rotations[number], motion.origins_m[number], motion.landmarks_m[number]
    bodies = np.stack([pose_skin(skin, R[i], origins[i], landmarks[i]) for i in range(2)])
    body = bodies.mean(axis=0)
    normals = np.empty_like(body)
    vertex_normals(body, bare, normals)
    thrown = lay_on_belt(body, lamps.panel_m)
    lamp_depth = see_from_lamp(thrown, bare)
    lit, light = np.empty(len(body)), np.empty_like(body)
    light_vertices(thrown, lamp_depth, lit)
    shade_vertices(body, normals, lit, lamps, light)
    facing = normals[skin.anchor]
    stickers = lay_stickers(runner.dressed, bodies[:, skin.anchor], facing)
    per_disc = stickers.shape[1] // len(STICKERS)
    return Pose(
        float(motion.times_s[number]),
        np.concatenate([bodies, stickers], axis=1),
        np.concatenate([normals, np.repeat(facing, per_disc, axis=0)]),
        np.concatenate([light, np.repeat(light[skin.anchor], per_disc, axis=0)], dtype=np.float32),
        landmarks.mean(axis=0),
        soften(lamp_depth),
    )


def shoot_runner(stage: Stage, runner: Runner, times_s: FloatArray, *, exposure_s: float, seed: int) -> Iterator[Shot]:
    """The pictures that one camera takes at these moments (middles of its exposures)."""
    scene, easel = RunnerScene(runner, stage.light, np.asarray(times_s, dtype=np.float64), exposure_s), Easel(stage)
    for number, moment in enumerate(scene.times_s):
        picture, xy, seen = scene.draw(easel, scene.pose(number), picture_seed(seed, number))
        yield Shot(picture, float(moment), xy, seen)


@dataclass(eq=False)
class RunnerScene:
    """A runner to be filmed at these moments (T,) s, middles of exposures; see `shooting.Scene`."""

    runner: Runner
    light: PackedLight
    times_s: FloatArray
    exposure_s: float
    _motion: Motion = field(init=False)

    def __post_init__(self) -> None:
        self._motion = follow(self.runner, self.times_s, self.exposure_s)

    def pose(self, moment: int) -> Pose:
        """The runner in one exposure."""
        return pose_runner(self.runner, self.light, self._motion, moment)

    def draw(self, easel: Easel, posed: Pose, seed: int) -> tuple[Picture, FloatArray, FloatArray]:
        """A picture of the runner, where the landmarks are (37, 2) px, and how much of them shows (37,)."""
        speed = self.runner.belt_mps
        easel.clear()
        lay_ground(easel, self.runner.belt_texture, posed.shadow, speed * posed.time_s, speed * self.exposure_s)
        points = _project(easel.stage.camera, posed, len(self.runner.dressed.skin.rest_m))
        seen = _expose_body(easel, self.runner, points, posed)
        return easel.develop(seed), project(easel.stage.camera, posed.landmarks_m), seen


def picture_seed(seed: int, number: int) -> int:
    """A seed for the noise of one picture."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def lay_ground(easel: Easel, texture: Floats32, shadow: Shadow, travel_m: float, blur_m: float) -> None:
    """Add belt and shadow to a picture of what stands still."""
    stage = easel.stage
    easel.touch(dim_ground(shadow, stage.ground, stage.ground_map, stage.ground_share, easel.left, easel.light))
    lay_belt(stage.belt, texture, travel_m, blur_m, easel.left, easel.light)
    easel.touch(easel.belt_box)


def _project(camera: Camera, pose: Pose, n_body: int) -> FloatArray:
    """Vertices (2, V, 3) px, px and depth in m at both ends of the exposure, stickers a little nearer."""
    points_cam = camera.T_cam_lab.apply(pose.vertices_m)
    points = np.empty_like(points_cam)
    for i in range(2):
        project_points(read_only_floats(points_cam[i]), pack_lens(camera.intrinsics), points[i, :, :2])
    points[..., 2] = points_cam[..., 2]
    points[:, n_body:, 2] -= _STICKER_NEARER_M
    return points


def _expose_body(easel: Easel, runner: Runner, points: FloatArray, pose: Pose) -> FloatArray:
    """Draw the body, mean of all samples in place and time; returns what shows of the stickers, (37,)."""
    stage, layer, mesh = easel.stage, easel.layer, runner.dressed.mesh
    box = box_of(points.reshape(-1, 3), stage.camera.intrinsics.size_px, 2.0)
    sought = seek_landmarks(stage.camera, pose.landmarks_m, pose.normals, points.mean(axis=0))
    seen = np.zeros(pose.landmarks_m.shape[0])
    for number, shift in enumerate(SHIFTS_PX):
        share = (number + 0.5) / len(SHIFTS_PX)
        now = (1.0 - share) * points[0] + share * points[1]
        clear_layer(layer, stage.depth[number], box)
        draw_mesh(now, mesh.triangles, shift, layer, box)
        add_layer(layer, pose.light, mesh, box, easel.total, easel.hits)
        seen += see_landmarks(sought, now - [*shift, 0.0], layer.depth)
    lay_over(easel.total, easel.hits, len(SHIFTS_PX), easel.light, box)
    easel.touch(box)
    return seen / len(SHIFTS_PX)
