"""How well landmarks found in pictures agree with labels: per landmark, left against right, and tier by tier.

Errors are distances in px of the frame, and the same in a picture 720 px high, so that cameras can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.skeleton import Tier, lacking_landmarks, mirrored_name, tier_of

FOUND = 0.1  # least likelihood of a point that counts as found, as where landmarks are used
ALL = "all"
_COMMON_HEIGHT_PX = 720.0
# Sides closer together than this (in a picture 720 px high) cannot be told apart by where points lie.
APART_PX = 5.0
_GOOD_PX, _FAIR_PX = 2.5, 5.0
_GOOD_FOUND, _FAIR_FOUND = 0.9, 0.75


@dataclass(frozen=True, eq=False)
class Sample:
    """What was found in N labelled pictures.

    Attributes:
        landmarks: K names. labels_px: (N, K, 2), NaN where nothing was marked. found: (N, K, 3) x, y, likelihood.
        heights_px: (N,) of the pictures.
    """

    landmarks: tuple[str, ...]
    labels_px: FloatArray
    found: FloatArray
    heights_px: FloatArray

    @property
    def labelled(self) -> BoolArray:
        """(N, K) what was marked."""
        return np.asarray(np.isfinite(self.labels_px).all(axis=-1))

    @property
    def seen(self) -> BoolArray:
        """(N, K) what counts as found."""
        return is_found(self.found)

    @property
    def errors_px(self) -> FloatArray:
        """(N, K) px of the frames; NaN where it was not marked or not found."""
        distance = np.linalg.norm(self.found[..., :2] - self.labels_px, axis=-1)
        return np.where(self.seen, distance, np.nan)

    @property
    def common(self) -> FloatArray:
        """(N, 1) what px of a frame are in a picture 720 px high."""
        return np.asarray(_COMMON_HEIGHT_PX / self.heights_px)[:, None]


@dataclass(frozen=True)
class LandmarkScore:
    """One landmark over all pictures that have it labelled; NaN where none was found.

    Attributes:
        n: labels. found: share of them that were found. median_px, p95_px: in px of the frames.
        median_common_px, p95_common_px: in px of pictures 720 px high.
    """

    landmark: str
    n: int
    found: float
    median_px: float
    p95_px: float
    median_common_px: float
    p95_common_px: float


@dataclass(frozen=True)
class SidesScore:
    """Left and right. Attributes: n: pairs that can be told apart. crossed: how many of them fit better exchanged."""

    n: int
    crossed: int

    @property
    def share(self) -> float:
        """Crossed pairs, a share of all; NaN without pairs."""
        return self.crossed / self.n if self.n else float("nan")


class Standing(StrEnum):
    """What a tier's landmarks are worth."""

    GOOD = "good"
    FAIR = "fair"
    WEAK = "weak"
    UNJUDGED = "not judged"
    LACKING = "not reached"


@dataclass(frozen=True)
class TierScore:
    """One tier. `because`: landmarks that it lacks, that nobody labelled, or that keep it from being good."""

    tier: Tier
    standing: Standing
    because: tuple[str, ...]


def is_found(found: FloatArray) -> BoolArray:
    """Which points (..., 3) count as found."""
    return np.asarray(np.isfinite(found).all(axis=-1) & (found[..., 2] >= FOUND))


def score_landmarks(sample: Sample) -> tuple[LandmarkScore, ...]:
    """One score a landmark, in their order; the last is of all together."""
    errors, labelled = sample.errors_px, sample.labelled
    common = errors * sample.common
    each = [_score(n, labelled[:, k], errors[:, k], common[:, k]) for k, n in enumerate(sample.landmarks)]
    return (*each, _score(ALL, labelled, errors, common))


def score_sides(sample: Sample) -> SidesScore:
    """Count pairs whose answers fit the labels clearly better with left and right exchanged."""
    number = {name: k for k, name in enumerate(sample.landmarks)}
    pairs = [(k, number[m]) for n, k in number.items() if (m := mirrored_name(n)) != n and number.get(m, -1) > k]
    n = crossed = 0
    for a, b in pairs:
        apart = _distance(sample.labels_px[:, a], sample.labels_px[:, b])
        usable = sample.seen[:, a] & sample.seen[:, b] & (apart * sample.common[:, 0] >= APART_PX)
        straight, exchanged = (_misfit(sample, a, b, order) for order in ((a, b), (b, a)))
        n += int(usable.sum())
        # Right answers are twice the distance nearer straight, exchanged ones twice the distance nearer crossed.
        crossed += int((usable & (straight - exchanged > apart)).sum())
    return SidesScore(n, crossed)


def score_tiers(landmarks: Sequence[str], scores: Sequence[LandmarkScore]) -> tuple[TierScore, ...]:
    """What the landmarks of every tier are worth: a tier is as good as the worst landmark that it cannot do without."""
    by_name = {score.landmark: score for score in scores}
    return tuple(_score_tier(tier, tuple(landmarks), by_name) for tier in Tier)


def _score_tier(tier: Tier, landmarks: tuple[str, ...], by_name: dict[str, LandmarkScore]) -> TierScore:
    reached = tier_of(landmarks)
    if reached is None or reached < tier:
        return TierScore(tier, Standing.LACKING, lacking_landmarks(landmarks, tier))
    order = (Standing.GOOD, Standing.FAIR, Standing.WEAK, Standing.UNJUDGED)
    standings = {n: _standing(by_name.get(n)) for n in landmarks}
    # Where there are two ways to a tier, the better one counts: the worst landmarks are done without first.
    needed = sorted(landmarks, key=lambda n: order.index(standings[n]), reverse=True)
    for name in tuple(needed):
        without = [n for n in needed if n != name]
        level = tier_of(without)
        if level is not None and level >= tier:
            needed = without
    worst = max((standings[n] for n in needed), key=order.index)
    because = () if worst is Standing.GOOD else tuple(n for n in landmarks if n in needed and standings[n] is worst)
    return TierScore(tier, worst, because)


def _standing(score: LandmarkScore | None) -> Standing:
    if score is None or not score.n:
        return Standing.UNJUDGED
    if score.median_common_px <= _GOOD_PX and score.found >= _GOOD_FOUND:
        return Standing.GOOD
    fair = score.median_common_px <= _FAIR_PX and score.found >= _FAIR_FOUND
    return Standing.FAIR if fair else Standing.WEAK


def _score(name: str, labelled: BoolArray, errors: FloatArray, common: FloatArray) -> LandmarkScore:
    n, found = int(labelled.sum()), np.isfinite(errors)
    share = float(found.sum()) / n if n else float("nan")
    return LandmarkScore(name, n, share, *_middle_and_tail(errors[found]), *_middle_and_tail(common[found]))


def _middle_and_tail(errors: FloatArray) -> tuple[float, float]:
    return (float(np.median(errors)), float(np.percentile(errors, 95))) if errors.size else (float("nan"),) * 2


def _misfit(sample: Sample, a: int, b: int, order: tuple[int, int]) -> FloatArray:
    first, second = (sample.found[:, k, :2] for k in (a, b))
    return _distance(first, sample.labels_px[:, order[0]]) + _distance(second, sample.labels_px[:, order[1]])


def _distance(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(a - b, axis=-1))
