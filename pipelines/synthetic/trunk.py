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
_BUMP_WIDTH = 1.2
# Share of the thorax-on-pelvis angle that the lumbar segment takes: flexion, bending, rotation.
LUMBAR_SHARE = np.array([0.6, 0.6, 0.4])


@dataclass(frozen=True, eq=False)
class TrunkMotion:
    """Pelvis and trunk as smooth functions of time.

    Attributes:
        phase: time -> stride phase, integer at right strikes, half at left ones.
        amplitude: time -> factor on all oscillations.
        wander_m: (n, 3) amplitude, rate (rad/s), phase of slow sines along X; (0, 3) for none.
    """

    style: Style
    plan: Plan
    phase: CubicSpline
    amplitude: CubicSpline
    wander_m: FloatArray

    def pelvis_rad(self, times_s: FloatArray) -> FloatArray:
        """Baker angles a, b, c of the pelvis, (T, 3) rad; a is minus the anterior tilt."""
        turn, gain, off = self._turns(times_s)
        style = self.style
        tilt = STANDING_TILT_RAD + style.tilt_rise_rad + gain * 0.5 * style.tilt_rom_rad * np.cos(2 * (turn - off))
        tilt += style.tilt_bump_rad * np.exp(_BUMP_WIDTH * (np.cos(2 * (turn - off)) - 1.0))
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
            height = _bouncing_height(self.plan, times_s)
        return np.stack([x, height, z], axis=-1)

    def _turns(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        turn = 2 * math.pi * np.asarray(self.phase(times_s))
        return turn, np.asarray(self.amplitude(times_s)), 2 * math.pi * self.style.duty

    def _rotation(self, turn: FloatArray, off: float) -> FloatArray:
        """Transverse rotation: running, furthest to the extending side at toe-off; walking, forward side at strike."""
        peak = off - math.pi if not self.style.walking else 0.0
        wave = np.cos(turn - peak) - _ROTATION_THIRD * np.cos(3 * (turn - peak))
        return np.asarray(0.5 * self.style.rotation_rom_rad * wave / _third_harmonic_peak())


def make_trunk(style: Style, plan: Plan, *, wander_m: FloatArray) -> TrunkMotion:
    """Trunk motion in step with a plan."""
    phases = 0.5 * np.arange(plan.strike_s.size)
    return TrunkMotion(
        style=style,
        plan=plan,
        phase=CubicSpline(plan.strike_s, phases),
        amplitude=CubicSpline(plan.strike_s, plan.amplitude),
        wander_m=wander_m,
    )


def no_wander() -> FloatArray:
    """A runner who keeps his place on the belt."""
    return np.zeros((0, 3))


def draw_wander(scale: float, seed: int) -> FloatArray:
    """Slow drift along the belt: three sines of 8 to 25 s, about 2 cm each at scale 1."""
    rng = np.random.default_rng([seed, 41])
    periods_s = np.array([8.0, 13.0, 25.0]) * rng.uniform(0.9, 1.1, 3)
    return np.stack(
        [scale * rng.uniform(0.01, 0.025, 3), 2 * math.pi / periods_s, rng.uniform(0, 2 * math.pi, 3)], axis=1
    )


def _third_harmonic_peak() -> float:
    turn = np.linspace(0, math.pi, 2001)
    return float(np.max(np.cos(turn) - _ROTATION_THIRD * np.cos(3 * turn)))


def walking_dip_m(trunk: TrunkMotion, times_s: FloatArray) -> FloatArray:
    """Height of a walker's hips against their mean, (T,) m: an inverted pendulum, lowest in mid double support."""
    style = trunk.style
    turn = 2 * math.pi * np.asarray(trunk.phase(times_s))
    low = 2 * math.pi * 0.25 * (style.contact_s - style.step_s) / style.step_s
    return np.asarray(-np.asarray(trunk.amplitude(times_s)) * 0.5 * style.bounce_m * np.cos(2 * (turn - low)))


def _bouncing_height(plan: Plan, times_s: FloatArray) -> FloatArray:
    """Flight is ballistic; in stance a half-sine force and two harmonics take the hips from strike to toe-off.

    The third harmonic has a fixed share; the first is set by the speeds at both ends, the second by the heights.

    Acceleration is -g in flight and at both ends of stance, so height is twice continuously differentiable.
    """
    flight_s = np.append(plan.strike_s[1:] - plan.off_s[:-1], plan.strike_s[-1] - plan.off_s[-2])
    landing_m = np.append(plan.strike_y_m[1:], plan.strike_y_m[-2])
    off_mps = (landing_m - plan.off_y_m) / flight_s + 0.5 * GRAVITY_MPS2 * flight_s
    strike_mps = np.append(off_mps[-2], off_mps[:-1] - GRAVITY_MPS2 * flight_s[:-1])
    c = plan.contact_s
    first = (off_mps - strike_mps + GRAVITY_MPS2 * c) * math.pi / (2 * c) / (1 + FORCE_THIRD / 3)
    rise = plan.off_y_m - plan.strike_y_m - strike_mps * c + 0.5 * GRAVITY_MPS2 * c**2
    rise = rise - first * c**2 * (1 + FORCE_THIRD / 3) / math.pi
    second = rise * 2 * math.pi / c**2
    k = np.clip(np.searchsorted(plan.strike_s, times_s, side="right") - 1, 0, plan.strike_s.size - 1)
    since = times_s - plan.strike_s[k]
    in_stance = since <= c[k]
    u = np.where(in_stance, since, 0.0) / c[k]
    push = first[k] * c[k] ** 2 * (u / math.pi - np.sin(math.pi * u) / math.pi**2)
    push += FORCE_THIRD * first[k] * c[k] ** 2 * (u / (3 * math.pi) - np.sin(3 * math.pi * u) / (3 * math.pi) ** 2)
    push += second[k] * c[k] ** 2 * (u / (2 * math.pi) - np.sin(2 * math.pi * u) / (2 * math.pi) ** 2)
    stance = plan.strike_y_m[k] + strike_mps[k] * since - 0.5 * GRAVITY_MPS2 * since**2 + push
    after = since - c[k]
    flight = plan.off_y_m[k] + off_mps[k] * after - 0.5 * GRAVITY_MPS2 * after**2
    return np.where(in_stance, stance, flight)
