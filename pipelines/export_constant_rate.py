"""A take's videos at one even rate for other programs: frame i of every camera is the same moment.

Where a camera has no frame for a moment, the nearest is repeated and listed. Such files are for playback and for tools
that need them; labsys reads none of them: a repeated frame is no measurement.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray, IntArray
from labsys.core.errors import InputError, LabsysError
from labsys.core.frame_clock import fit_clock
from labsys.core.session import TrialName
from labsys.storage.atomic import write_json_atomic
from labsys.storage.films import BlurredFaces, Faces
from labsys.storage.lab import Lab, take_folder
from labsys.storage.runs import current_run
from labsys.storage.takes import CameraFile, Take, load_take, require_videos
from labsys.storage.video import read_packets, write_constant_rate
from pipelines.export_trial import make_new_folder
from pipelines.playback.faces_told import tell_blurred
from pipelines.playback.film import count_blurred
from pipelines.playback.find_heads import find_heads
from pipelines.playback.heads import Heads, unknown_heads
from pipelines.playback.recoding import recode_blurred
from pipelines.playback.sources import read_sources
from pipelines.retiming.stamps import TIMESTAMPS, read_stamps

README = "README.json"
_NEAR = 0.5  # of a period: a frame further off stands for another moment


@dataclass(frozen=True, eq=False)
class EvenFrames:
    """One camera's frames on an even grid. rows: (N,) which frame stands for each moment; repeated: (N,) no own one."""

    rows: IntArray
    repeated: BoolArray


def export_constant_rate(
    lab: Lab, name: TrialName, out: Path, *, run: str | None = None, faces: Faces = Faces.SHOWN
) -> tuple[Path, ...]:
    """CAMERA.mp4 of a take, as many frames for every camera, and README.json that lists repeated frames.

    Blurred faces are looked for by the landmarks of the run that counts; README.json lists frames where none was found.

    Raises:
        InputError: no take, no videos, videos that are not of single JPEG pictures or not as they were recorded, or
            cameras that share no time; it is no matter of a run, so `run` must not be given. Faces are to be blurred,
            and the trial was not processed.
    """
    if run is not None:
        raise InputError("videos belong to no run", remedy="Leave --run out")
    take = load_take(lab, name)
    if not take.cameras:
        raise InputError(f"trial {name} has no videos", remedy="Export its 3D landmarks as trc or csv")
    require_videos(lab, name)
    times_s, rate_hz = _frame_times(lab, name, take)
    even = lay_on_grid(times_s, rate_hz=rate_hz)
    for camera, file in take.cameras.items():
        _require_jpeg(take_folder(lab, name) / file.path, camera)
    heads = _heads_to_blur(lab, name, take) if faces is Faces.BLURRED else {}
    make_new_folder(out)
    written = tuple(out / f"{camera}.mp4" for camera in take.cameras)
    try:
        for path, (camera, file) in zip(written, take.cameras.items(), strict=True):
            _write_even(path, take_folder(lab, name) / file.path, even[camera].rows, file, rate_hz, heads.get(camera))
    except LabsysError:
        for path in written:
            path.unlink(missing_ok=True)  # half a set of videos looks like a whole one
        raise
    write_json_atomic(out / README, _describe(name, even, rate_hz, heads))
    return (*written, out / README)


def _heads_to_blur(lab: Lab, name: TrialName, take: Take) -> dict[str, Heads]:
    """Camera -> what is to be blurred. Of a camera whose landmarks are not known, everything."""
    run = current_run(lab, name)
    if run is None:
        raise InputError(
            f"where the runner's head is in trial {name} is not known before it is processed",
            remedy=f"Run 'labsys process {name}' first, or export without --blur-faces",
        )
    sources, _ = read_sources(lab, name, run)
    unknown = {camera: unknown_heads(file.n_frames) for camera, file in take.cameras.items()}
    return unknown | find_heads(lab, name, run, sources)


def lay_on_grid(times_s: Mapping[str, FloatArray], *, rate_hz: float) -> dict[str, EvenFrames]:
    """Which frame of each camera stands for each moment from the latest first frame to the earliest last one.

    Args:
        times_s: camera -> (T,) s of every frame, rising; NaN where a frame is no measurement.

    Raises:
        InputError: the cameras share no time.
    """
    begin_s = max(float(np.nanmin(t)) for t in times_s.values())
    end_s = min(float(np.nanmax(t)) for t in times_s.values())
    if end_s < begin_s:
        raise InputError("the cameras have no moment in common")
    grid_s = begin_s + np.arange(int((end_s - begin_s) * rate_hz + 1e-6) + 1) / rate_hz
    return {camera: _nearest(t, grid_s, _NEAR / rate_hz) for camera, t in times_s.items()}


