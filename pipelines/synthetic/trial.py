"""A synthetic trial: what the cameras would see, and what is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import EventKind, GaitEvent, GaitEvents, JointAngles, Metric, Stride, StrideValues
from labsys.core.session import TrialKind
from labsys.core.skeleton import LABSYS_RUN_37, Side
from pipelines.synthetic.anatomy import Body, make_body, place_stickers
from pipelines.synthetic.gait import Gait, make_gait, pose_gait
from pipelines.synthetic.mass import centre_of_mass_m
from pipelines.synthetic.parameters import Anatomy, RunnerParameters
from pipelines.synthetic.posture import move_on_the_spot, stand
from pipelines.synthetic.skeleton_pose import PoseAngles, SegmentPoses, joint_centres, place_landmarks, pose_segments
from pipelines.synthetic.true_angles import angle_tables, true_angles
from pipelines.synthetic.true_curves import TrueCurves
from pipelines.synthetic.true_metrics import true_metrics, true_strides


@dataclass(frozen=True)
class Contact:
    """One stance: when a shoe point meets the belt, when the sole lies flat, when it leaves. Times in s."""

    side: Side
    strike_s: float
    flat_from_s: float
    flat_to_s: float
    toe_off_s: float


@dataclass(frozen=True, eq=False)
class SyntheticTrial:
    """A trial with its truth.

    Attributes:
        landmarks: LABSYS-RUN-37 in LAB at the sticker positions of this visit (what an ideal lab would measure).
        anatomy: the same landmarks without sticker offsets.
        angles: true angles by catalogue id and side, raw and against the true static posture.
        events, contacts: true foot contact, both feet, complete stances only; None and () where the kind has no gait.
        strides, stride_values, metrics: true strides and metrics by catalogue id and side; hip and lumbar metrics are
            static-referenced.
        joint_centres: "RHJC", "LHJC", "RKJC", "LKJC", "RAJC", "LAJC" -> (T, 3) m in LAB.
        rotations: segment name -> (T, 3, 3), segment axes as columns in LAB.
        leg_length_m: hip centre to lateral malleolus in standing.
    """

    parameters: RunnerParameters
    kind: TrialKind
    seed: int
    visit_seed: int
    landmarks: Landmarks3D
    anatomy: Landmarks3D
    angles: JointAngles
    events: GaitEvents | None
    contacts: tuple[Contact, ...]
    strides: tuple[Stride, ...]
    stride_values: tuple[StrideValues, ...]
    metrics: tuple[Metric, ...]
    joint_centres: Mapping[str, FloatArray]
    rotations: Mapping[str, FloatArray]
    leg_length_m: float

    def metric(self, metric_id: str, side: Side) -> Metric:
        """The true metric of this id and side (UnknownNameError otherwise)."""
        for m in self.metrics:
            if m.id == metric_id and m.side is side:
                return m
        raise UnknownNameError("metric", f"{metric_id} {side}", valid=[f"{m.id} {m.side}" for m in self.metrics])


def make_trial(
    parameters: RunnerParameters,
    *,
    kind: TrialKind = TrialKind.RUN,
    seconds: float = 20.0,
    rate_hz: float = 100.0,
    seed: int = 0,
    visit_seed: int = 0,
) -> SyntheticTrial:
    """Pose the body over time, place the stickers, and write down what is true.

    Args:
        kind: RUN, WALK, STATIC (quiet stance with small sway) or OTHER (bending, turning and squatting on the spot).
        seed: the body and this capture's variability; the same seed gives the same person in every kind of trial.
        visit_seed: where the stickers sit; trials of one visit share it. A REGRESSION body wears them exactly.

    Raises:
        InputError: a speed or duration that the kind cannot have.
    """
    if not (seconds > 0 and rate_hz > 0):
        raise InputError(f"a trial of {seconds:g} s at {rate_hz:g} Hz has no frames")
    body = make_body(parameters.height_m, parameters.anatomy, seed)
    gait = make_gait(parameters, body, kind=kind, seconds=seconds, seed=seed) if kind in _GAITS else None
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    poses = pose_segments(body, _pose(gait, body, kind, times_s, seed))
    exact = parameters.anatomy is Anatomy.REGRESSION
    offsets_m = None if exact else place_stickers(visit_seed)
    neutral = pose_segments(body, stand(body, np.zeros(1), sway=0.0))
    trial = SyntheticTrial(
        parameters=parameters,
        kind=kind,
        seed=seed,
        visit_seed=visit_seed,
        landmarks=_landmarks(times_s, place_landmarks(body, poses, offsets_m)),
        anatomy=_landmarks(times_s, place_landmarks(body, poses)),
        angles=true_angles(body, poses, times_s),
        events=None,
        contacts=(),
        strides=(),
        stride_values=(),
        metrics=(),
        joint_centres=joint_centres(poses),
        rotations=poses.rotations,
        leg_length_m=_leg_length_m(body, neutral),
    )
    return trial if gait is None else _with_gait(trial, gait, seconds)


_GAITS = frozenset({TrialKind.RUN, TrialKind.WALK})
_FINE_HZ = 1000.0


def _pose(gait: Gait | None, body: Body, kind: TrialKind, times_s: FloatArray, seed: int) -> PoseAngles:
    if gait is not None:
        return pose_gait(gait, times_s)
    return stand(body, times_s) if kind is TrialKind.STATIC else move_on_the_spot(body, times_s, seed)


def _landmarks(times_s: FloatArray, xyz_m: FloatArray) -> Landmarks3D:
    return Landmarks3D.from_positions(LABSYS_RUN_37.landmarks, times_s, xyz_m)


def _leg_length_m(body: Body, neutral: SegmentPoses) -> float:
    """Hip centre to lateral malleolus in standing, mean of both legs, m."""
    ankles = place_landmarks(body, neutral)[0]
    centres = joint_centres(neutral)
    names = LABSYS_RUN_37.landmarks
    return float(np.mean([np.linalg.norm(ankles[names.index(f"{s}LM")] - centres[f"{s}HJC"][0]) for s in "RL"]))


def _with_gait(trial: SyntheticTrial, gait: Gait, seconds: float) -> SyntheticTrial:
    contacts = _contacts(gait, seconds)
    events = _events(gait, seconds)
    strides = true_strides(events)
    fine_s = np.arange(round(seconds * _FINE_HZ) + 1) / _FINE_HZ
    poses = pose_segments(gait.body, pose_gait(gait, fine_s))
    raw, change = angle_tables(gait.body, poses)
    curves = TrueCurves(
        times_s=fine_s,
        angles={key: np.ascontiguousarray(change.get(key, raw[key])) for key in raw},  # read one by one
        points_m=_true_points(gait.body, poses),
        leg_length_m=trial.leg_length_m,
        height_m=trial.parameters.height_m,
        standing_thigh_rad=_standing_thighs(gait.body),
        speed_mps=gait.style.speed_mps,
        walking=gait.style.walking,
    )
    values, metrics = true_metrics(curves, strides)
    return replace(trial, events=events, contacts=contacts, strides=strides, stride_values=values, metrics=metrics)


def _true_points(body: Body, poses: SegmentPoses) -> dict[str, FloatArray]:
    """Points (T, 3) m that metrics of placement and lean are read from."""
    centres = joint_centres(poses)
    placed = place_landmarks(body, poses)
    names = ("C7", *(f"{s}{n}" for s in "RL" for n in ("HEEL", "TOE")))
    points = {n: placed[:, LABSYS_RUN_37.landmarks.index(n)] for n in names}
    middle = 0.5 * (centres["RHJC"] + centres["LHJC"])
    return points | centres | {"com": centre_of_mass_m(body, poses), "hips": middle}


def _standing_thighs(body: Body) -> dict[Side, float]:
    raw, _ = angle_tables(body, pose_segments(body, stand(body, np.zeros(1), sway=0.0)))
    return {s: float(raw["thigh_vertical", s][0]) for s in (Side.LEFT, Side.RIGHT)}


_SIDES = {"R": Side.RIGHT, "L": Side.LEFT}


def _contacts(gait: Gait, seconds: float) -> tuple[Contact, ...]:
    plan, style = gait.plan, gait.style
    return tuple(
        Contact(
            _SIDES[side], float(strike), float(strike) + style.flat_from_s, float(strike) + style.flat_to_s, float(off)
        )
        for side, strike, off in zip(plan.sides, plan.strike_s, plan.off_s, strict=True)
        if strike >= 0 and off <= seconds
    )


def _events(gait: Gait, seconds: float) -> GaitEvents:
    plan = gait.plan
    found = [
        GaitEvent(kind, _SIDES[side], float(t))
        for kind, times in ((EventKind.FOOT_STRIKE, plan.strike_s), (EventKind.TOE_OFF, plan.off_s))
        for side, t in zip(plan.sides, times, strict=True)
        if 0 <= t <= seconds
    ]
    found.sort(key=lambda e: e.time_s)
    return GaitEvents(tuple(found), gait.style.speed_mps, 2.0 * gait.style.step_s)
