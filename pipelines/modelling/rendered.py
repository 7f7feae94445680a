"""Labelled pictures of rendered runners: a DeepLabCut project like any other, with true labels of what shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from calibration.formats import write_anipose
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.core.session import TrialKind
from labsys.core.skeleton import LABSYS_RUN_37
from labsys.storage.atomic import make_folder
from labsys.storage.exchange.dlc_project import DlcProject, Labels, create_dlc_project, write_labels
from pipelines.modelling.project import Capture, ProjectNotes, calibration_file, group_name, picture_name, save_notes
from pipelines.pose.stills import write_picture
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.pictures.draws import Draws, Split
from pipelines.synthetic.pictures.film import Shot, shoot_runner
from pipelines.synthetic.pictures.runner import Runner
from pipelines.synthetic.pictures.stage import SHIFTS_PX, Stage
from pipelines.synthetic.pictures.studio import Studio, cast_runner, draw_rig, draw_runner, make_studio

SCORER = "labsys"
_SHOWS = 0.5  # share of a sticker that must show for it to be labelled
_SECONDS = 6.0
# Most people run; some stand for the static trial, some move on the spot for the functional one.
_KINDS = (*(TrialKind.RUN,) * 8, TrialKind.STATIC, TrialKind.OTHER)
# A room with grain in its soft shadows is as good to learn from, and sooner done.
_ROOM_SAMPLES = len(SHIFTS_PX)
_SIZES_PX = ((640, 480), (640, 480), (960, 720))


@dataclass(frozen=True)
class RenderedSet:
    """What is rendered: labs differ in rig, room, light and sensors, people in body, clothes, stickers and gait.

    Attributes:
        split: pictures of one split share no rig, light or look with those of another.
        n_labs, n_people: labs, and people in each. n_moments: pictures of each person by every camera.
        seed: of the first lab; labs have one seed each, counted on. held_out: mark all as not for training.
    """

    split: Split = Split.TRAINING
    n_labs: int = 60
    n_people: int = 4
    n_cameras: int = 4
    n_moments: int = 8
    seed: int = 0
    held_out: bool = False

    def __post_init__(self) -> None:
        if min(self.n_labs, self.n_people, self.n_cameras, self.n_moments) < 1:
            raise InputError("a rendered set needs a lab, a person, a camera and a moment")


def render_project(folder: Path, what: RenderedSet, *, date: str, workers: int, progress: Progress) -> DlcProject:
    """Render a project of labelled pictures; the same arguments give the same pictures.

    Stickers that do not show, or less than half, are not labelled: a network must not learn to guess them.

    Raises:
        InputError: the folder holds something.
    """
    project = DlcProject(folder, "rendered-runners", SCORER, LABSYS_RUN_37.landmarks, LABSYS_RUN_37.bones)
    create_dlc_project(project, {}, date=date)
    make_folder(folder / "calibrations")
    seeds = range(what.seed, what.seed + what.n_labs)
    progress.stage("render labs", what.n_labs)
    captures: dict[str, Capture] = {}
    with ProcessPoolExecutor(workers) as pool:
        for rendered in pool.map(partial(_render_lab, project, what), seeds):
            captures |= rendered
            progress.advance()
    made = {"kind": "rendered", **{name: str(getattr(what, name)) for name in what.__dataclass_fields__}}
    save_notes(project, ProjectNotes(captures, {**made, "split": what.split.name.lower()}))
    return project


def _render_lab(project: DlcProject, what: RenderedSet, seed: int) -> dict[str, Capture]:
    draws = Draws(what.split, seed, "rendered set")
    size_px = draws.choose(_SIZES_PX)
    studio = make_studio(what.split, seed, draw_rig(what.split, seed, what.n_cameras, size_px=size_px))
    stages = [studio.stage(i, samples=_ROOM_SAMPLES) for i in range(what.n_cameras)]
    return dict(_render_person(project, what, studio, stages, person) for person in range(what.n_people))


def _render_person(
    project: DlcProject, what: RenderedSet, studio: Studio, stages: Sequence[Stage], person: int
) -> tuple[str, Capture]:
    own = 1000 * studio.seed + person  # of looks, bodies and gaits; labs have seeds of their own
    draws = Draws(what.split, own, "rendered person")
    runner = _cast(studio, draws.choose(_KINDS), own)
    moments = np.sort([draws.between(0.3, _SECONDS - 0.3) for _ in range(what.n_moments)])
    exposure_s, quality = draws.between(0.0008, 0.004), round(draws.between(75, 96))
    name = f"lab{studio.seed:04d}p{person}"
    cameras = {camera: group_name(name, camera) for camera in studio.rig.names}
    for number, group in enumerate(cameras.values()):
        shots = shoot_runner(stages[number], runner, moments, exposure_s=exposure_s, seed=100 * own + number)
        make_folder(project.pictures(group))
        pictures, xy = zip(*_write_shots(project.pictures(group), shots, quality), strict=True)
        write_labels(project, group, Labels(pictures, np.stack(xy)))
    write_anipose(calibration_file(project, name), Calibration(studio.rig, source="synthetic", grade="A"))
    frames = {camera: tuple(range(what.n_moments)) for camera in cameras}
    return name, Capture(cameras, frames, f"rendered, {runner.kind.value}", calibrated=True, held_out=what.held_out)


def _cast(studio: Studio, kind: TrialKind, seed: int) -> Runner:
    drawn = draw_runner(studio.split, seed)
    parameters = drawn if kind is TrialKind.RUN else RunnerParameters(height_m=drawn.height_m)
    body = 2 * seed + studio.split.parity
    return cast_runner(studio, parameters, kind=kind, seconds=_SECONDS, seed=body, visit_seed=body, look_seed=seed)


def _write_shots(folder: Path, shots: Iterator[Shot], quality: int) -> Iterator[tuple[str, np.ndarray]]:
    """Write pictures as a recorder's JPEG; names, and places of what shows (K, 2) px."""
    for moment, shot in enumerate(shots):
        name = picture_name(moment, ".jpg")
        height, width = shot.picture.shape[:2]
        write_picture(folder / name, shot.picture, quality=quality)
        inside = ((shot.xy_px >= 0) & (shot.xy_px <= [width - 1, height - 1])).all(axis=1)
        yield name, np.where((inside & (shot.seen >= _SHOWS))[:, None], shot.xy_px, np.nan)
