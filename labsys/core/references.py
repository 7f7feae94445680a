"""What others show: reference values as frozen tables, and a lab's own in the same type. A reference is not a norm.

A reference stands beside a metric only where its surface and speed are those of the trial; between speeds it is
interpolated, never carried beyond them. Published ones were measured by another method, and say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labsys.core.catalogue import find_metric
from labsys.core.session import Surface
from labsys.core.units import Unit, to_inside

MEN, WOMEN = "men", "women"
# A lab's own group of one sex and speed counts from this many runners on.
MIN_OWN_SUBJECTS = 20
# A reference at one speed holds this far from it (chosen); a lab's own within what pairs in a comparison.
_SPEED_REACH_MPS = 0.25
OWN_SPEED_REACH = 0.03


@dataclass(frozen=True)
class ReferenceValue:
    """What one source shows of one metric, inside units.

    Attributes:
        mean, sd, low, high: NaN where the source does not give it; low to high is a range of means.
        speeds_mps: lowest and highest speed where it holds; None where it was not retrieved: then it is never shown.
        surface: what its runners ran on. sex: "men", "women" or "" for both. n: runners.
        own: this lab's own, through this pipeline. provisional: read off a figure or chosen, not tabulated.
        tier, version: landmarks and definition version of a lab's own; None and 0 for published ones.
    """

    metric: str
    mean: float
    sd: float
    n: int
    speeds_mps: tuple[float, float] | None
    method: str
    source: str
    low: float = math.nan
    high: float = math.nan
    sex: str = ""
    surface: Surface = Surface.TREADMILL
    own: bool = False
    provisional: bool = False
    tier: str = ""
    version: int = 0

    @property
    def compared_as(self) -> str:
        """What a distance from it means."""
        return "this lab's own" if self.own else "published, other method"


@dataclass(frozen=True)
class SpeedSeries:
    """A published metric at several speeds, straight between them."""

    metric: str
    speeds_mps: tuple[float, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    n: int
    method: str
    source: str

    def at(self, speed_mps: float) -> ReferenceValue | None:
        """The reference at a speed, or None outside the speeds measured."""
        if not self.speeds_mps[0] <= speed_mps <= self.speeds_mps[-1]:
            return None
        mean, sd = (float(np.interp(speed_mps, self.speeds_mps, row)) for row in (self.means, self.sds))
        span = (self.speeds_mps[0], self.speeds_mps[-1])
        return ReferenceValue(self.metric, mean, sd, self.n, span, self.method, self.source)


@dataclass(frozen=True)
class ReferenceTable:
    """All references that a lab holds: published ones, and its own."""

    published: tuple[ReferenceValue, ...]
    series: tuple[SpeedSeries, ...]
    own: tuple[ReferenceValue, ...] = ()

    def find(
        self, metric_id: str, *, surface: Surface | None, speed_mps: float, sex: str, tier: str
    ) -> tuple[ReferenceValue, ...]:
        """What may stand beside a metric of a trial, the lab's own first; nothing where surface or speed is unknown."""
        if surface is None or not math.isfinite(speed_mps):
            return ()
        version = find_metric(metric_id).version
        own = [r for r in self.own if (r.tier, r.version) == (tier, version) and r.sex == sex]
        fixed = [r for r in (*own, *self.published) if r.metric == metric_id and _holds(r, surface, speed_mps, sex)]
        between = [s.at(speed_mps) for s in self.series if s.metric == metric_id and surface is Surface.TREADMILL]
        return (*fixed, *(r for r in between if r is not None))

    def find_own(
        self, metric_id: str, *, surface: Surface | None, speed_mps: float, sex: str, tier: str
    ) -> ReferenceValue | None:
        """The lab's own reference of a metric, or None."""
        found = self.find(metric_id, surface=surface, speed_mps=speed_mps, sex=sex, tier=tier)
        return next((r for r in found if r.own), None)


@dataclass(frozen=True)
class OwnReference:
    """One metric over a lab's own runners of one sex at one speed, inside units; a runner counts once."""

    metric: str
    sex: str
    speed_mps: float
    surface: Surface
    tier: str
    version: int
    n: int
    mean: float
    sd: float

    def as_value(self) -> ReferenceValue:
        """As it stands beside metrics: within what pairs in a comparison."""
        reach = OWN_SPEED_REACH * self.speed_mps
        return ReferenceValue(
            metric=self.metric,
            mean=self.mean,
            sd=self.sd,
            n=self.n,
            speeds_mps=(self.speed_mps - reach, self.speed_mps + reach),
            method="this pipeline",
            source="this lab",
            sex=self.sex,
            surface=self.surface,
            own=True,
            tier=self.tier,
            version=self.version,
        )


@dataclass(frozen=True)
class OwnReferences:
    """references/running.json: what a lab learnt from its own runners, when, and from whom."""

    learnt_at: str
    subjects: tuple[str, ...]
    values: tuple[OwnReference, ...]


def _holds(reference: ReferenceValue, surface: Surface, speed_mps: float, sex: str) -> bool:
    if reference.surface is not surface or reference.speeds_mps is None:
        return False
    if reference.sex and sex and reference.sex != sex:
        return False
    low, high = reference.speeds_mps
    return low <= speed_mps <= high


