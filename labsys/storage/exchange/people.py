"""Telling people apart in one camera: detections of each frame linked into tracks, and the subject among them.

Detections come in no lasting order, so people are linked from frame to frame by how far their points moved, measured
in body sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.errors import InputError

# A person's points move less than this share of the body's diagonal between frames; after a gap, up to the whole.
_GATE = 0.35
_GATE_PER_LOST_FRAME = 0.1
_MIN_COMMON_POINTS = 3
# A second person whose confidence, summed over the recording, reaches this share of the subject's makes it a guess.
_RIVAL_SHARE = 0.85


@dataclass
class _Track:
    """One person so far: index among the people of each frame, the last pose, and the sum of confidences."""

    xy_px: FloatArray
    last_frame: int
    person: dict[int, int] = field(default_factory=dict)
    score: float = 0.0


def choose_subject(xy_px: FloatArray, confidence: FloatArray, *, where: str) -> IntArray:
    """Index of the subject among the people of each frame, (T,), -1 where the subject was not found.

    The subject is the person with the greatest confidence, summed over points and frames.

    xy_px: (T, P, K, 2) px, NaN where missing. confidence: (T, P, K).

    Raises:
        InputError: nobody is there, or two people are equally present.
    """
    tracks = sorted(_link(xy_px, confidence), key=lambda t: t.score, reverse=True)
    if not tracks:
        raise InputError("nobody is in the picture in any frame", where=where)
    _refuse_rival(tracks, where)
    subject = np.full(xy_px.shape[0], -1, dtype=np.int64)
    for frame, person in tracks[0].person.items():
        subject[frame] = person
    return subject


def count_switches(subject: IntArray) -> int:
    """How often the subject's index changes from one frame in which it was found to the next."""
    found = subject[subject >= 0]
    return int((np.diff(found) != 0).sum())


def _link(xy_px: FloatArray, confidence: FloatArray) -> list[_Track]:
    tracks: list[_Track] = []
    for frame in range(xy_px.shape[0]):
        people = np.flatnonzero((confidence[frame] > 0).sum(axis=-1) >= _MIN_COMMON_POINTS)
        taken = _match(tracks, xy_px[frame], people, frame)
        for person in people.tolist():
            track = taken.get(person)
            if track is None:
                track = _Track(xy_px[frame, person], frame)
                tracks.append(track)
            track.xy_px = _updated(track.xy_px, xy_px[frame, person])
            track.last_frame = frame
            track.person[frame] = person
            track.score += float(confidence[frame, person].sum())
    return tracks


def _match(tracks: list[_Track], xy_px: FloatArray, people: IntArray, frame: int) -> dict[int, _Track]:
    if not tracks or not people.size:
        return {}
    cost = np.array([[_distance(t, xy_px[p], frame) for p in people] for t in tracks])
    # Beyond its gate a pair costs more than any allowed set of pairs, so that it is chosen only for want of another.
    bounded = np.where(np.isfinite(cost), cost, 1e6)
    rows, columns = linear_sum_assignment(bounded)
    return {
        int(people[c]): tracks[r]
        for r, c in zip(rows.tolist(), columns.tolist(), strict=True)
        if np.isfinite(cost[r, c])
    }


def _distance(track: _Track, xy_px: FloatArray, frame: int) -> float:
    """Mean distance of common points in body diagonals; infinite beyond the gate."""
    common = np.isfinite(track.xy_px).all(axis=-1) & np.isfinite(xy_px).all(axis=-1)
    if common.sum() < _MIN_COMMON_POINTS:
        return float("inf")
    moved_px = float(np.linalg.norm(track.xy_px[common] - xy_px[common], axis=-1).mean())
    size_px = max(_diagonal_px(track.xy_px), _diagonal_px(xy_px), 1.0)
    gate = min(1.0, _GATE + _GATE_PER_LOST_FRAME * (frame - track.last_frame - 1))
    moved = moved_px / size_px
    return moved if moved <= gate else float("inf")


def _diagonal_px(xy_px: FloatArray) -> float:
    return float(np.linalg.norm(np.nanmax(xy_px, axis=0) - np.nanmin(xy_px, axis=0)))


def _updated(before: FloatArray, now: FloatArray) -> FloatArray:
    return np.where(np.isfinite(now), now, before)


def _refuse_rival(tracks: list[_Track], where: str) -> None:
    best, *others = tracks
    for rival in others:
        together = len(best.person.keys() & rival.person.keys())
        if rival.score >= _RIVAL_SHARE * best.score and together >= 0.5 * len(best.person):
            raise InputError(
                f"two people are equally present ({together} frames show both)",
                where=where,
                remedy="Keep the subject's landmarks only; labsys does not guess who the subject is",
            )