def _nearest(times_s: FloatArray, grid_s: FloatArray, near_s: float) -> EvenFrames:
    known = np.flatnonzero(np.isfinite(times_s))
    middles_s = (times_s[known][1:] + times_s[known][:-1]) / 2
    rows = known[np.searchsorted(middles_s, grid_s)]
    near = np.flatnonzero(np.abs(times_s[rows] - grid_s) <= near_s * (1 + 1e-6))
    repeated = np.ones(rows.size, dtype=np.bool_)
    repeated[near[np.unique(rows[near], return_index=True)[1]]] = False
    return EvenFrames(rows, repeated)


def _frame_times(lab: Lab, name: TrialName, take: Take) -> tuple[dict[str, FloatArray], float]:
    file = take.files.get(TIMESTAMPS)
    if file is None:
        return {c: np.arange(f.n_frames) / take.rate_hz for c, f in take.cameras.items()}, take.rate_hz
    times_s, periods_s = dict[str, FloatArray](), list[float]()
    for camera, stamps in read_stamps(take_folder(lab, name) / file.path, take.cameras).items():
        clock = fit_clock(stamps, where=f"timestamps of camera {camera}")
        times_s[camera] = np.where(clock.measured, clock.times_s, np.nan)
        periods_s.append(clock.period_s)
    return times_s, 1.0 / float(np.median(periods_s))


def _require_jpeg(path: Path, camera: str) -> None:
    if not next(read_packets(path), b"").startswith(b"\xff\xd8"):
        raise InputError(
            f"the video of {camera} is no Motion JPEG, which alone is exported",
            where=str(path),
            remedy="Use it as it is",
        )


def _write_even(
    path: Path, source: Path, rows: IntArray, file: CameraFile, rate_hz: float, heads: Heads | None
) -> None:
    differs = partial(_differs, path.stem, source)
    recorded = read_packets(source)
    pictures = _repeat(recorded if heads is None else recode_blurred(recorded, heads), rows, differs)
    count = write_constant_rate(path, pictures, size_px=file.size_px, rate_hz=rate_hz)
    if count != rows.size:
        raise differs(f"it ends after {count} of {rows.size} pictures")


def _differs(camera: str, source: Path, how: str) -> InputError:
    return InputError(
        f"the video of {camera} is not as it was recorded: {how}",
        where=str(source),
        remedy="Restore it from a backup",
    )


def _repeat(pictures: Iterator[bytes], rows: IntArray, differs: Callable[[str], InputError]) -> Iterator[bytes]:
    """The pictures of these rows, which never fall; one in memory at a time."""
    wanted = itertools.groupby(rows.tolist())
    row, times = next(wanted)
    for number, picture in enumerate(pictures):
        if number == row:
            if not picture:
                raise differs(f"its picture {number} is damaged")
            yield from (picture for _ in times)
            row, times = next(wanted, (-1, iter(())))


def _describe(
    name: TrialName, even: Mapping[str, EvenFrames], rate_hz: float, heads: Mapping[str, Heads]
) -> dict[str, object]:
    n_frames = next(iter(even.values())).rows.size
    cameras = {
        camera: {
            "file": f"{camera}.mp4",
            "repeated": np.flatnonzero(frames.repeated).tolist(),
            "most_in_a_row": max(
                (sum(1 for _ in g) for there, g in itertools.groupby(frames.repeated) if there), default=0
            ),
            **(_describe_blurred(heads[camera], frames.rows) if camera in heads else {}),
        }
        for camera, frames in even.items()
    }
    told = {"trial": str(name), "rate_hz": rate_hz, "n_frames": n_frames, "cameras": cameras}
    return told | ({"faces": _describe_all(heads, even)} if heads else {})


def _describe_blurred(heads: Heads, rows: IntArray) -> dict[str, list[int]]:
    """Frames of the exported video, counted from 0."""
    return {
        "face_not_found": np.flatnonzero(~heads.found[rows]).tolist(),
        "blurred_whole": np.flatnonzero(heads.hidden[rows]).tolist(),
    }


def _describe_all(heads: Mapping[str, Heads], even: Mapping[str, EvenFrames]) -> dict[str, object]:
    found = sum((count_blurred(heads[c], frames.rows) for c, frames in even.items()), BlurredFaces(0, 0, 0))
    return {"state": Faces.BLURRED.value, **asdict(found), "read_this": tell_blurred(found)}
