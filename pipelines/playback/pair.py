"""The film of two visits side by side: both stand at the same share of a stride, foot strike to foot strike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.errors import MissingPartError
from labsys.core.motion import Stride
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.core.skeleton import Side
from labsys.storage.films import Faces, Film, StagedFilm, has_film, load_film, pair_film_key
from labsys.storage.lab import Lab
from labsys.storage.runs import run_file
from labsys.storage.stride_tables import read_strides
from labsys.storage.takes import load_take
from pipelines.playback.film import Shot, heads_to_blur, make_film
from pipelines.playback.sources import read_sources

MOST_STRIDES = 5
PER_STRIDE = 100  # frames: one per cent each


@dataclass(frozen=True)
class FilmedVisit:
    """One of the two trials, and the run of it that is shown."""

    name: TrialName
    run: str


def film_pair(
    lab: Lab,
    pre: FilmedVisit,
    post: FilmedVisit,
    side: Side,
    *,
    faces: Faces = Faces.SHOWN,
    progress: Progress,
) -> Film:
    """Make the film of two visits, or find it made; it is kept with the later trial.

    Cameras that both visits have stand in pairs, before and after. Frame i is per cent i % 100 of stride i // 100; as
    many strides as both have, at most `MOST_STRIDES`, from the middle of each trial.

    Raises:
        MissingPartError: no common camera, or no stride of this side counts. InputError: a video cannot be read.
    """
    key = pair_film_key([(load_take(lab, v.name), v.run) for v in (pre, post)], side, faces)
    if has_film(lab, post.name, key):
        return load_film(lab, post.name, key)
    strides = [_valid_strides(lab, visit, side) for visit in (pre, post)]
    count = min(MOST_STRIDES, *(len(found) for found in strides))
    if count == 0:
        raise MissingPartError(f"no {side} stride counts in {pre.name} or {post.name}")
    chosen = [_from_the_middle(found, count) for found in strides]
    shots = _pair_up([_shots(lab, v, _moments(found), faces) for v, found in zip((pre, post), chosen, strict=True)])
    if not shots:
        raise MissingPartError(f"{pre.name} and {post.name} have no camera in common")
    mean_s = float(np.mean([s.next_foot_strike_s - s.foot_strike_s for found in chosen for s in found]))
    staged = StagedFilm(lab, post.name, key)
    return make_film(staged, key, shots, rate_hz=PER_STRIDE / mean_s, notes=(), progress=progress, columns=2)


def _valid_strides(lab: Lab, visit: FilmedVisit, side: Side) -> list[Stride]:
    found = read_strides(run_file(lab, visit.name, visit.run, "strides.parquet"))
    return sorted((s for s in found if s.valid and s.side is side), key=lambda s: s.foot_strike_s)


def _from_the_middle(strides: list[Stride], count: int) -> list[Stride]:
    first = (len(strides) - count) // 2
    return strides[first : first + count]


def _moments(strides: list[Stride]) -> FloatArray:
    """Every per cent of every stride, s on the trial's clock."""
    share = np.arange(PER_STRIDE) / PER_STRIDE
    return np.concatenate([s.foot_strike_s + share * (s.next_foot_strike_s - s.foot_strike_s) for s in strides])


def _shots(lab: Lab, visit: FilmedVisit, moments_s: FloatArray, faces: Faces) -> dict[str, Shot]:
    """Camera -> its pictures at these moments."""
    sources, _ = read_sources(lab, visit.name, visit.run)
    heads = heads_to_blur(lab, visit.name, visit.run, sources, faces)
    return {s.camera: Shot(s, moments_s, heads.get(s.camera)) for s in sources}


def _pair_up(visits: list[dict[str, Shot]]) -> list[Shot]:
    pre, post = visits
    return [shots[camera] for camera in pre if camera in post for shots in (pre, post)]
