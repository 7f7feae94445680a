"""The whole main job in pictures: a board and a runner are filmed, the board calibrates, DeepLabCut finds landmarks.

Only the pictures are made up. From the video files on everything is what a lab does with its own: calibration from the
filmed board, import, landmarks by a model, reconstruction, angles, events, metrics, comparison. Rig, room,
light, body and clothes are drawn from numbers that no training picture was drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from calibration.align import WorldAxes
from labsys.core.board import Board
from labsys.core.cameras import Camera, CameraRig, Intrinsics
from labsys.core.progress import Progress
from labsys.core.rigid import look_at
from labsys.core.session import Conditions, Phase, Surface, TrialKind, TrialName
from labsys.storage.atomic import write_json_atomic, write_text_atomic
from labsys.storage.lab import Lab
from labsys.storage.models import StoredModel, copy_model, read_pack, verify_model
from labsys.storage.results import load_trial_result
from labsys.storage.takes import load_take
from pipelines.calibrating.files import store_calibration
from pipelines.calibrating.inputs import CalibrationRequest
from pipelines.calibrating.placement import LabRequest
from pipelines.calibrating.take import calibrate_take
from pipelines.config import PipelineConfig, Pose2dConfig
from pipelines.demonstration.settings import SUBJECT, VISITS, DemoSettings, DemoVisit, register_runner
from pipelines.dlc import open_configured, require_deeplabcut
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.pose2d import PoseEstimator, take_videos
from pipelines.run import run_trial
from pipelines.synthetic.pictures.board import WavedBoard
from pipelines.synthetic.pictures.draws import Draws, Split
from pipelines.synthetic.pictures.studio import Studio, cast_runner, make_studio
from pipelines.synthetic.pictures.take import FilmedTake, Filming, format_board, render_take
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from pipelines.synthetic.truth_document import truth_document

# The model that comes with labsys; docs/accuracy.md says how good it is.
SHIPPED_MODEL = Path(__file__).parent / "rendered37"
BOARD = Board(5, 4, 0.16, 0.12, "DICT_4X4_50")
CALIBRATION = "demo"
# The first camera stands beside the treadmill on a level tripod and looks straight across: that is how it is placed.
WORLD_AXES = "forward=+x,up=-y"
_BOARD_RATE_HZ = 15.0
_NEAR_S, _CARRIED_S = 5.0, 14.0
_LEVEL_HEIGHT_M = 0.95
# What fills a camera's picture at the runner: a tall runner in flight, and some room around.
_SCENE_HEIGHT_M = 2.5


@dataclass(frozen=True)
class _Place:
    """Where a camera may stand: degrees from ahead of the runner to the right, how far off that, and its height."""

    azimuth_deg: float
    give_deg: float
    height_m: tuple[float, float]


_PLACES = (
    _Place(90.0, 0.0, (_LEVEL_HEIGHT_M, _LEVEL_HEIGHT_M)),
    _Place(29.0, 2.0, (1.80, 1.95)),
    _Place(305.0, 4.0, (1.5, 1.9)),
    _Place(216.0, 5.0, (1.2, 1.9)),
    _Place(146.0, 8.0, (1.1, 1.9)),
)


@dataclass(frozen=True, eq=False)
class _Shoot:
    """A demonstration's lab and how it films."""

    lab: Lab
    settings: DemoSettings
    studio: Studio
    workplace: Path
    progress: Progress


def check_film(pack: Path = SHIPPED_MODEL) -> StoredModel:
    """The model pack to film a demonstration with, before anything is made.

    Raises:
        MissingPartError: DeepLabCut is not installed. InputError: the pack is damaged.
    """
    require_deeplabcut()
    stored = read_pack(pack)
    verify_model(stored)
    return stored


