"""What a definition of an angle or metric is: its words, its sign, its zero, and what it may be measured against.

Changing a definition makes a new `version`; values of different versions are never compared or trended together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from labsys.core.skeleton import Side, Tier
from labsys.core.units import Unit


class Sided(StrEnum):
    """Whether a quantity exists once or once per side."""

    BOTH = "both"
    PER_SIDE = "per side"

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides under which values are stored."""
        return (Side.BOTH,) if self is Sided.BOTH else (Side.LEFT, Side.RIGHT)


class Reference(StrEnum):
    """What a quantity is measured against; GRAVITY and HEADING ones depend on the calibration's up and forward."""

    PROXIMAL_SEGMENT = "proximal segment"
    GRAVITY = "gravity"
    HEADING = "heading"
    TIME = "time"
    LENGTH = "length"


class ErrorGroup(StrEnum):
    """Metrics that share a measurement error (core/measurement_error.py)."""

    PELVIS_REFERENCED = "pelvis-referenced sagittal angles"
    VERTICAL_REFERENCED = "limb and trunk against vertical"
    DISTAL_AND_PELVIC_ROTATION = "knee, ankle, foot; pelvic rotation and drop"
    VERTICAL_OSCILLATION = "vertical oscillation"
    FOOT_PLACEMENT = "foot placement"
    CADENCE = "cadence"
    CONTACT = "contact and flight time"
    COMPENSATION = "share of thigh motion made by pelvis or spine"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class AngleDefinition:
    """An angle series. Values inside are rad."""

    id: str
    sided: Sided
    description: str
    positive: str
    zero: str
    reference: Reference
    tier: Tier
    source: str
    unit: Unit = Unit.DEG
    version: int = 1

    @property
    def static_referenced(self) -> bool:
        """Whether the reported zero is the subject's own standing posture."""
        return self.zero == "static"


@dataclass(frozen=True)
class MetricDefinition:
    """A number per stride, summarised per trial.

    Attributes:
        static_referenced: needs a static trial. rotation_invariant: a constant rotation of LAB cancels in it.
        derived_from: id of the metric or angle that a value of the whole trial (difference, drift, spread) is made of;
            "" for a value per stride.
        low_confidence: measurable, but known to be the least certain of what landmarks give.
    """

    id: str
    sided: Sided
    unit: Unit
    description: str
    positive: str
    tier: Tier
    reference: Reference
    error_group: ErrorGroup
    source: str
    static_referenced: bool = False
    rotation_invariant: bool = False
    derived_from: str = ""
    low_confidence: bool = False
    version: int = 1
