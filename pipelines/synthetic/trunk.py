"""The hips' path and the pose of pelvis, lumbar spine and thorax over time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from labsys.core.arrays import FloatArray
from pipelines.synthetic.anatomy import STANDING_TILT_RAD
from pipelines.synthetic.plan import Plan
from pipelines.synthetic.published import FORCE_THIRD, GRAVITY_MPS2, Style

_ROTATION_THIRD = 0.12  # share of the third harmonic in pelvic rotation: peaks a little rounder than a sine's
# Height of cos(t) - 0.12 cos(3t): with x = cos t it is 1.36 x - 0.48 x³, highest at x² = 1.36 / 1.44.
_WAVE_PEAK = (1 + 3 * _ROTATION_THIRD) * 2 / 3 * math.sqrt((1 + 3 * _ROTATION_THIRD) / (12 * _ROTATION_THIRD))
# What replaces hip extension is mostly a lasting tilt; this share of it comes and goes with the steps.
_BUMP = 0.3
# Share of the thorax-on-pelvis angle that the lumbar segment takes: flexion, bending, rotation.
LUMBAR_SHARE = np.array([0.6, 0.6, 0.4])


@dataclass(frozen=True, eq=False)
class TrunkMotion:
    """Pelvis and trunk as smooth functions of time.

    Attributes:
        phase: time -> stride phase, integer at right strikes, half at left ones.
        amplitude: time -> factor on all oscillations.
        bounce: height of a runner's hips (a walker's follow `walking_dip_m`).
        wander_m: (n, 3) amplitude, rate (rad/s), phase of slow sines along X; (0, 3) for none.
    """

    style: Style
    plan: Plan
    phase: CubicSpline
    amplitude: CubicSpline
    bounce: Bounce
    wander_m: FloatArray

    def pelvis_rad(self, times_s: FloatArray) -> FloatArray:
        """Baker angles a, b, c of the pelvis, (T, 3) rad; a is minus the anterior tilt."""
        turn, gain, off = self._turns(times_s)
        style = self.style
        tilt = STANDING_TILT_RAD + style.tilt_rise_rad + gain * 0.5 * style.tilt_rom_rad * np.cos(2 * (turn - off))
        tilt += style.tilt_bump_rad * (1.0 - _BUMP + _BUMP * np.cos(2 * (turn - off)))
        obliquity = -gain * 0.5 * style.obliquity_rom_rad * np.cos(turn - 2 * math.pi * 0.16)
        return np.stack([-tilt, obliquity, gain * self._rotation(turn, off)], axis=-1)

    def lumbar_rad(self, times_s: FloatArray) -> FloatArray:
        """JCS angles of the thorax on the pelvis: extension, bending to the right, turn to the left, (T, 3) rad."""
        turn, gain, off = self._turns(times_s)
        pelvis = self.pelvis_rad(times_s)
        style = self.style
        lean = style.lean_rad + gain * 0.5 * style.lean_rom_rad * np.cos(2 * (turn - off) + 2.0)
        bending = -1.1 * pelvis[:, 1]
        thorax_turn = -1.0 * gain * self._rotation(turn - 0.25, off)
        return np.stack([-pelvis[:, 0] - lean, bending, thorax_turn - pelvis[:, 2]], axis=-1)

    def hips_m(self, times_s: FloatArray) -> FloatArray:
        """Midpoint of the hip centres in LAB, (T, 3) m."""
        turn, gain, _ = self._turns(times_s)
        style = self.style
        stance = math.pi * style.duty
        x = -style.surge_mps * style.step_s / (2 * math.pi) * np.sin(2 * (turn - stance))
        for amplitude, rate, start in self.wander_m:
            x = x + amplitude * np.sin(rate * times_s + start)
        z = gain * style.sway_m * np.cos(turn - stance)
        if style.walking:
            height = float(np.mean(self.plan.strike_y_m)) + walking_dip_m(self, times_s)
        else:
            height = self.bounce.height_m(times_s)
        return np.stack([x, height, z], axis=-1)

    def _turns(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        turn = 2 * math.pi * np.asarray(self.phase(times_s))
        return turn, np.asarray(self.amplitude(times_s)), 2 * math.pi * self.style.duty

    def _rotation(self, turn: FloatArray, off: float) -> FloatArray:
        """Transverse rotation: running, furthest to the extending side at toe-off; walking, forward side at strike."""
        peak = off - math.pi if not self.style.walking else 0.0
        wave = np.cos(turn - peak) - _ROTATION_THIRD * np.cos(3 * (turn - peak))
        return np.asarray(0.5 * self.style.rotation_rom_rad * wave / _WAVE_PEAK)


def make_trunk(style: Style, plan: Plan, *, wander_m: FloatArray) -> TrunkMotion:
    """Trunk motion in step with a plan."""
    phases = 0.5 * np.arange(plan.strike_s.size)
    return TrunkMotion(
        style=style,
        plan=plan,
        phase=CubicSpline(plan.strike_s, phases),
        amplitude=CubicSpline(plan.strike_s, plan.amplitude),
        bounce=make_bounce(plan),
        wander_m=wander_m,
    )


def no_wander() -> FloatArray:
    """A runner who keeps his place on the belt."""
    return np.zeros((0, 3))


def draw_wander(scale: float, seed: int) -> FloatArray:
    """Slow drift along the belt: three sines of 12 to 40 s, about 2 cm each at scale 1."""
    rng = np.random.default_rng([seed, 41])
    periods_s = np.array([13.0, 22.0, 40.0]) * rng.uniform(0.9, 1.1, 3)
    return np.stack(
        [scale * rng.uniform(0.01, 0.025, 3), 2 * math.pi / periods_s, rng.uniform(0, 2 * math.pi, 3)], axis=1
    )


def walking_dip_m(trunk: TrunkMotion, times_s: FloatArray) -> FloatArray:
    """Height of a walker's hips against their mean, (T,) m: an inverted pendulum, lowest in mid double support."""
    style = trunk.style
    turn = 2 * math.pi * np.asarray(trunk.phase(times_s))
    low = 2 * math.pi * 0.25 * (style.contact_s - style.step_s) / style.step_s
    return np.asarray(-np.asarray(trunk.amplitude(times_s)) * 0.5 * style.bounce_m * np.cos(2 * (turn - low)))