def speed_held_against(stated_mps: float | None, measured_mps: float) -> float:
    """The speed at which a trial is held against references and rules, m/s; NaN where unknown.

    As stated; as measured where nothing was stated, or where the two contradict each other: a mistyped speed, or a belt
    that runs otherwise, must not choose the reference.
    """
    if stated_mps is None or abs(measured_mps - stated_mps) > OWN_SPEED_REACH * stated_mps:
        return measured_mps
    return stated_mps


def sex_word(text: str) -> str:
    """What a lab wrote as sex, as references name it: "men", "women", or "" where it says neither."""
    first = text.strip().lower()[:1]
    return {"m": MEN, "f": WOMEN, "w": WOMEN}.get(first, "")


def _rad(first_deg: float, second_deg: float) -> tuple[float, float]:
    return to_inside(first_deg, Unit.DEG), to_inside(second_deg, Unit.DEG)


def _near(speed_mps: float) -> tuple[float, float]:
    return speed_mps - _SPEED_REACH_MPS, speed_mps + _SPEED_REACH_MPS


_MARKERS = "optical markers"
_IMU = "inertial sensor"
_TWO_LABS = "Fukuchi, Duarte & Ferber, inter-laboratory data set (CC BY 4.0), read off its figure to 1 deg"
_FUKUCHI = "Fukuchi 2017, doi:10.7717/peerj.3298"
_MALISOUX = "Malisoux 2023, PMC10588426"
_PERPINA = "Perpina-Martinez 2023, doi:10.3390/ijerph20043631"
_TENG = "Teng & Powers 2015"
_HEIDERSCHEIT = "Heiderscheit 2011, PMC3022995"
# 9.9 ± 1.5 km/h, mean ± SD: the runners' own preferred speeds.
_PREFERRED_MPS = ((9.9 - 1.5) / 3.6, (9.9 + 1.5) / 3.6)
_NAN = math.nan

PUBLISHED = ReferenceTable(
    published=(
        ReferenceValue("hip_ext_pelvis_peak", *_rad(13.0, 4.5), 23, _near(2.5), _MARKERS, f"{_TWO_LABS} (first laboratory)",
                  provisional=True),
        ReferenceValue("hip_ext_pelvis_peak", *_rad(15.0, 6.0), 23, _near(2.5), _MARKERS, f"{_TWO_LABS} (second laboratory)",
                  provisional=True),
        ReferenceValue("pelvis_rot_rom", _NAN, _NAN, 101, None, _IMU, _PERPINA, *_rad(9.7, 13.6), sex=MEN),
        ReferenceValue("pelvis_rot_rom", _NAN, _NAN, 101, None, _IMU, _PERPINA, *_rad(13.2, 16.1), sex=WOMEN),
        ReferenceValue("pelvis_tilt_rom", _NAN, _NAN, 101, None, _IMU, _PERPINA, *_rad(5.9, 6.5), sex=MEN),
        ReferenceValue("pelvis_tilt_rom", _NAN, _NAN, 101, None, _IMU, _PERPINA, *_rad(6.3, 7.4), sex=WOMEN),
        ReferenceValue("trunk_lean_stance_mean", *_rad(3.6, 2.8), 20, _near(3.4), _MARKERS, f"{_TENG} (half of 40 with less lean)",
                  surface=Surface.OVERGROUND),
        ReferenceValue("trunk_lean_stance_mean", *_rad(10.8, 2.2), 20, _near(3.4), _MARKERS, f"{_TENG} (half of 40 with more lean)",
                  surface=Surface.OVERGROUND),
        ReferenceValue("knee_flex_at_fs", *_rad(17.8, 4.0), 45, None, _MARKERS, _HEIDERSCHEIT),
        ReferenceValue("knee_flex_peak_stance", *_rad(46.3, 4.5), 45, None, _MARKERS, _HEIDERSCHEIT),
        ReferenceValue("cadence", 164.0 / 60.0, 9.0 / 60.0, 860, _PREFERRED_MPS, "instrumented treadmill", _MALISOUX),
        ReferenceValue("duty_factor", 0.39, 0.04, 860, _PREFERRED_MPS, "instrumented treadmill", _MALISOUX),
        ReferenceValue("vertical_oscillation", 0.077, 0.012, 860, _PREFERRED_MPS, "from forces, at preferred speed", _MALISOUX),
    ),
    series=(
        SpeedSeries("cadence", (2.5, 3.5, 4.5), (162 / 60, 171 / 60, 183 / 60), (_NAN,) * 3, 28, _MARKERS, _FUKUCHI),
        SpeedSeries("stride_length", (2.5, 3.5, 4.5), (1.86, 2.46, 2.96), (_NAN,) * 3, 28, _MARKERS, _FUKUCHI),
        SpeedSeries("duty_factor", (2.5, 3.5, 4.5), (0.394, 0.348, 0.328), (0.028, 0.022, 0.021), 28, _MARKERS,
                    f"{_FUKUCHI}, as analysed again by others"),
    ),
)  # fmt: skip
