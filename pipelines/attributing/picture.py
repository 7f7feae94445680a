"""What the page of an attribution draws, as plain numbers: every view's distance from the result, and worst frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.projection import project_rig
from labsys.core.arrays import FloatArray
from pipelines.attributing.blame import Attribution, Blame
from pipelines.attributing.evidence import TrialEvidence
from pipelines.attributing.views import spread_frames
from pipelines.trajectory import bones_of

_MOST_FRAMES = 3000
_COLUMNS = 300  # of a course over time
_WORST = 6
_MARGIN = 0.12
_LEAST_BOX_PX = 60.0


@dataclass(frozen=True, eq=False)
class Course:
    """One camera's distances over time: median and 90th percentile over its landmarks, NaN where nothing is seen.

    Attributes:
        times_s: (N,). middle_px, high_px: (N,).
    """

    camera: str
    times_s: FloatArray
    middle_px: FloatArray
    high_px: FloatArray


@dataclass(frozen=True, eq=False)
class WorstFrame:
    """One camera at one moment.

    Attributes:
        frame: row of the run's clock. seen_px, placed_px: (K, 2) where the detector has the landmarks, and where the
            run's 3D lies in this image; NaN where missing.
        named: (K,) whether a blame names the landmark. box_px: (x, y, width, height) around them.
        typical_px: median distance between the two.
    """

    camera: str
    frame: int
    time_s: float
    seen_px: FloatArray
    placed_px: FloatArray
    named: tuple[bool, ...]
    box_px: tuple[float, float, float, float]
    typical_px: float


@dataclass(frozen=True, eq=False)
class TrialPicture:
    """What a page shows.

    Attributes:
        typical_px: (K, C) median distance between what is seen and the run's 3D; NaN where never both are there.
        bones: pairs of landmarks to join.
    """

    typical_px: FloatArray
    courses: tuple[Course, ...]
    worst: tuple[WorstFrame, ...]
    bones: tuple[tuple[int, int], ...]


def draw_trial(evidence: TrialEvidence, attribution: Attribution) -> TrialPicture:
    """Compare the 2D landmarks that a run used with its own 3D, as it stands."""
    frames = spread_frames(evidence.used.times_s.size, most=_MOST_FRAMES)
    xy = np.moveaxis(evidence.used.xy_px[frames], 1, 2)
    believed = np.moveaxis(evidence.used.confidence[frames], 1, 2) >= evidence.settings.min_confidence
    placed = project_rig(evidence.rig, evidence.found.xyz_m[frames])
    seen = np.where(believed[..., None], xy, np.nan)
    distance = np.linalg.norm(seen - placed, axis=-1)
    times = evidence.used.times_s[frames]
    courses = tuple(_course(name, times, distance[:, :, c]) for c, name in enumerate(evidence.used.cameras))
    worst = _choose_worst(evidence, attribution, distance)
    return TrialPicture(
        typical_px=_percentile(distance, 50.0, axis=0),
        courses=courses,
        worst=tuple(
            _worst_frame(evidence, attribution, int(frames[f]), c, seen[f, :, c], placed[f, :, c]) for f, c in worst
        ),
        bones=bones_of(evidence.used.landmarks),
    )


def _course(camera: str, times_s: FloatArray, distance_px: FloatArray) -> Course:
    parts = np.array_split(np.arange(times_s.size), min(_COLUMNS, times_s.size))
    middle, high = (_percentile(distance_px, q, axis=1) for q in (50.0, 90.0))
    return Course(
        camera,
        np.array([times_s[p].mean() for p in parts]),
        np.array([_largest(middle[p]) for p in parts]),
        np.array([_largest(high[p]) for p in parts]),
    )


def _largest(values: FloatArray) -> float:
    """So that a short fault stays visible where several frames share a column."""
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else float("nan")


def _percentile(values: FloatArray, q: float, *, axis: int) -> FloatArray:
    empty = ~np.isfinite(values).any(axis=axis, keepdims=True)
    found = np.nanpercentile(np.where(empty, 0.0, values), q, axis=axis)
    return np.where(np.squeeze(empty, axis=axis), np.nan, found)


def _choose_worst(evidence: TrialEvidence, attribution: Attribution, distance: FloatArray) -> list[tuple[int, int]]:
    """(frame, camera): the worst moment of what each blame names, then of the cameras as they are."""
    cameras, landmarks = evidence.used.cameras, evidence.used.landmarks
    chosen: dict[tuple[int, int], None] = {}
    for blame in attribution.blames:
        own_cameras = [cameras.index(n) for n in blame.cameras if n in cameras] or list(range(len(cameras)))
        own_landmarks = [landmarks.index(n) for n in blame.landmarks] or list(range(len(landmarks)))
        _add_worst(chosen, distance, own_cameras[:2], own_landmarks)
    for c in range(len(cameras)):
        if c not in {camera for _, camera in chosen}:
            _add_worst(chosen, distance, [c], list(range(len(landmarks))))
    return list(chosen)[:_WORST]


def _add_worst(
    chosen: dict[tuple[int, int], None], distance: FloatArray, cameras: list[int], landmarks: list[int]
) -> None:
    """Where the median over the landmarks is largest, so that a single wild point does not decide for many."""
    for c in cameras:
        typical = _percentile(distance[:, landmarks, c], 50.0, axis=1)
        if np.isfinite(typical).any():
            chosen[int(np.nanargmax(typical)), c] = None


def _worst_frame(
    evidence: TrialEvidence,
    attribution: Attribution,
    frame: int,
    camera: int,
    seen_px: FloatArray,
    placed_px: FloatArray,
) -> WorstFrame:
    name = evidence.used.cameras[camera]
    size = evidence.rig.cameras[camera].intrinsics.size_px
    everything = np.concatenate([seen_px, placed_px])
    inside = np.isfinite(everything).all(axis=1)
    inside &= ((np.nan_to_num(everything) > -np.array(size)) & (np.nan_to_num(everything) < 2 * np.array(size))).all(1)
    low, high = everything[inside].min(axis=0), everything[inside].max(axis=0)
    margin = _MARGIN * float(max(*(high - low), _LEAST_BOX_PX))
    (x, y), (width, height) = low - margin, high - low + 2 * margin
    typical = _percentile(np.linalg.norm(seen_px - placed_px, axis=-1), 50.0, axis=0)
    return WorstFrame(
        camera=name,
        frame=frame,
        time_s=float(evidence.used.times_s[frame]),
        seen_px=seen_px,
        placed_px=placed_px,
        named=_named(attribution.blames, name, evidence.used.landmarks),
        box_px=(float(x), float(y), float(width), float(height)),
        typical_px=float(typical),
    )


def _named(blames: tuple[Blame, ...], camera: str, landmarks: tuple[str, ...]) -> tuple[bool, ...]:
    own = {name for b in blames if not b.cameras or camera in b.cameras for name in b.landmarks}
    return tuple(name in own for name in landmarks)
