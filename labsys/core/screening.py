"""What a screening rule is, as values: thresholds in inside units, wording, sources; and what a rule may answer.

Rules are read from YAML by the pipelines and applied by biomechanics; nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from labsys.core.skeleton import Tier


class FindingStatus(StrEnum):
    """What a rule may answer."""

    NOT_ASSESSABLE = "not_assessable"
    NOT_FLAGGED = "not_flagged"
    BORDERLINE = "borderline"
    FLAGGED = "flagged"


class Confidence(StrEnum):
    """How far a finding may be leaned on: LOW where strides are few, landmarks of T2, or the surface is another."""

    USUAL = "usual"
    LOW = "low"


class Beyond(StrEnum):
    """On which side of a threshold a value stands out; FROM_ZERO: either way, and only where ci95 excludes zero."""

    BELOW = "below"
    ABOVE = "above"
    FROM_ZERO = "from_zero"


class Combine(StrEnum):
    """Whether all measures of a rule must stand out, or any of them."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True)
class Threshold:
    """Where a value begins to stand out, inside units; the farthest out of what is given counts.

    Attributes:
        value: a number, or None. mdc95: the minimal detectable change of the metric; of a difference between the sides
            that of one side, as both are compared like two visits.
        lab_sds: so many standard deviations from the mean of the lab's own reference.
    """

    value: float | None = None
    mdc95: bool = False
    lab_sds: float | None = None


@dataclass(frozen=True)
class Measure:
    """A metric that a rule looks at; of several the first that was measured.

    Attributes:
        flagged: the whole ci95 must lie beyond. borderline: None where only `flagged` is given.
        stride_share: flagged also needs more than this share of single strides beyond.
    """

    metrics: tuple[str, ...]
    beyond: Beyond
    flagged: Threshold
    borderline: Threshold | None = None
    stride_share: float | None = None


@dataclass(frozen=True)
class Rule:
    """One screening rule.

    Attributes:
        per_side: answered for each side. tier, highest_tier: landmarks that it is meant for.
        requires: another rule and the answers of it with which this one applies; otherwise `otherwise` is said.
        never_flag: describes only. speed_mps: narrower than the rule set's, or None.
        also_shown: metrics that stand beside and decide nothing.
        source: where the thresholds come from. provisional: chosen, not measured.
    """

    id: str
    title: str
    per_side: bool
    tier: Tier
    highest_tier: Tier
    combine: Combine
    measures: tuple[Measure, ...]
    source: str
    provisional: bool
    can_produce: tuple[str, ...]
    requires: tuple[str, tuple[FindingStatus, ...]] | None = None
    otherwise: str = ""
    never_flag: bool = False
    speed_mps: tuple[float, float] | None = None
    also_shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleSet:
    """All rules of a lab, in the order that they are answered in.

    Attributes:
        closing: sentences that end every finding. names: metric id -> what it is called in a sentence.
        min_strides: per side. speed_mps: lowest and highest speed that the references cover.
    """

    name: str
    version: int
    closing: tuple[str, ...]
    names: Mapping[str, str]
    min_strides: int
    speed_mps: tuple[float, float]
    rules: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """Name and version, as findings carry it."""
        return f"{self.name} {self.version}"
