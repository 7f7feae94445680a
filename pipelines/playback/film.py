"""Make the film of a trial: what all cameras saw at every moment of the common clock, and the landmarks in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.errors import MissingPartError
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.storage.film_layout import Panel, film_size, lay_out, number_top
from labsys.storage.film_video import read_chosen, write_film
from labsys.storage.films import Film, FilmedCamera, StagedFilm, has_film, load_film, trial_film_key
from labsys.storage.lab import Lab
from labsys.storage.results import LANDMARKS3D_FILE, read_landmarks3d
from labsys.storage.runs import run_file
from labsys.storage.takes import load_take
from pipelines.playback.sources import CameraSource, read_sources

_MOST_PX = (640, 480)


@dataclass(frozen=True, eq=False)
class Shot:
    """One panel of a film: a camera's video at these moments, s on its trial's clock, never falling."""

    source: CameraSource
    moments_s: FloatArray


def film_trial(lab: Lab, name: TrialName, run: str, *, progress: Progress) -> Film:
    """Make the film of a run, or find it made.

    Raises:
        MissingPartError: there is nothing to film. InputError: a video cannot be read, or was changed.
    """
    key = trial_film_key(load_take(lab, name), run)
    if key and has_film(lab, name, key):
        return load_film(lab, name, key)
    sources, notes = read_sources(lab, name, run)
    times_s = read_landmarks3d(run_file(lab, name, run, LANDMARKS3D_FILE)).times_s
    shots = [Shot(source, times_s) for source in sources]
    rate_hz = (times_s.size - 1) / float(times_s[-1] - times_s[0]) if times_s.size > 1 else 1.0
    return make_film(StagedFilm(lab, name, key), key, shots, rate_hz=rate_hz, notes=notes, progress=progress)


def make_film(
    staged: StagedFilm,
    key: str,
    shots: Sequence[Shot],
    *,
    rate_hz: float,
    notes: tuple[str, ...],
    progress: Progress,
    columns: int = 0,
) -> Film:
    """Write a film of shots of equal length; columns: how many stand in a row, 0 as it fits.

    Raises:
        MissingPartError: no shots. InputError: a video cannot be read, or the film cannot be written.
    """
    try:
        if not shots:
            raise MissingPartError("no camera can be shown: " + "; ".join(notes), remedy="Process the trial again")
        return _write(staged, key, shots, rate_hz=rate_hz, notes=notes, progress=progress, columns=columns)
    finally:
        staged.discard()


def _write(
    staged: StagedFilm,
    key: str,
    shots: Sequence[Shot],
    *,
    rate_hz: float,
    notes: tuple[str, ...],
    progress: Progress,
    columns: int,
) -> Film:
    panels = lay_out([s.source.size_px for s in shots], most_px=_MOST_PX, columns=columns)
    rows = [s.source.nearest_frames(s.moments_s) for s in shots]
    progress.stage("film", rows[0].size)
    read = [read_chosen(s.source.path, r, panel=p) for s, r, p in zip(shots, rows, panels, strict=True)]
    for _ in write_film(staged.video, panels, zip(*read, strict=True), rate_hz=rate_hz):
        progress.advance()
    cameras = [FilmedCamera(s.source.camera, p, s.source.landmarks) for s, p in zip(shots, panels, strict=True)]
    film = Film(key, rate_hz, rows[0].size, film_size(panels), number_top(panels), tuple(cameras), notes)
    placed = [_place(s.source, s.source.xy_px[r], p) for s, r, p in zip(shots, rows, panels, strict=True)]
    staged.finish(film, np.concatenate(placed, axis=1))
    return film


def _place(source: CameraSource, xy_px: FloatArray, panel: Panel) -> FloatArray:
    """Where landmarks of the video stand in the film, px."""
    share = np.array([panel.width, panel.height]) / np.array(source.size_px)
    return np.asarray((xy_px + 0.5) * share - 0.5 + np.array([panel.left, panel.top]), dtype=np.float64)
