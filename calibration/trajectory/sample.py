"""A trial laid out for the trajectory solve, and parts of it: a sample to tune on, sections that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Track:
    """Observations and a first guess, landmark last.

    Attributes:
        pixels: (T, C, 2, K) px, finite. confidence: (T, C, K), 0 where not seen.
        there: (T, K) whether a point is to be found: one was triangulated, or shortly before and shortly after.
        points: (T, 3, K) m, finite: triangulated, straight lines between.
    """

    pixels: FloatArray
    confidence: FloatArray
    there: BoolArray
    points: FloatArray

    def part(self, first: int, last: int) -> Track:
        """Frames [first, last)."""
        rows = slice(first, last)
        return Track(self.pixels[rows], self.confidence[rows], self.there[rows], self.points[rows])


@dataclass(frozen=True, eq=False)
class Observed:
    """A whole trial as it was given; frames are laid out when they are looked at.

    Attributes:
        xy_px: (T, K, C, 2). confidence: (T, K, C). start_m: (T, K, 3) m, NaN where nothing was triangulated.
        min_confidence: observations below it are not looked at. max_gap: most frames between two triangulated points
            that are solved for without one.
    """

    xy_px: FloatArray
    confidence: FloatArray
    start_m: FloatArray
    min_confidence: float
    max_gap: int

    @property
    def n_frames(self) -> int:
        """How many frames the trial has."""
        return len(self.start_m)

    def part(self, first: int, last: int) -> Track:
        """Frames [first, last) laid out, as the whole trial has them wherever a point is to be found."""
        # What lies further off than the longest gap bridged has no say in them.
        margin = self.max_gap + 1
        begin = max(0, first - margin)
        rows = slice(begin, last + margin)
        track = _lay_out(
            self.xy_px[rows],
            self.confidence[rows],
            self.start_m[rows],
            min_confidence=self.min_confidence,
            max_gap=self.max_gap,
        )
        return track.part(first - begin, last - begin)


def _lay_out(
    xy_px: FloatArray, confidence: FloatArray, start_m: FloatArray, *, min_confidence: float, max_gap: int
) -> Track:
    """Lay out pixels (T, K, C, 2), confidence (T, K, C) and first points (T, K, 3) m, NaN where there is none."""
    known: BoolArray = np.asarray(np.isfinite(start_m).all(axis=-1))
    there = known | _short_gaps(known, max_gap)
    pixels, sure = np.array(np.moveaxis(xy_px, 1, 3), order="C"), np.array(np.moveaxis(confidence, 1, 2), order="C")
    seen = (sure >= min_confidence) & np.isfinite(pixels[:, :, 0]) & np.isfinite(pixels[:, :, 1]) & there[:, None]
    np.copyto(pixels, 0.0, where=~seen[:, :, None])
    np.copyto(sure, 0.0, where=~seen)
    points = np.ascontiguousarray(np.moveaxis(_bridge(start_m, known), 1, 2))
    return Track(pixels, sure, there, points)


def _short_gaps(known: BoolArray, max_gap: int) -> BoolArray:
    """(T, K) frames in gaps of at most that many frames between known ones."""
    index = np.arange(len(known))[:, None]
    before = np.maximum.accumulate(np.where(known, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(known, index, len(known) + max_gap + 1)[::-1], axis=0)[::-1]
    return np.asarray(~known & (before >= 0) & (after < len(known)) & (after - before - 1 <= max_gap))


def _bridge(points_m: FloatArray, known: BoolArray) -> FloatArray:
    bridged = np.where(known[..., None], points_m, 0.0)
    index = np.arange(len(known))
    for k in np.flatnonzero(~known.all(axis=0) & known.any(axis=0)):
        own = known[:, k]
        for axis in range(3):
            bridged[~own, k, axis] = np.interp(index[~own], index[own], points_m[own, k, axis])
    return bridged


def sample_of(trial: Observed, *, n_windows: int, n_frames: int, apart: int) -> Track:
    """Evenly spaced windows of a trial, one after the other, with `apart` frames between in which nothing is solved."""
    total = trial.n_frames
    if total <= n_windows * n_frames:
        return trial.part(0, total)
    firsts = np.linspace(0, total - n_frames, n_windows).astype(int)
    parts = [trial.part(int(f), int(f) + n_frames) for f in firsts]
    blank = _blank_like(parts[0].part(0, apart))
    pieces = [piece for part in parts for piece in (part, blank)]
    return Track(
        pixels=np.concatenate([p.pixels for p in pieces]),
        confidence=np.concatenate([p.confidence for p in pieces]),
        there=np.concatenate([p.there for p in pieces]),
        points=np.concatenate([p.points for p in pieces]),
    )


def _blank_like(track: Track) -> Track:
    zeros = np.zeros_like
    return Track(zeros(track.pixels), zeros(track.confidence), zeros(track.there), zeros(track.points))


def sections_of(n_frames: int, *, longest: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Sections of at most `longest` frames and their overlaps: which frames to solve, and which of those to keep."""
    n_sections = max(1, -(-n_frames // longest))
    bounds = np.linspace(0, n_frames, n_sections + 1).astype(int)
    for a, b in pairwise(bounds):
        first, last = max(0, int(a) - overlap), min(n_frames, int(b) + overlap)
        yield slice(first, last), slice(int(a) - first, int(b) - first)