def film_demo(
    lab: Lab, settings: DemoSettings, pack: StoredModel, *, workplace: Path, progress: Progress
) -> tuple[DemoVisit, ...]:
    """Film, calibrate, import and process both visits; `workplace` is a new folder for what is filmed.

    Raises:
        InputError: settings that no runner can follow.
    """
    model = copy_model(lab, pack).name
    studio = make_studio(Split.DEMO, settings.seed, demo_rig(settings))
    shoot = _Shoot(lab, settings, studio, workplace, progress)
    calibration = _calibrate(shoot)
    register_runner(lab)
    config = PipelineConfig(pose2d=Pose2dConfig(model=model))
    visits = [_film_visit(shoot, phase, number, calibration) for number, phase in enumerate(VISITS)]
    look_at_all(lab, [name for visit in visits for name in (visit.static, visit.name)], config, progress)
    return tuple(_process_visit(shoot, visit, config) for visit in visits)


def demo_rig(settings: DemoSettings) -> CameraRig:
    """Cameras around the treadmill: the first one level and square to it, the others at places that differ by the seed.

    Every landmark has to show in two pictures, and the front of the pelvis shows in few: a thigh hides it from beside,
    and uprights, handles and console of the treadmill from ahead. So one camera looks in between console and upright,
    and one from the left, just where the left front still shows (docs/accuracy.md has what shows how often). Two stand
    behind for the spine, and no two neighbours are more than a quarter of a ring apart, as a board shows its face to
    one side.

    Raises:
        ValueError: `settings` that are not of a film: another number of cameras than there are places.
    """
    draws = Draws(Split.DEMO, settings.seed, "demo rig")
    places = zip(range(settings.n_cameras), _PLACES, strict=True)
    return CameraRig(tuple(_camera(number, place, draws, settings.size_px) for number, place in places))


def _camera(number: int, place: _Place, draws: Draws, size_px: tuple[int, int]) -> Camera:
    far = draws.between(2.9, 3.4)
    azimuth = math.radians(place.azimuth_deg + place.give_deg * draws.between(-1.0, 1.0))
    height = draws.between(*place.height_m)
    centre = np.array([far * math.cos(azimuth), height, far * math.sin(azimuth)])
    target = np.array([0.0, _LEVEL_HEIGHT_M if number == 0 else 0.92, 0.0])
    if number == 0:
        centre[0] = 0.0  # exactly: the cosine of a right angle is not quite nothing
    wide, high = size_px
    focal = high * float(np.linalg.norm(centre - target)) / _SCENE_HEIGHT_M * draws.between(0.98, 1.06)
    matrix = np.array([[focal, 0.0, (wide - 1) / 2 + 3.0], [0.0, focal, (high - 1) / 2 - 2.0], [0.0, 0.0, 1.0]])
    lens = Intrinsics(matrix, np.array([draws.between(-0.16, -0.06), 0.04, 0.0, 0.0, 0.0]), size_px)
    return Camera(f"cam{number}", lens, look_at(centre, target))


def _calibrate(shoot: _Shoot) -> Path:
    """Film the board, calibrate from its videos, keep the calibration in the lab; its file."""
    board = WavedBoard(
        BOARD, shoot.studio.belt, shoot.settings.seed, lying_s=0.0, near=shoot.studio.rig, near_s=_NEAR_S
    )
    seconds = _NEAR_S * shoot.settings.n_cameras + _CARRIED_S
    filming = Filming(rate_hz=_BOARD_RATE_HZ, seconds=seconds, exposure_s=0.001, seed=shoot.settings.seed)
    film = render_take(shoot.workplace / "board", shoot.studio, board, filming, progress=shoot.progress)
    board_file = shoot.workplace / "board.yaml"
    write_text_atomic(board_file, format_board(BOARD))
    request = CalibrationRequest(
        videos=_videos(film), board=BOARD, placing=LabRequest(source=WorldAxes.parse(WORLD_AXES))
    )
    out = shoot.workplace / "calibration"
    files = calibrate_take(request, out, progress=shoot.progress)
    if files.refusal is not None:
        raise files.refusal
    store_calibration(shoot.lab, files, label=CALIBRATION, made_from=request, board_file=board_file)
    return out / "calibration.toml"


@dataclass(frozen=True, eq=False)
class _FilmedVisit:
    """A visit whose takes are in the lab: its run and static trial, and what is true of the run."""

    phase: Phase
    name: TrialName
    static: TrialName
    truth: SyntheticTrial


