"""What people do at a given speed: the published means that a synthetic runner follows.

Running: cadence and duty factor at 2.5, 3.5, 4.5 m/s (Fukuchi 2017, 10.7717/peerj.3298, and its re-analysis), peak hip
extension 13-15 degrees at 2.5 m/s (inter-laboratory data set of Fukuchi, Duarte and Ferber), knee at strike and in
stance (Heiderscheit 2011, 10.1249/MSS.0b013e3181ebedf4), knee and hip in swing (Novacheck 1998,
10.1016/S0966-6362(97)00038-6), pelvis and lumbar ranges (Schache 2002, Perpina-Martinez 2023), more anterior tilt in
running than in standing (Franz 2009). How hip, knee and foot angles change with speed beyond that is chosen here, so
that feet stay in reach and clear the belt. Walking: after Winter, "The Biomechanics and Motor Control of Human Gait"
(1991). Values are means of a style, not of a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from labsys.core.errors import InputError
from labsys.core.session import TrialKind
from pipelines.synthetic.parameters import RunnerParameters, Strike

GRAVITY_MPS2 = 9.81
# Third harmonic of the vertical stance force over its first: fuller than a half-sine, as an early impact makes it.
FORCE_THIRD = 0.1
_LEG_M = 0.86  # for a first guess of how much trailing distance a degree of hip extension costs


@dataclass(frozen=True)
class Style:
    """A gait in numbers, both sides alike. Angles against standing unless said otherwise.

    Attributes:
        step_s, contact_s: mean step and contact time.
        hip_peak_rad, knee_strike_rad: what the leg geometry is solved for. rise_m: hips at toe-off above those at
            strike, as far as a knee flexed by knee_off_least_rad lets them.
        knee_off_rate_rad_s, knee_off_acceleration_rad_s2: knee flexion at toe-off. Runners stop extending the knee just
            as the toe leaves (Fellin 2010, 10.1016/j.jsams.2010.03.006); walkers flex it well before.
        strike_rad, strike_rate_rad_s, flat_from_s, flat_to_s: foot pitch at and after strike.
        approach_rate_rad_s: pitch rate just before strike. landing_mps: velocity of the landing shoe point against the
            belt, forward and down, before the knee's limit in `legs` adds to it;
            least_landing_mps: downward at least.
        off_rad: foot pitch at toe-off.
        knee_swing_rad, hip_swing_rad, ankle_swing_rad: keyframes at the shares of swing in `*_at`.
        knee_reach_rad: how much straighter than at strike the knee is just before it.
        rotation_rom_rad, obliquity_rom_rad, tilt_rom_rad, tilt_rise_rad: pelvis ranges, mean tilt above standing.
        tilt_bump_rad: extra anterior tilt, at its most in late stance.
        lean_rad, lean_rom_rad: thorax.
        sway_m: half range of the hips' side-to-side motion. surge_mps: half range of their forward speed.
        width_m: half the step width, toe_out_rad: foot heading.
        bounce_m: walking only, vertical range of the hips.
        arm_swing_rad, elbow_rad: arms.
    """

    walking: bool
    speed_mps: float
    step_s: float
    contact_s: float
    hip_peak_rad: float
    knee_strike_rad: float
    rise_m: float
    knee_off_least_rad: float
    knee_off_rate_rad_s: float
    knee_off_acceleration_rad_s2: float
    strike_rad: float
    strike_rate_rad_s: float
    approach_rate_rad_s: float
    landing_mps: tuple[float, float]
    least_landing_mps: float
    flat_from_s: float
    flat_to_s: float
    off_rad: float
    knee_swing_rad: float
    knee_swing_at: float
    knee_reach_rad: float
    knee_reach_at: float
    hip_swing_rad: float
    hip_swing_at: float
    ankle_swing_rad: float
    ankle_swing_at: tuple[float, ...]
    rotation_rom_rad: float
    obliquity_rom_rad: float
    tilt_rom_rad: float
    tilt_rise_rad: float
    tilt_bump_rad: float
    lean_rad: float
    lean_rom_rad: float
    sway_m: float
    surge_mps: float
    width_m: float
    toe_out_rad: float
    bounce_m: float
    arm_swing_rad: float
    elbow_rad: float

    @property
    def duty(self) -> float:
        """Contact as a share of the stride."""
        return self.contact_s / (2.0 * self.step_s)


# strike: pitch (deg), rate after (rad/s), approach rate (rad/s), landing velocity (m/s), flat after (s)
_STRIKES: dict[Strike, tuple[float, float, float, tuple[float, float], float]] = {
    Strike.REAR: (13.0, -5.5, -1.5, (0.30, 0.05), 0.060),
    Strike.MID: (2.0, -1.0, -0.5, (0.30, 0.10), 0.030),
    Strike.FORE: (-8.0, 3.5, 0.5, (0.25, 0.05), 0.060),
}


def resolve_style(parameters: RunnerParameters, kind: TrialKind) -> Style:
    """The style of this runner at this speed.

    Raises:
        InputError: a speed at which nobody runs, or walks.
    """
    return _walking(parameters) if kind is TrialKind.WALK else _running(parameters)


def _running(parameters: RunnerParameters) -> Style:
    v = parameters.speed_mps
    if not 2.0 <= v <= 5.5:
        raise InputError(f"{v:g} m/s is no running speed for the synthetic runner", remedy="Use 2.2 to 5 m/s")
    step, contact = _running_times(parameters)
    usual_contact = _usual_times(v)[1]
    # Longer contact carries the body further past the foot, half of it behind the hip.
    natural = math.radians(14.0 + 3.0 * (v - 2.5)) + 0.5 * v * (contact - usual_contact) / _LEG_M
    lost = _lost_extension_rad(parameters, natural)
    legs = (1.0 - parameters.lumbar_gain) * lost
    # Shortened behind the body, a runner spends it on cadence and on flight alike.
    share = 1.0 - 0.45 * legs * _LEG_M / (v * contact)
    contact *= share
    step = step if parameters.cadence_hz else max(step * math.sqrt(share), contact + 0.02)
    pitch, rate, approach, landing, flat = _STRIKES[parameters.strike]
    rom = parameters.pelvis_rotation_rom_rad
    return Style(
        walking=False, speed_mps=v, step_s=step, contact_s=contact, hip_peak_rad=natural - lost,
        knee_strike_rad=math.radians(17.0 + 2.0 * (v - 2.5)), rise_m=0.004, knee_off_least_rad=math.radians(15.0),
        knee_off_rate_rad_s=0.0, knee_off_acceleration_rad_s2=45.0,
        strike_rad=math.radians(pitch), strike_rate_rad_s=rate, approach_rate_rad_s=approach, landing_mps=landing,
        least_landing_mps=0.40,
        flat_from_s=flat, flat_to_s=max(0.48 * contact, flat + 0.02),
        off_rad=math.radians(-50.0 - 4.0 * (v - 2.5)) + 0.5 * legs,
        knee_swing_rad=math.radians(92.0 + 8.0 * (v - 2.5)), knee_swing_at=0.46,
        knee_reach_rad=math.radians(4.0), knee_reach_at=0.93,
        hip_swing_rad=math.radians(36.0 + 7.0 * (v - 2.5)), hip_swing_at=0.70,
        ankle_swing_rad=math.radians(1.0), ankle_swing_at=(0.55, 0.82),
        rotation_rom_rad=math.radians(11.0 + 1.5 * (v - 2.5)) if rom is None else rom,
        obliquity_rom_rad=math.radians(8.6), tilt_rom_rad=math.radians(6.0), tilt_rise_rad=math.radians(4.5),
        tilt_bump_rad=parameters.lumbar_gain * lost, lean_rad=parameters.trunk_lean_rad, lean_rom_rad=math.radians(2.5),
        sway_m=0.006, surge_mps=0.08, width_m=0.03, toe_out_rad=math.radians(6.0), bounce_m=0.0,
        arm_swing_rad=math.radians(28.0), elbow_rad=math.radians(95.0),
    )  # fmt: skip


def _walking(parameters: RunnerParameters) -> Style:
    v = parameters.speed_mps
    if not 0.95 <= v <= 1.65:
        raise InputError(f"{v:g} m/s is no walking speed for the synthetic walker", remedy="Use 1.0 to 1.6 m/s")
    natural = math.radians(15.0 + 9.0 * (v - 1.0))
    lost = _lost_extension_rad(parameters, natural)
    step = 1.0 / (parameters.cadence_hz or 1.35 + 0.42 * v)
    contact = 2.0 * step * (0.655 - 0.03 * v)
    rom = parameters.pelvis_rotation_rom_rad
    return Style(
        walking=True, speed_mps=v, step_s=step, contact_s=contact, hip_peak_rad=natural - lost,
        knee_strike_rad=math.radians(8.0), rise_m=0.0, knee_off_least_rad=0.0,
        knee_off_rate_rad_s=3.0, knee_off_acceleration_rad_s2=15.0,
        strike_rad=math.radians(20.0), strike_rate_rad_s=-3.0, approach_rate_rad_s=-0.5, landing_mps=(0.10, 0.05),
        least_landing_mps=0.15,
        flat_from_s=0.14 * contact, flat_to_s=0.42 * contact, off_rad=math.radians(-58.0),
        knee_swing_rad=math.radians(62.0), knee_swing_at=0.28,
        knee_reach_rad=math.radians(3.0), knee_reach_at=0.92,
        hip_swing_rad=math.radians(28.0), hip_swing_at=0.75,
        ankle_swing_rad=math.radians(1.0), ankle_swing_at=(0.5,),
        rotation_rom_rad=math.radians(8.0) if rom is None else rom,
        obliquity_rom_rad=math.radians(7.0), tilt_rom_rad=math.radians(2.5), tilt_rise_rad=math.radians(1.0),
        tilt_bump_rad=parameters.lumbar_gain * lost, lean_rad=0.4 * parameters.trunk_lean_rad,
        lean_rom_rad=math.radians(1.5), sway_m=0.018, surge_mps=0.10, width_m=0.05, toe_out_rad=math.radians(7.0),
        bounce_m=0.006 + 0.018 * v, arm_swing_rad=math.radians(18.0), elbow_rad=math.radians(25.0),
    )  # fmt: skip


def _lost_extension_rad(parameters: RunnerParameters, natural_rad: float) -> float:
    cap = parameters.hip_extension_cap_rad
    return 0.0 if cap is None else max(0.0, natural_rad - cap)


def _usual_times(speed_mps: float) -> tuple[float, float]:
    """Step and contact time at this speed, s."""
    step = 1.0 / (2.254 + 0.175 * speed_mps)
    duty = float(np.polyval(np.polyfit([2.5, 3.5, 4.5], [0.394, 0.348, 0.328], 2), min(speed_mps, 4.5)))
    return step, 2.0 * step * (duty - 0.03 * max(speed_mps - 4.5, 0.0))


def _running_times(parameters: RunnerParameters) -> tuple[float, float]:
    """Step and contact time, s, as cadence and vertical oscillation ask."""
    step, contact = _usual_times(parameters.speed_mps)
    if parameters.cadence_hz:
        contact *= (1.0 / parameters.cadence_hz) / step
        step = 1.0 / parameters.cadence_hz
    if parameters.vertical_oscillation_m is None:
        return step, contact
    if parameters.cadence_hz:
        return step, _contact_for_bounce(step, parameters.vertical_oscillation_m)
    # Higher bounces take longer: with the same share of flight, travel goes with the square of step time.
    slower = math.sqrt(parameters.vertical_oscillation_m / bounce_of(step, contact))
    return step * slower, contact * slower


def _contact_for_bounce(step_s: float, bounce_m: float) -> float:
    """Contact time at which a step of this duration makes the hips travel this far."""
    contacts = np.linspace(0.35 * step_s, step_s - 0.01, 400)
    travel = np.array([bounce_of(step_s, float(c)) for c in contacts])
    if not travel.min() <= bounce_m <= travel.max():
        raise InputError(
            f"a vertical oscillation of {1000 * bounce_m:.0f} mm does not go with {1 / step_s:.2f} steps per second",
            remedy=f"Use {1000 * travel.min():.0f} to {1000 * travel.max():.0f} mm",
        )
    return float(np.interp(bounce_m, travel[::-1], contacts[::-1]))


def bounce_of(step_s: float, contact_s: float) -> float:
    """Vertical travel of a body bounced by the stance force of `trunk`: fall and rise in stance, rise in flight, m."""
    flight = step_s - contact_s
    peak = GRAVITY_MPS2 * step_s * math.pi / (2.0 * contact_s) / (1.0 + FORCE_THIRD / 3.0)
    first = 1.0 / (2.0 * math.pi) - 1.0 / math.pi**2
    third = 1.0 / (6.0 * math.pi) + 1.0 / (9.0 * math.pi**2)
    rise = peak * contact_s**2 * (first + FORCE_THIRD * third) - GRAVITY_MPS2 * contact_s**2 / 8.0
    fall = 0.25 * GRAVITY_MPS2 * flight * contact_s
    return fall - rise + GRAVITY_MPS2 * flight**2 / 8.0
