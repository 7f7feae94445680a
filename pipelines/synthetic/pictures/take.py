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

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration.formats import write_anipose
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.core.errors import InputError
from labsys.core.progress import Progress, SilentProgress, begin_cameras
from labsys.core.skeleton import LABSYS_RUN_37
from labsys.storage.atomic import hash_file, write_text_atomic
from labsys.storage.documents import save_document
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.takes import CameraFile, Take, TakeFile
from labsys.storage.video import probe_video
from pipelines.synthetic.pictures.board import BoardScene, WavedBoard
from pipelines.synthetic.pictures.film import RunnerScene
from pipelines.synthetic.pictures.runner import Runner
from pipelines.synthetic.pictures.sensor import Picture, burn_counter
from pipelines.synthetic.pictures.shooting import Scene, plan_moments, shoot
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

    The same arguments give the same pictures, on however many cores.

    Raises:
        InputError: the folder holds something, or a video cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not an empty folder", where=str(folder), remedy="Name a new folder")
    for part in ("raw", "files", "truth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = studio.rig.names
    times, stamps = plan_times(len(names), filming)
    tracks = _film(folder, studio, actor, filming, times, progress or SilentProgress())
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


def _film(
    folder: Path,
    studio: Studio,
    actor: Runner | WavedBoard,
    filming: Filming,
    times_s: Sequence[FloatArray],
    progress: Progress,
) -> dict[str, CameraTrack]:
    """Film all cameras into their videos; what is true of their pictures, by camera."""
    names, moments = studio.rig.names, plan_moments(times_s)
    shown = begin_cameras(progress, "film", {name: own.size for name, own in zip(names, times_s, strict=True)})
    light = studio.stage(0).light
    scene: Scene
    if isinstance(actor, Runner):
        scene, points = RunnerScene(actor, light, moments.times_s, filming.exposure_s), LABSYS_RUN_37.landmarks
    else:
        scene, points = BoardScene(actor, light, moments.times_s, filming.exposure_s), _corner_names(actor.board)
    xy = [np.full((own.size, len(points), 2), np.nan) for own in times_s]
    seen = [np.zeros((own.size, len(points))) for own in times_s]

    def develop(picture: Picture, number: int) -> bytes:
        if filming.counter:
            burn_counter(picture, number)
        return _as_jpeg(picture, filming.quality)

    with _open_videos(folder, studio, filming.rate_hz) as videos:
        for taken in shoot(studio, scene, moments, seed=filming.seed, develop=develop):
            camera, number = taken.camera, taken.picture
            videos[camera].write(taken.developed, float(times_s[camera][number] - times_s[camera][0]))
            xy[camera][number], seen[camera][number] = taken.xy_px, taken.seen
            shown[names[camera]].advance()
    return {
        name: CameraTrack(points, xy[i], np.maximum(seen[i], HIDDEN), source=_SOURCE) for i, name in enumerate(names)
    }


@contextmanager
def _open_videos(folder: Path, studio: Studio, rate_hz: float) -> Iterator[list[JpegVideo]]:
    """A video for every camera, closed in the end (InputError: one cannot be written)."""
    try:
        with ExitStack() as open_videos:
            yield [
                open_videos.enter_context(
                    closing(JpegVideo(folder / "raw" / f"{c.name}.mkv", size_px=c.intrinsics.size_px, rate_hz=rate_hz))
                )
                for c in studio.rig.cameras
            ]
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=str(folder / "raw")) from error


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