def _film_visit(shoot: _Shoot, phase: Phase, number: int, calibration: Path) -> _FilmedVisit:
    name = TrialName(SUBJECT, VISITS[phase], "run1")
    static = TrialName(SUBJECT, VISITS[phase], "run1-static")
    visit = shoot.settings.visit(phase)
    standing, _ = _film(shoot, phase, number, TrialKind.STATIC, calibration)
    running, truth = _film(shoot, phase, number, TrialKind.RUN, calibration)
    conditions = Conditions(
        surface=Surface.TREADMILL, speed_mps=shoot.settings.speed_mps, incline_pct=0.0, footwear="demo shoe"
    )
    import_trial(shoot.lab, replace(standing, name=static, visit=visit), progress=shoot.progress)
    run = replace(running, name=name, visit=visit, conditions=conditions, static=static.trial)
    import_trial(shoot.lab, run, progress=shoot.progress)
    return _FilmedVisit(phase, name, static, truth)


def look_at_all(
    lab: Lab,
    trials: Sequence[TrialName],
    config: PipelineConfig,
    progress: Progress,
    *,
    open_model: Callable[[Lab, PipelineConfig], PoseEstimator] = open_configured,
) -> None:
    """Look at all videos of these trials in one go: processing finds the answers in the lab's cache.

    Loading a network takes as long as finding landmarks in hundreds of pictures, and each look at a trial loads it.
    """
    videos = [
        replace(video, camera=f"{trial.session} {trial.trial} {video.camera}")
        for trial in trials
        for video in take_videos(lab, trial, load_take(lab, trial))
    ]
    open_model(lab, config).estimate(videos, afresh=False, progress=_OneStage(progress))


@dataclass(frozen=True)
class _OneStage:
    """Progress of so many videos together."""

    shown: Progress

    def stage(self, name: str, total: int) -> None:
        self.shown.stage(name, total)

    def advance(self, steps: int = 1) -> None:
        self.shown.advance(steps)


def _process_visit(shoot: _Shoot, visit: _FilmedVisit, config: PipelineConfig) -> DemoVisit:
    run_trial(shoot.lab, visit.name, config=config, progress=shoot.progress)
    means = {(m.id, m.side): m.mean for m in visit.truth.metrics}
    return DemoVisit(visit.phase, visit.name, means, load_trial_result(shoot.lab, visit.name))


def _film(
    shoot: _Shoot, phase: Phase, number: int, kind: TrialKind, calibration: Path
) -> tuple[ImportRequest, SyntheticTrial]:
    """One trial of a visit: its videos as an import that has no name yet, and its truth."""
    settings, draws = shoot.settings, Draws(Split.DEMO, shoot.settings.seed, "demo")
    # One body in both visits, stickers placed anew in each.
    body, stickers = draws.body_seed(settings.seed), draws.body_seed(2 * settings.seed + number)
    seconds = settings.static_seconds if kind is TrialKind.STATIC else settings.seconds
    folder = shoot.workplace / f"{phase.value}-{kind.value}"
    runner = cast_runner(
        shoot.studio, settings.runner(phase), kind=kind, seconds=seconds, seed=body, visit_seed=stickers
    )
    film = render_take(
        folder,
        shoot.studio,
        runner,
        Filming(rate_hz=settings.rate_hz, seconds=seconds, seed=stickers),
        progress=shoot.progress,
    )
    truth = make_trial(
        settings.runner(phase), kind=kind, seconds=seconds, rate_hz=settings.rate_hz, seed=body, visit_seed=stickers
    )
    write_json_atomic(folder / "truth.json", truth_document(truth, what="pictures", noise=None))
    request = ImportRequest(
        name=TrialName(SUBJECT, VISITS[phase], "unnamed"),
        kind=kind,
        rate_hz=settings.rate_hz,
        videos=_videos(film),
        calibration=calibration,
        truth=folder / "truth.json",
    )
    return request, truth


def _videos(film: FilmedTake) -> dict[str, Path]:
    return {camera: film.folder / file.path for camera, file in film.take.cameras.items()}
