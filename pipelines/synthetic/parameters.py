"""What a synthetic runner is asked to do: style of gait, variability, body."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from labsys.core.errors import InputError


class Strike(StrEnum):
    """Which part of the shoe meets the belt first."""

    REAR = "rear"
    MID = "mid"
    FORE = "fore"


class Anatomy(StrEnum):
    """How the body relates to what estimators assume.

    REGRESSION: hip centres where Harrington's regression puts them, epicondyles centred on the knee and so on; an
        estimator by the book is exact. DEVIATING: every landmark and joint centre deviates as in real subjects.
    """

    REGRESSION = "regression"
    DEVIATING = "deviating"


@dataclass(frozen=True)
class Asymmetry:
    """Right minus left, as change of each side by half of it.

    hip_extension_rad: peak hip extension; contact_time_s: contact; step_time_s: duration of the step that begins with
    the right foot strike minus that of the left.
    """

    hip_extension_rad: float = 0.0
    contact_time_s: float = 0.0
    step_time_s: float = 0.0

    def mirrored(self) -> Asymmetry:
        """The same asymmetry with left and right exchanged."""
        return Asymmetry(-self.hip_extension_rad, -self.contact_time_s, -self.step_time_s)


@dataclass(frozen=True)
class Variability:
    """Stride-to-stride scatter and slow drift.

    Attributes:
        scale: multiplies every standard deviation; 0 makes all strides equal.
        lag1: lag-1 autocorrelation of the scatter over steps of one side, 0..0.9.
        hip_extension_drift_rad_per_min: slow change of peak hip extension over the capture (fatigue is negative).
    """

    scale: float = 1.0
    lag1: float = 0.3
    hip_extension_drift_rad_per_min: float = 0.0

    def __post_init__(self) -> None:
        if self.scale < 0 or not 0 <= self.lag1 <= 0.9:
            raise InputError(
                f"variability scale={self.scale:g}, lag1={self.lag1:g} is out of range",
                remedy="scale >= 0, lag1 0..0.9",
            )


NO_VARIABILITY = Variability(scale=0.0, lag1=0.0)


@dataclass(frozen=True)
class RunnerParameters:
    """A runner (or walker) and the way he or she moves. None means "as published at this speed".

    Attributes:
        speed_mps: belt speed; running 2.2..5, walking 1..1.6.
        strike: part of the shoe that lands first (walking always lands on the heel).
        hip_extension_cap_rad: upper limit of the mean true peak hip extension against standing, or None.
        lumbar_gain: share of the hip extension lost to the cap that anterior tilt and lumbar extension replace, 0..1.
        pelvis_rotation_rom_rad: range of pelvic transverse rotation over a stride.
        trunk_lean_rad: mean forward lean of the thorax against standing.
        vertical_oscillation_m: vertical travel of the hips per step of a runner: sets cadence, or the share of flight
            where cadence is given.
        cadence_hz: steps per second.
        asymmetry, variability: between the sides, between strides.
        anatomy: see `Anatomy`.
        height_m: body height; segment lengths follow it.
    """

    speed_mps: float = 3.0
    strike: Strike = Strike.REAR
    hip_extension_cap_rad: float | None = None
    lumbar_gain: float = 0.0
    pelvis_rotation_rom_rad: float | None = None
    trunk_lean_rad: float = math.radians(6.0)
    vertical_oscillation_m: float | None = None
    cadence_hz: float | None = None
    asymmetry: Asymmetry = field(default_factory=Asymmetry)
    variability: Variability = field(default_factory=Variability)
    anatomy: Anatomy = Anatomy.DEVIATING
    height_m: float = 1.75

    def __post_init__(self) -> None:
        if not 0.9 <= self.speed_mps <= 5.5:
            raise InputError(
                f"speed {self.speed_mps:g} m/s is outside what the synthetic runner can do", remedy="Use 1 to 5 m/s"
            )
        if self.hip_extension_cap_rad is not None and not math.isfinite(self.hip_extension_cap_rad):
            raise InputError("a cap of hip extension that is no number", remedy="Give degrees, or no cap")
        if not 0.0 <= self.lumbar_gain <= 1.0:
            raise InputError(f"lumbar gain {self.lumbar_gain:g} is not a share", remedy="Use 0 to 1")
        if not 1.4 <= self.height_m <= 2.1:
            raise InputError(f"body height {self.height_m:g} m is outside 1.4 to 2.1 m")

    def mirrored(self) -> RunnerParameters:
        """The same runner with what differs between the sides exchanged."""
        return replace(self, asymmetry=self.asymmetry.mirrored())
