"""When and where every step lands: the score that the gait plays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from labsys.core.arrays import FloatArray
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.published import Style

# Standard deviations over strides at scale 1 (running; about what a fit adult shows at a steady speed).
_SD_STEP_SHARE = 0.010
_SD_CONTACT_S = 0.0025
_SD_STRIKE_PITCH_RAD = math.radians(1.2)
_SD_OFF_PITCH_RAD = math.radians(0.6)
_SD_PLACE_Z_M = 0.006
_SD_AMPLITUDE = 0.06
_SD_HIP_RAD = math.radians(0.8)
_SD_KNEE_RAD = math.radians(1.0)
_SD_RISE_M = 0.001
_CONTACT_AHEAD = 0.7  # a longer contact begins further ahead, too: this share of it does not show behind the hip
_MIN_FLIGHT_S = 0.015


@dataclass(frozen=True, eq=False)
class Plan:
    """Steps in order; sides alternate. All arrays (N,), one value per step.

    Attributes:
        sides: "R" or "L" per step.
        strike_s, contact_s: foot strike, and its contact.
        place_x_m, place_z_m: where the flat ankle stands at strike, from the hips' path.
        knee_strike_rad: knee flexion at strike; rise_m: hips at toe-off above hips at strike. The heights follow.
        strike_y_m, off_y_m: height of the hips at strike and at toe-off (walking uses the mean of strike_y_m).
        strike_rad, off_rad: foot pitch.
        amplitude: factor on pelvis and trunk motion.
    """

    sides: tuple[str, ...]
    strike_s: FloatArray
    contact_s: FloatArray
    place_x_m: FloatArray
    place_z_m: FloatArray
    knee_strike_rad: FloatArray
    rise_m: FloatArray
    strike_y_m: FloatArray
    off_y_m: FloatArray
    strike_rad: FloatArray
    off_rad: FloatArray
    amplitude: FloatArray

    @property
    def off_s(self) -> FloatArray:
        """Toe-off times, (N,) s."""
        return np.asarray(self.strike_s + self.contact_s)

    def steps_of(self, side: str) -> list[int]:
        """Indices of the steps of one side."""
        return [k for k, s in enumerate(self.sides) if s == side]


@dataclass(frozen=True, eq=False)
class HipResponse:
    """How far ahead a foot lands (M,) m for a change of peak hip extension (M,) rad, increasing; from the solver."""

    hip_rad: FloatArray
    place_m: FloatArray

    def place_for(self, hip_change_rad: FloatArray) -> FloatArray:
        """Landing place relative to the nominal one, m; changes beyond the table stay at its ends."""
        return np.interp(hip_change_rad, self.hip_rad, self.place_m)


def plan_regular(
    style: Style, parameters: RunnerParameters, place_m: Mapping[str, float], *, n_steps: int, start_s: float
) -> Plan:
    """Steps without any variability, heights still at zero; the first is a right one. place_m: per side."""
    sides = tuple("RL"[k % 2] for k in range(n_steps))
    sign = np.array([1.0 if s == "R" else -1.0 for s in sides])
    asymmetry = parameters.asymmetry
    step_s = style.step_s + 0.5 * asymmetry.step_time_s * sign
    return Plan(
        sides=sides,
        strike_s=start_s + np.concatenate([[0.0], np.cumsum(step_s)[:-1]]),
        contact_s=style.contact_s + 0.5 * asymmetry.contact_time_s * sign,
        place_x_m=np.array([place_m[s] for s in sides]),
        place_z_m=style.width_m * sign,
        knee_strike_rad=np.full(n_steps, style.knee_strike_rad),
        rise_m=np.full(n_steps, style.rise_m),
        strike_y_m=np.zeros(n_steps),
        off_y_m=np.zeros(n_steps),
        strike_rad=np.full(n_steps, style.strike_rad),
        off_rad=np.full(n_steps, style.off_rad),
        amplitude=np.ones(n_steps),
    )


_SCATTERED = ("step", "contact", "hip", "knee", "rise", "width", "strike", "off", "amplitude")


def scatter_plan(
    plan: Plan, style: Style, parameters: RunnerParameters, response: Mapping[str, HipResponse], seed: int
) -> Plan:
    """Add stride-to-stride scatter and drift to a regular plan. response: per side."""
    v = parameters.variability
    rng = np.random.default_rng([seed, 37])
    n = plan.strike_s.size
    noise = {name: v.scale * correlated_steps(rng, n, v.lag1) for name in _SCATTERED}
    step_s = np.diff(plan.strike_s) * (1.0 + _SD_STEP_SHARE * noise["step"][:-1])
    strike_s = plan.strike_s[0] + np.concatenate([[0.0], np.cumsum(step_s)])
    contact_s = np.minimum(plan.contact_s + _SD_CONTACT_S * noise["contact"], _longest_contact(strike_s, style))
    hip_rad = _SD_HIP_RAD * noise["hip"] + v.hip_extension_drift_rad_per_min * strike_s / 60.0
    moved_m = np.array([float(response[s].place_for(h)) for s, h in zip(plan.sides, hip_rad, strict=True)])
    return replace(
        plan,
        strike_s=strike_s,
        contact_s=contact_s,
        place_x_m=plan.place_x_m + moved_m + _CONTACT_AHEAD * style.speed_mps * (contact_s - plan.contact_s),
        place_z_m=plan.place_z_m + _SD_PLACE_Z_M * noise["width"],
        knee_strike_rad=plan.knee_strike_rad + _SD_KNEE_RAD * noise["knee"],
        rise_m=plan.rise_m + _SD_RISE_M * noise["rise"],
        strike_rad=_keep_strike(plan.strike_rad, plan.strike_rad + _SD_STRIKE_PITCH_RAD * noise["strike"]),
        off_rad=plan.off_rad + _SD_OFF_PITCH_RAD * noise["off"],
        amplitude=plan.amplitude + _SD_AMPLITUDE * noise["amplitude"],
    )


def correlated_steps(rng: np.random.Generator, n: int, lag1: float) -> FloatArray:
    """Noise (n,) over alternating steps, of unit variance about a mean of zero per side, with this lag-1
    autocorrelation within each side."""
    white = rng.standard_normal(n)
    out = white.copy()
    for k in range(2, n):
        out[k] = lag1 * out[k - 2] + math.sqrt(1.0 - lag1**2) * white[k]
    out = np.clip(out, -2.5, 2.5)
    for first in (0, 1):
        out[first::2] -= out[first::2].mean()
    return out


def _longest_contact(strike_s: FloatArray, style: Style) -> FloatArray:
    """Running never loses its flight: contact ends before the other foot lands."""
    if style.walking:
        return np.full(strike_s.size, np.inf)
    gaps = np.append(np.diff(strike_s), strike_s[-1] - strike_s[-2])
    return np.asarray(gaps - _MIN_FLIGHT_S)


def _keep_strike(nominal_rad: FloatArray, scattered_rad: FloatArray) -> FloatArray:
    """A runner does not change strike type from step to step: pitch keeps its sign."""
    floor = 0.3 * np.abs(nominal_rad)
    return np.asarray(np.sign(nominal_rad) * np.maximum(np.sign(nominal_rad) * scattered_rad, floor))
