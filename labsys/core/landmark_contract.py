"""What a set of landmarks can give, before anything is recorded or processed: metrics that will be missing, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labsys.core.catalogue import METRICS, MetricDefinition
from labsys.core.skeleton import LANDMARK_SETS, Tier, lacking_landmarks, tier_of

_KNOWN = frozenset(name for s in LANDMARK_SETS.values() for name in s.landmarks)


@dataclass(frozen=True)
class MissingMetric:
    """A metric that these landmarks cannot give. `lacking`: the fewest landmarks that would have to be added."""

    id: str
    tier: Tier
    lacking: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why, as a sentence without its full stop."""
        return f"needs tier {self.tier.name}: {', '.join(self.lacking)} missing"


@dataclass(frozen=True)
class LandmarkContract:
    """What landmarks promise.

    Attributes:
        tier: the tier that they reach; None where they give nothing.
        missing: metrics that will have no value. unknown: names that labsys does not know and uses for nothing.
    """

    tier: Tier | None
    missing: tuple[MissingMetric, ...]
    unknown: tuple[str, ...]


def check_landmarks(landmarks: Collection[str], metrics: Sequence[MetricDefinition] = METRICS) -> LandmarkContract:
    """Compare landmarks with what metrics need; a metric needs the landmarks of its tier."""
    reached = tier_of(landmarks)
    level = -1 if reached is None else reached
    missing = tuple(
        MissingMetric(m.id, m.tier, lacking_landmarks(landmarks, m.tier)) for m in metrics if m.tier > level
    )
    return LandmarkContract(reached, missing, tuple(name for name in landmarks if name not in _KNOWN))
