"""Make the film of a trial: what all cameras saw at every moment of the common clock, and the landmarks in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.errors import MissingPartError
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.storage.film_layout import Panel, film_size, lay_out, number_top
from labsys.storage.film_video import Planes, read_chosen, write_film
from labsys.storage.films import (
    BlurredFaces,
    Faces,
    Film,
    FilmedCamera,
    StagedFilm,
    has_film,
    load_film,
    trial_film_key,
)
from labsys.storage.lab import Lab
from labsys.storage.results import LANDMARKS3D_FILE, read_landmarks3d
from labsys.storage.runs import run_file
from labsys.storage.takes import load_take
from pipelines.playback.blurring import blur_head
from pipelines.playback.find_heads import find_heads
from pipelines.playback.heads import Heads
from pipelines.playback.sources import CameraSource, read_sources

_MOST_PX = (640, 480)


@dataclass(frozen=True, eq=False)
class Shot:
    """One panel of a film: a camera's video at these moments, s on its trial's clock, never falling.

    heads: what is blurred in its frames; None where faces are shown.
    """

    source: CameraSource
    moments_s: FloatArray
    heads: Heads | None = None


def film_trial(lab: Lab, name: TrialName, run: str, *, faces: Faces = Faces.SHOWN, progress: Progress) -> Film:
    """Make the film of a run, or find it made.

    Raises:
        MissingPartError: there is nothing to film. InputError: a video cannot be read, or was changed.
    """
    key = trial_film_key(load_take(lab, name), run, faces)
    if key and has_film(lab, name, key):
        return load_film(lab, name, key)
    sources, notes = read_sources(lab, name, run)
    times_s = read_landmarks3d(run_file(lab, name, run, LANDMARKS3D_FILE)).times_s
    heads = heads_to_blur(lab, name, run, sources, faces)
    shots = [Shot(source, times_s, heads.get(source.camera)) for source in sources]
    rate_hz = (times_s.size - 1) / float(times_s[-1] - times_s[0]) if times_s.size > 1 else 1.0
    return make_film(StagedFilm(lab, name, key), key, shots, rate_hz=rate_hz, notes=notes, progress=progress)


def heads_to_blur(
    lab: Lab, name: TrialName, run: str, sources: Sequence[CameraSource], faces: Faces
) -> Mapping[str, Heads]:
    """Camera -> what is to be blurred; empty where faces are shown."""
    return find_heads(lab, name, run, sources) if faces is Faces.BLURRED else {}


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
    read = [_pictures(s, r, p) for s, r, p in zip(shots, rows, panels, strict=True)]
    for _ in write_film(staged.video, panels, zip(*read, strict=True), rate_hz=rate_hz):
        progress.advance()
    cameras = [_filmed(s, r, p) for s, r, p in zip(shots, rows, panels, strict=True)]
    film = Film(key, rate_hz, rows[0].size, film_size(panels), number_top(panels), tuple(cameras), notes)
    placed = [_place(s.source, s.source.xy_px[r], p) for s, r, p in zip(shots, rows, panels, strict=True)]
    staged.finish(film, np.concatenate(placed, axis=1))
    return film


def _filmed(shot: Shot, rows: IntArray, panel: Panel) -> FilmedCamera:
    blurred = None if shot.heads is None else count_blurred(shot.heads, rows)
    return FilmedCamera(shot.source.camera, panel, shot.source.landmarks, blurred)


def count_blurred(heads: Heads, rows: IntArray) -> BlurredFaces:
    """What blurring comes to in these frames of a video, a frame that is shown twice counted twice."""
    return BlurredFaces(int(rows.size), int((~heads.found[rows]).sum()), int(heads.hidden[rows].sum()))


def _pictures(shot: Shot, rows: IntArray, panel: Panel) -> Iterator[Planes]:
    pictures = read_chosen(shot.source.path, rows, panel=panel)
    if shot.heads is None:
        yield from pictures
        return
    share = np.array([panel.width, panel.height]) / np.array(shot.source.size_px)
    for row, planes in zip(rows, pictures, strict=True):
        yield _blur(planes, shot.heads.discs_px[row], share)


def _blur(planes: Planes, discs_px: FloatArray, share: FloatArray) -> Planes:
    """The planes of a picture that was reduced to this share, (2,), with circles of the whole one blurred."""
    light, blue, red = (blur_head(p, _scaled(discs_px, share / s)) for p, s in zip(planes, (1, 2, 2), strict=True))
    return light, blue, red


def _scaled(discs_px: FloatArray, share: FloatArray) -> FloatArray:
    middles = (discs_px[:, :2] + 0.5) * share - 0.5
    return np.column_stack([middles, discs_px[:, 2] * share.max()])


def _place(source: CameraSource, xy_px: FloatArray, panel: Panel) -> FloatArray:
    """Where landmarks of the video stand in the film, px."""
    share = np.array([panel.width, panel.height]) / np.array(source.size_px)
    return np.asarray((xy_px + 0.5) * share - 0.5 + np.array([panel.left, panel.top]), dtype=np.float64)
