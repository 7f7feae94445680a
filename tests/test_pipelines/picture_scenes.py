"""Small stages for pictures: cameras where a test wants them, rooms that are empty, light that shows only stickers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labsys.core.cameras import Camera, CameraRig, Intrinsics, LensModel
from labsys.core.rigid import RigidTransform
from labsys.core.session import TrialKind
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.pictures.draws import Split
from pipelines.synthetic.pictures.raster import Mesh
from pipelines.synthetic.pictures.room import Room
from pipelines.synthetic.pictures.runner import Runner
from pipelines.synthetic.pictures.sensor import NOISELESS
from pipelines.synthetic.pictures.skin import STICKERS
from pipelines.synthetic.pictures.stage import Stage, set_stage
from pipelines.synthetic.pictures.studio import Studio, cast_runner, make_studio, with_sensor
from pipelines.synthetic.pictures.tailor import RIM
from pipelines.synthetic.pictures.wardrobe import Part

SIZE = (480, 360)


def place_camera(
    name: str,
    centre_m: tuple[float, float, float],
    target_m: tuple[float, float, float],
    *,
    focal_px: float = 420.0,
    size_px: tuple[int, int] = SIZE,
    distortion: tuple[float, ...] = (-0.2, 0.05, 0.0005, -0.0003, 0.0),
    model: LensModel = LensModel.PINHOLE,
) -> Camera:
    """A camera at `centre` that looks at `target`; straight down it has X to its right."""
    z = np.subtract(target_m, centre_m) / np.linalg.norm(np.subtract(target_m, centre_m))
    x = np.array([1.0, 0.0, 0.0]) if abs(z[1]) > 0.99 else np.cross(z, [0.0, 1.0, 0.0])
    x /= np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    matrix = np.array([[focal_px, 0, (size_px[0] - 1) / 2], [0, focal_px, (size_px[1] - 1) / 2], [0, 0, 1.0]])
    lens = Intrinsics(matrix, np.array(distortion), size_px, model)
    return Camera(name, lens, RigidTransform(R, -R @ np.array(centre_m)))


def make_rig() -> CameraRig:
    """Four small cameras round the treadmill."""
    places = [(2.4, 1.2, 2.0), (-2.2, 1.7, 2.1), (-2.5, 1.1, -1.9), (2.1, 1.8, -2.3)]
    return CameraRig(tuple(place_camera(f"cam{i}", p, (0.0, 0.85, 0.0)) for i, p in enumerate(places)))


def make_quiet_studio(rig: CameraRig, *, seed: int = 5) -> Studio:
    """A studio whose cameras are perfect and whose room has nothing but the treadmill's belt."""
    studio = with_sensor(make_studio(Split.TRAINING, seed, rig), NOISELESS)
    shell, floor, belt = studio.room.boxes[:3]
    return replace(studio, room=Room((shell, floor, belt), ()))


def make_black_stage(camera: Camera, studio: Studio) -> Stage:
    """A stage on which nothing but what moves can be seen."""
    alone = replace(studio, rig=CameraRig((camera,)), sensors=studio.sensors[:1])
    stage = set_stage(camera, alone.room, alone.light, NOISELESS)
    nothing = np.zeros_like(stage.still)
    return replace(stage, still=nothing, depth=np.full_like(stage.depth, 1e6), belt=stage.belt[:0])


def make_runner(studio: Studio, *, seconds: float = 3.0, kind: TrialKind = TrialKind.RUN) -> Runner:
    return cast_runner(studio, RunnerParameters(speed_mps=3.4), kind=kind, seconds=seconds)


def show_only_stickers(runner: Runner, names: tuple[str, ...] = STICKERS) -> Runner:
    """The same runner in black, with white stickers, all or some of them."""
    mesh = runner.dressed.mesh
    atlas = np.zeros_like(mesh.atlas)
    atlas[Part.STICKER] = 1.0
    shown = np.repeat([name in names for name in STICKERS], RIM)
    tile = np.concatenate([mesh.tile[: -len(shown)], np.where(shown, Part.STICKER, 0)]).astype(np.int32)
    black = Mesh(mesh.triangles, mesh.texels, tile, atlas)
    return replace(runner, dressed=replace(runner.dressed, mesh=black))
