"""A take on disk as a recorder leaves it, filmed in the synthetic lab, with its truth in a folder beside.

FOLDER/take.json                 what there is, with hashes (`labsys.storage.takes.Take`)
FOLDER/raw/CAMERA.mkv            MJPEG in Matroska, one packet per picture, as captured
FOLDER/files/timestamps.csv      cam_id,frame_time,frame: what the computer's clock said of every picture
FOLDER/files/board.yaml          where a board was filmed
FOLDER/truth/CAMERA.h5           where every landmark, or every corner of the board, was in every picture (DeepLabCut's
                                 layout); likelihood is the share of the sticker that shows, 1 for a
                                 corner in the picture, and 0.001 for what does not show
FOLDER/truth/times.csv           when every picture was really taken (middle of the exposure)
FOLDER/truth/calibration.toml    the cameras
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration.formats import write_anipose
from calibration.processors import one_opencv_thread
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.core.errors import InputError
from labsys.core.progress import Progress, SilentProgress, begin_cameras
from labsys.core.skeleton import LABSYS_RUN_37
from labsys.storage.atomic import hash_file, write_text_atomic
from labsys.storage.documents import save_document
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.takes import CameraFile, Take, TakeFile
from labsys.storage.video import probe_video, write_jpeg_video
from pipelines.synthetic.pictures.board import WavedBoard, shoot_board
from pipelines.synthetic.pictures.film import shoot_runner
from pipelines.synthetic.pictures.runner import Runner
from pipelines.synthetic.pictures.sensor import Picture, burn_counter
from pipelines.synthetic.pictures.studio import Studio
from pipelines.synthetic.rigs import ClockModel, exact_calibration, free_running_times, stamp_frames

_SOURCE = "synthetic"
HIDDEN = 0.001  # likelihood of a point that does not show; at 0 its place would be lost in the file


@dataclass(frozen=True)
class Filming:
    """How a take is filmed.

    Attributes:
        clock: how cameras run that are not triggered; None triggers them together.
        exposure_s: length of an exposure. quality: of the JPEG pictures, 1 to 100.
        counter: burn the number of every picture into its upper left corner.
        seed: of noise and clocks.
    """

    rate_hz: float
    seconds: float
    clock: ClockModel | None = None
    exposure_s: float = 0.002
    quality: int = 90
    counter: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.rate_hz > 0 and self.seconds > 0):
            raise InputError(f"a take of {self.seconds:g} s at {self.rate_hz:g} Hz has no pictures")
        if not 0 < self.exposure_s < 1.0 / self.rate_hz:
            raise InputError(
                f"an exposure of {1000 * self.exposure_s:g} ms does not fit into {self.rate_hz:g} pictures a second"
            )


@dataclass(frozen=True, eq=False)
class FilmedTake:
    """A take and its truth.

    Attributes:
        times_s: camera -> (T,) s, when its pictures were really taken. stamps_s: what their timestamps say.
        tracks: camera -> true places of landmarks or corners; confidence is the share that shows.
    """

    folder: Path
    take: Take
    times_s: dict[str, FloatArray]
    stamps_s: dict[str, FloatArray]
    tracks: dict[str, CameraTrack]


def render_take(
    folder: Path, studio: Studio, actor: Runner | WavedBoard, filming: Filming, *, progress: Progress | None = None
) -> FilmedTake:
    """Film a runner or a board with every camera of a studio and write the take with its truth.

    The same arguments give the same pictures. Cameras are filmed side by side on all cores.

    Raises:
        InputError: the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not an empty folder", where=str(folder), remedy="Name a new folder")
    for part in ("raw", "files", "truth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = studio.rig.names
    times, stamps = plan_times(len(names), filming)
    totals = {name: own.size for name, own in zip(names, times, strict=True)}
    shown = begin_cameras(progress or SilentProgress(), "film", totals)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool, one_opencv_thread():
        jobs = [
            pool.submit(_film_camera, folder, studio, actor, filming, i, own, shown[names[i]])
            for i, own in enumerate(times)
        ]
        tracks = {name: job.result() for name, job in zip(names, jobs, strict=True)}
    own_times, own_stamps = dict(zip(names, times, strict=True)), dict(zip(names, stamps, strict=True))
    board = actor.board if isinstance(actor, WavedBoard) else None
    _write_truth(folder / "truth", studio, own_times, tracks)
    take = _write_take(folder, filming, own_stamps, board)
    return FilmedTake(folder, take, own_times, own_stamps, tracks)


def plan_times(n_cameras: int, filming: Filming) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """When every camera takes its pictures, and what their timestamps say, s."""
    if filming.clock is None:
        grid = np.arange(round(filming.seconds * filming.rate_hz)) / filming.rate_hz
        return (grid,) * n_cameras, (grid,) * n_cameras
    times = free_running_times(
        n_cameras, seconds=filming.seconds, rate_hz=filming.rate_hz, clock=filming.clock, seed=filming.seed
    )
    return times, stamp_frames(times, filming.clock, filming.seed)


def _film_camera(
    folder: Path,
    studio: Studio,
    actor: Runner | WavedBoard,
    filming: Filming,
    number: int,
    times_s: FloatArray,
    progress: Progress,
) -> CameraTrack:
    """Film one camera into its video; returns what is true of its pictures."""
    camera = studio.rig.cameras[number]
    xy: list[FloatArray] = []
    seen: list[FloatArray] = []

    def pictures() -> Iterator[bytes]:
        for count, (picture, where, shows) in enumerate(_shoot(studio, actor, filming, number, times_s)):
            xy.append(where)
            seen.append(shows)
            if filming.counter:
                burn_counter(picture, count)
            yield _as_jpeg(picture, filming.quality)
            progress.advance()

    path = folder / "raw" / f"{camera.name}.mkv"
    size_px = camera.intrinsics.size_px
    write_jpeg_video(path, pictures(), times_s.tolist(), size_px=size_px, rate_hz=filming.rate_hz)
    names = LABSYS_RUN_37.landmarks if isinstance(actor, Runner) else _corner_names(actor.board)
    return CameraTrack(names, np.stack(xy), np.maximum(np.stack(seen), HIDDEN), source=_SOURCE)


def _shoot(
    studio: Studio, actor: Runner | WavedBoard, filming: Filming, number: int, times_s: FloatArray
) -> Iterator[tuple[Picture, FloatArray, FloatArray]]:
    """Pictures, true places (N, 2) px and shares that show (N,)."""
    stage, seed = studio.stage(number), 1000 * filming.seed + number
    if isinstance(actor, Runner):
        for shot in shoot_runner(stage, actor, times_s, exposure_s=filming.exposure_s, seed=seed):
            yield shot.picture, shot.xy_px, shot.seen
        return
    width, height = stage.camera.intrinsics.size_px
    for taken in shoot_board(stage, actor, times_s, exposure_s=filming.exposure_s, seed=seed):
        with np.errstate(invalid="ignore"):
            inside = (taken.corners_px >= 0).all(axis=1) & (taken.corners_px <= [width - 1, height - 1]).all(axis=1)
        yield taken.picture, taken.corners_px, np.where(inside, 1.0, 0.0)


def _corner_names(board: Board) -> tuple[str, ...]:
    return tuple(f"corner{i}" for i in range(board.n_corners))


def _as_jpeg(picture: Picture, quality: int) -> bytes:
    swapped = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", swapped, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data.tobytes())


def _write_truth(folder: Path, studio: Studio, times_s: dict[str, FloatArray], tracks: dict[str, CameraTrack]) -> None:
    for camera, track in tracks.items():
        write_dlc_h5(folder / f"{camera}.h5", track, scorer=_SOURCE)
    write_anipose(folder / "calibration.toml", exact_calibration(studio.rig))
    write_text_atomic(folder / "times.csv", _as_csv(times_s.items()))


def _as_csv(rows: Iterable[tuple[str, FloatArray]]) -> str:
    lines = [f"{camera},{moment:.9f},{i}" for camera, own in rows for i, moment in enumerate(own)]
    return "\n".join(["cam_id,frame_time,frame", *lines, ""])


def _write_take(folder: Path, filming: Filming, stamps_s: dict[str, FloatArray], board: Board | None) -> Take:
    files = {"timestamps": "files/timestamps.csv"}
    write_text_atomic(folder / files["timestamps"], _as_csv(stamps_s.items()))
    if board is not None:
        files["board"] = "files/board.yaml"
        write_text_atomic(folder / files["board"], format_board(board))
    take = Take(
        rate_hz=filming.rate_hz,
        cameras={name: _camera_file(folder, f"raw/{name}.mkv") for name in stamps_s},
        files={role: TakeFile(path, hash_file(folder / path)) for role, path in files.items()},
        source="filmed in the synthetic lab",
    )
    save_document(folder / "take.json", take)
    return take


def _camera_file(folder: Path, path: str) -> CameraFile:
    info = probe_video(folder / path)
    return CameraFile(path, hash_file(folder / path), info.size_px, info.n_frames, info.rate_hz)


def format_board(board: Board) -> str:
    """A board file as people write it."""
    flags = {n: getattr(board, n) for n in ("inverted", "legacy_pattern", "mirrored_back")}
    lines = ["kind: charuco", f"columns: {board.columns}", f"rows: {board.rows}", f"square_m: {board.square_m}"]
    lines += [f"marker_m: {board.marker_m}", f"dictionary: {board.dictionary}"]
    return "\n".join([*lines, *(f"{n}: {str(v).lower()}" for n, v in flags.items()), ""])