@dataclass(frozen=True, eq=False)
class Bounce:
    """A runner's hips going up and down. Flight is ballistic; in stance a half-sine force and two harmonics take the
    hips from strike to toe-off: the third harmonic has a fixed share, the first is set by the speeds at both ends, the
    second by the heights. Acceleration is -g in flight and at both ends of stance, so height is twice continuously
    differentiable.

    Attributes (all (N,) per step): vertical speed at strike and at toe-off (m/s), first and second harmonic (m/s²).
    """

    plan: Plan
    strike_mps: FloatArray
    off_mps: FloatArray
    first_mps2: FloatArray
    second_mps2: FloatArray

    def height_m(self, times_s: FloatArray) -> FloatArray:
        """Height of the hips, (T,) m."""
        plan = self.plan
        k = np.clip(np.searchsorted(plan.strike_s, times_s, side="right") - 1, 0, plan.strike_s.size - 1)
        since, c = times_s - plan.strike_s[k], plan.contact_s[k]
        in_stance = since <= c
        turn = math.pi * np.where(in_stance, since, 0.0) / c
        first = turn - np.sin(turn) + FORCE_THIRD * (turn / 3 - np.sin(3 * turn) / 9)
        second = turn / 2 - np.sin(2 * turn) / 4
        push = (c / math.pi) ** 2 * (self.first_mps2[k] * first + self.second_mps2[k] * second)
        stance = plan.strike_y_m[k] + self.strike_mps[k] * since - 0.5 * GRAVITY_MPS2 * since**2 + push
        after = since - c
        flight = plan.off_y_m[k] + self.off_mps[k] * after - 0.5 * GRAVITY_MPS2 * after**2
        return np.where(in_stance, stance, flight)


def make_bounce(plan: Plan) -> Bounce:
    """Solve the stance force of every step for the speeds that flight asks for at both its ends."""
    flight_s = np.append(plan.strike_s[1:] - plan.off_s[:-1], plan.strike_s[-1] - plan.off_s[-2])
    landing_m = np.append(plan.strike_y_m[1:], plan.strike_y_m[-2])
    off_mps = (landing_m - plan.off_y_m) / flight_s + 0.5 * GRAVITY_MPS2 * flight_s
    strike_mps = np.append(off_mps[-2], off_mps[:-1] - GRAVITY_MPS2 * flight_s[:-1])
    c, both = plan.contact_s, 1 + FORCE_THIRD / 3
    first = (off_mps - strike_mps + GRAVITY_MPS2 * c) * math.pi / (2 * c) / both
    rise = plan.off_y_m - plan.strike_y_m - strike_mps * c + 0.5 * GRAVITY_MPS2 * c**2 - first * c**2 * both / math.pi
    return Bounce(plan, strike_mps, off_mps, first, rise * 2 * math.pi / c**2)
