"""Pictures of a runner, one after the other, as one camera takes them, each with what is true of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calibration.projection import project
from labsys.core.arrays import BoolArray, FloatArray
from pipelines.synthetic.pictures.belt import lay_belt
from pipelines.synthetic.pictures.light import shade_vertices
from pipelines.synthetic.pictures.raster import (
    Floats32,
    Layer,
    add_layer,
    box_of,
    clear_layer,
    draw_mesh,
    make_layer,
)
from pipelines.synthetic.pictures.runner import Motion, Runner, follow
from pipelines.synthetic.pictures.sensor import Picture, develop, make_curve
from pipelines.synthetic.pictures.shadows import dim_ground, lay_on_belt, light_left, light_vertices, see_from_lamp
from pipelines.synthetic.pictures.skin import STICKERS, pose_skin, vertex_normals
from pipelines.synthetic.pictures.stage import SHIFTS_PX, Stage
from pipelines.synthetic.pictures.tailor import lay_stickers
from pipelines.synthetic.pictures.visibility import see_landmarks

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
    """The runner's surface in one exposure: vertices (2, V, 3) m at its beginning and end, normals (V, 3), and light
    (V, 3), body first, stickers behind; landmarks_m (37, 3) in the middle."""

    vertices_m: FloatArray
    normals: FloatArray
    light: FloatArray
    landmarks_m: FloatArray
    lamp_depth: FloatArray


def pose_runner(runner: Runner, stage: Stage, motion: Motion, number: int) -> Pose:
    """The runner in the room's light during one exposure of a film."""
    skin, bare = runner.dressed.skin, runner.dressed.bare
    R, origins, landmarks = motion.rotations[number], motion.origins_m[number], motion.landmarks_m[number]
    bodies = np.stack([pose_skin(skin, R[i], origins[i], landmarks[i]) for i in range(2)])
    body = bodies.mean(axis=0)
    normals = np.empty_like(body)
    vertex_normals(body, bare, normals)
    thrown = lay_on_belt(body, stage.light.panel_m)
    lamp_depth = see_from_lamp(thrown, bare)
    lit, light = np.empty(len(body)), np.empty_like(body)
    light_vertices(thrown, lamp_depth, lit)
    shade_vertices(body, normals, lit, stage.light, light)
    facing = normals[skin.anchor]
    stickers = np.stack([lay_stickers(runner.dressed, bodies[i][skin.anchor], facing) for i in range(2)])
    per_disc = stickers.shape[1] // len(STICKERS)
    return Pose(
        np.concatenate([bodies, stickers], axis=1),
        np.concatenate([normals, np.repeat(facing, per_disc, axis=0)]),
        np.concatenate([light, np.repeat(light[skin.anchor], per_disc, axis=0)]),
        landmarks.mean(axis=0),
        lamp_depth,
    )


def shoot_runner(stage: Stage, runner: Runner, times_s: FloatArray, *, exposure_s: float, seed: int) -> Iterator[Shot]:
    """The pictures that one camera takes at these moments (middles of its exposures)."""
    curve, texture = make_curve(), runner.belt_texture
    size = stage.camera.intrinsics.size_px
    layer, total = make_layer(size), np.zeros_like(stage.still)
    motion = follow(runner, np.asarray(times_s), exposure_s)
    for number, moment in enumerate(motion.times_s):
        pose = pose_runner(runner, stage, motion, number)
        ground = stage.still.copy()
        lay_ground(
            stage, texture, ground, pose.lamp_depth, runner.belt_mps * float(moment), runner.belt_mps * exposure_s
        )
        points = _project(stage, pose, len(runner.dressed.skin.rest_m))
        seen = _expose_body(stage, runner, points, pose, (layer, total), ground)
        picture = develop(ground, stage.sensor, stage.falloff, curve, seed=picture_seed(seed, number))
        yield Shot(picture, float(moment), project(stage.camera, pose.landmarks_m), seen)


def picture_seed(seed: int, number: int) -> int:
    """A seed for the noise of one picture."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def lay_ground(
    stage: Stage,
    texture: Floats32,
    ground: Floats32,
    lamp_depth: FloatArray,
    travel_m: float,
    blur_m: float,
) -> None:
    """Add belt and shadow to a picture of what stands still."""
    left = light_left(lamp_depth, stage.ground_map, stage.ground_share)
    dim_ground(stage.ground, left, ground)
    lay_belt(stage.belt, texture, travel_m, blur_m, left, ground)


def _project(stage: Stage, pose: Pose, n_body: int) -> FloatArray:
    """Vertices (2, V, 3) px, px and depth in m at both ends of the exposure, stickers a little nearer."""
    camera = stage.camera
    depth = camera.T_cam_lab.apply(pose.vertices_m)[..., 2:]
    points = np.concatenate([project(camera, pose.vertices_m), depth], axis=-1)
    points[:, n_body:, 2] -= _STICKER_NEARER_M
    return points


def _expose_body(
    stage: Stage, runner: Runner, points: FloatArray, pose: Pose, sheets: tuple[Layer, Floats32], ground: Floats32
) -> FloatArray:
    """Draw the body into `ground`, mean of all samples in place and time; returns what shows of the stickers, (37,)."""
    layer, total = sheets
    box = box_of(points.reshape(-1, 3), stage.camera.intrinsics.size_px, 2.0)
    left, top, right, bottom = box
    total[top:bottom, left:right] = 0.0
    seen = np.zeros(pose.landmarks_m.shape[0])
    for number, shift in enumerate(SHIFTS_PX):
        share = (number + 0.5) / len(SHIFTS_PX)
        now = (1.0 - share) * points[0] + share * points[1]
        clear_layer(layer, stage.depth[number], box)
        draw_mesh(now, pose.light, runner.dressed.mesh, shift, layer, box)
        add_layer(total, layer, ground, box)
        seen += see_landmarks(stage.camera, pose.landmarks_m, pose.normals, now - [*shift, 0.0], layer.depth)
    ground[top:bottom, left:right] = total[top:bottom, left:right] / len(SHIFTS_PX)
    return seen / len(SHIFTS_PX)
