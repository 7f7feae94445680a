"""A running or walking body over time: plan, trunk and legs put together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.session import TrialKind
from pipelines.synthetic.anatomy import Body
from pipelines.synthetic.heights import settle_heights
from pipelines.synthetic.leg_motion import leg_angles
from pipelines.synthetic.legs import Leg
from pipelines.synthetic.nominal import hip_response, solve_places
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.plan import HipResponse, Plan, plan_regular, scatter_plan
from pipelines.synthetic.published import Style, resolve_style
from pipelines.synthetic.skeleton_pose import PoseAngles
from pipelines.synthetic.trunk import TrunkMotion, draw_wander, make_trunk

_SPARE_STEPS = 6  # before and after the capture, so that every sample lies inside the plan


@dataclass(frozen=True, eq=False)
class Gait:
    """A gait that can be posed at any time of the capture."""

    style: Style
    plan: Plan
    trunk: TrunkMotion
    body: Body

    @cached_property
    def legs(self) -> Mapping[str, Leg]:
        """Both legs, which keep what they planned: a gait is posed many times."""
        return {side: Leg(self.body, self.trunk, side) for side in "RL"}


def make_gait(parameters: RunnerParameters, body: Body, *, kind: TrialKind, seconds: float, seed: int) -> Gait:
    """Solve and plan a gait that covers 0..seconds."""
    style, places, response = _solve(parameters, body, kind)
    n_steps = math.ceil(1.1 * seconds / style.step_s) + 2 * _SPARE_STEPS
    start_s = -_SPARE_STEPS * style.step_s + 0.13
    regular = plan_regular(style, parameters, places, n_steps=n_steps, start_s=start_s)
    wander_m = draw_wander(parameters.variability.scale, seed)
    scattered = scatter_plan(regular, style, parameters, response, seed)
    plan = settle_heights(style, scattered, body, wander_m)
    return Gait(style, plan, make_trunk(style, plan, wander_m=wander_m), body)


@lru_cache(maxsize=64)
def _solve(
    parameters: RunnerParameters, body: Body, kind: TrialKind
) -> tuple[Style, Mapping[str, float], Mapping[str, HipResponse]]:
    """What does not depend on how long or how variable a trial is: kept, because the same runner is asked for often."""
    style = resolve_style(parameters, kind)
    places = solve_places(style, parameters, body)
    return style, places, hip_response(style, parameters, body, places)


def pose_gait(gait: Gait, times_s: FloatArray) -> PoseAngles:
    """Angles and hips of a gait at these times."""
    trunk, style = gait.trunk, gait.style
    pelvis = trunk.pelvis_rad(times_s)
    lumbar = trunk.lumbar_rad(times_s)
    turn = 2 * math.pi * np.asarray(trunk.phase(times_s))
    head = np.stack([np.full(times_s.shape, -0.5 * style.lean_rad), 0.2 * pelvis[:, 1], 0.15 * pelvis[:, 2]], axis=-1)
    return PoseAngles(
        times_s=times_s,
        hips_m=trunk.hips_m(times_s),
        pelvis_rad=pelvis,
        lumbar_rad=lumbar,
        head_rad=head,
        legs_rad={s: leg_angles(gait.legs[s], times_s) for s in "RL"},
        arms_rad={s: _swing_arm(style, turn if s == "R" else turn + math.pi) for s in "RL"},
    )


def _swing_arm(style: Style, turn: FloatArray) -> FloatArray:
    """Shoulder and elbow of the arm that goes with this leg: back when the leg is forward."""
    swing = np.cos(turn + 0.3)
    flexion = -math.radians(12.0) - style.arm_swing_rad * swing
    elbow = style.elbow_rad - 0.12 * swing
    return np.stack([flexion, np.full(turn.shape, math.radians(14.0)), elbow], axis=-1)
