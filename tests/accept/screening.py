"""Screening against truth: runners with and without a deficit, seen through landmark noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labsys.biomechanics.analyse import analyse_motion
from labsys.biomechanics.screening import ScreenedTrial, screen
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import METRICS, find_metric
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import default_error, default_error_table
from labsys.core.motion import Finding, Metric, MotionResult, StrideValues
from labsys.core.references import PUBLISHED
from labsys.core.screening import FindingStatus, RuleSet
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import LANDMARK_SETS, Side, Tier
from labsys.core.units import Unit
from pipelines.synthetic.parameters import RunnerParameters, Strike
from pipelines.synthetic.trial import SyntheticTrial, make_trial

# A capture as the protocol has it: at 5 mm of noise half of the strides have events too doubtful to count.
SECONDS, RATE_HZ = 30.0, 100.0
ERRORS = default_error_table(tuple(m.id for m in METRICS))
SIDES = (Side.LEFT, Side.RIGHT)
Answers = Mapping[tuple[str, Side], Finding]


@dataclass(frozen=True, eq=False)
class Runner:
    """One body and visit: as the runner runs, and with hip extension short of the reference.

    Attributes:
        plain: as the runner runs.
        short: peak hip extension so far below the reference; pelvis and low back make up for all of it, and the low
            back ends as far beyond standing.
        still: the static trial of both.
    """

    plain: SyntheticTrial
    short: SyntheticTrial
    still: SyntheticTrial


def reference_peak_rad() -> float:
    """Peak hip extension of the runners whom F1's thresholds come from: mean of both laboratories at 2.5 m/s."""
    found = PUBLISHED.find("hip_ext_pelvis_peak", surface=Surface.TREADMILL, speed_mps=2.5, sex="", tier="T3")
    return float(np.mean([r.mean for r in found]))


def runner_for(seed: int) -> RunnerParameters:
    """Any strike, and speeds within the rules' reach; how far the trunk leans is `runner_with`'s."""
    rng = np.random.default_rng([seed, 7331])
    return RunnerParameters(
        speed_mps=float(rng.uniform(2.3, 4.4)), strike=list(Strike)[seed % 3], height_m=float(rng.uniform(1.58, 1.92))
    )


def runner_with(seed: int, deficit_rad: float, *, seconds: float = SECONDS) -> Runner:
    """The same body and visit without a deficit, and with it.

    The lean of the trunk is such that the low back, where it makes up for everything, ends `deficit_rad` beyond
    standing: a degree more of lean is a degree less of lumbar extension.
    """
    capped = replace(runner_for(seed), hip_extension_cap_rad=reference_peak_rad() - deficit_rad, lumbar_gain=1.0)
    beyond = true_mean(_make(capped, TrialKind.RUN, seed, seconds=4.0), "lumbar_ext_at_peak_hip_ext")
    short = replace(capped, trunk_lean_rad=capped.trunk_lean_rad + beyond - deficit_rad)
    plain = replace(short, hip_extension_cap_rad=None, lumbar_gain=0.0)
    return Runner(
        _make(plain, TrialKind.RUN, seed, seconds=seconds),
        _make(short, TrialKind.RUN, seed, seconds=seconds),
        _make(short, TrialKind.STATIC, seed, seconds=5.0),
    )


def true_mean(trial: SyntheticTrial, metric_id: str) -> float:
    """True mean of both sides, inside units."""
    return float(np.mean([trial.metric(metric_id, side).mean for side in SIDES]))


def _make(parameters: RunnerParameters, kind: TrialKind, seed: int, *, seconds: float = SECONDS) -> SyntheticTrial:
    return make_trial(parameters, kind=kind, seconds=seconds, rate_hz=RATE_HZ, seed=seed, visit_seed=seed)


def noisy(trial: SyntheticTrial, noise_m: float, seed: int, names: Sequence[str] | None = None) -> Landmarks3D:
    """The landmarks with white noise on every axis; names: only these."""
    xyz_m = trial.landmarks.xyz_m
    xyz_m = xyz_m + np.random.default_rng([seed, 5]).normal(0.0, noise_m, xyz_m.shape)
    every = trial.landmarks.landmarks
    kept = every if names is None else tuple(names)
    columns = [every.index(n) for n in kept]
    return Landmarks3D.from_positions(kept, trial.landmarks.times_s, xyz_m[:, columns])


def analyse_noisy(run: SyntheticTrial, still: SyntheticTrial, noise_m: float, seed: int) -> MotionResult:
    """What labsys makes of a run and its static under white landmark noise."""
    return analyse(noisy(run, noise_m, seed), noisy(still, noise_m, seed + 1_000_000), run.parameters.speed_mps)


def analyse(run: Landmarks3D, still: Landmarks3D | None, speed_mps: float) -> MotionResult:
    """Angles to metrics with the default settings and errors."""
    return analyse_motion(
        run,
        static=still,
        kind=TrialKind.RUN,
        surface=Surface.TREADMILL,
        declared_speed_mps=speed_mps,
        heading_known=True,
        settings=AnalysisSettings(),
        errors=ERRORS,
        leg_length_m=None,
        height_m=None,
    )


def answers_of(motion: MotionResult, speed_mps: float, rules: RuleSet) -> Answers:
    """Every rule's answer."""
    assert motion.tier is not None
    screened = ScreenedTrial(
        kind=TrialKind.RUN,
        tier=motion.tier,
        surface=Surface.TREADMILL,
        speed_mps=speed_mps,
        sex="",
        n_strides={side: motion.n_strides(side) for side in SIDES},
        metrics=motion.metrics,
        stride_values=motion.stride_values,
    )
    return {(f.id, f.side): f for f in screen(screened, rules=rules, references=PUBLISHED)}


def true_answers(trial: SyntheticTrial, rules: RuleSet) -> Answers:
    """What the rules say of the true metrics, known without any error: every interval is the value itself."""
    exact = [replace(m, ci95=(m.mean, m.mean), sem_measurement=_sem(m.id)) for m in trial.metrics]
    exact += _true_differences(exact)
    return answers_to(exact, trial.stride_values, trial.parameters.speed_mps, rules)


def answers_to(
    metrics: Sequence[Metric], stride_values: Sequence[StrideValues], speed_mps: float, rules: RuleSet
) -> Answers:
    """What the rules say of metrics of a run at T3 with strides enough."""
    screened = ScreenedTrial(
        kind=TrialKind.RUN,
        tier=Tier.T3,
        surface=Surface.TREADMILL,
        speed_mps=speed_mps,
        sex="",
        n_strides=dict.fromkeys(SIDES, 99),
        metrics=tuple(metrics),
        stride_values=tuple(stride_values),
    )
    return {(f.id, f.side): f for f in screen(screened, rules=rules, references=PUBLISHED)}


def _true_differences(metrics: Sequence[Metric]) -> Iterator[Metric]:
    """Right minus left of every angle that both sides have."""
    known = {(m.id, m.side): m for m in metrics}
    for m in metrics:
        if m.side is Side.RIGHT and find_metric(m.id).unit is Unit.DEG:
            apart = m.mean - known[m.id, Side.LEFT].mean
            sem = math.sqrt(2.0) * m.sem_measurement
            yield replace(m, id=f"{m.id}_asym", side=Side.BOTH, mean=apart, ci95=(apart, apart), sem_measurement=sem)


def _sem(metric_id: str) -> float:
    error = default_error(metric_id, Tier.T3)
    return math.nan if error is None else error.sem


STANDING_OUT = (FindingStatus.BORDERLINE, FindingStatus.FLAGGED)


def share(found: Sequence[bool]) -> float:
    """Percent that are true; NaN of nothing."""
    return 100.0 * float(np.mean(found)) if found else math.nan


def keypoint_sets() -> Iterator[str]:
    """Landmark sets that reach T0 or T1 only."""
    yield from ("COCO-17", "HALPE-26", "BODY_25", "BODY_25B")


def keypoints_of(trial: SyntheticTrial, set_name: str, noise_m: float, seed: int) -> Landmarks3D:
    """A keypoint model's landmarks of the same motion: joint centres and shoe points where it has them."""
    full = noisy(trial, noise_m, seed)
    at = dict(zip(full.landmarks, np.moveaxis(full.xyz_m, 1, 0), strict=True))
    middle = 0.5 * (at["RAC"] + at["LAC"])
    places = {"Neck": middle, "MidHip": None, "Hip": None, "Head": at["HEAD"], "Nose": at["HEAD"]}
    centres = trial.joint_centres
    for letter in "RL":
        joints = {"Hip": centres[f"{letter}HJC"], "Knee": centres[f"{letter}KJC"], "Ankle": centres[f"{letter}AJC"]}
        marks = {"Shoulder": "AC", "Elbow": "ELB", "Wrist": "WRI", "Heel": "HEEL", "BigToe": "TOE", "SmallToe": "MT5"}
        places |= {f"{letter}{name}": joint for name, joint in joints.items()}
        places |= {f"{letter}{name}": at[f"{letter}{mark}"] for name, mark in marks.items()}
        places |= {f"{letter}Eye": at["HEAD"], f"{letter}Ear": at["HEAD"]}
    places["MidHip"] = places["Hip"] = 0.5 * (centres["RHJC"] + centres["LHJC"])
    names = LANDMARK_SETS[set_name].landmarks
    return Landmarks3D.from_positions(names, full.times_s, np.stack([places[n] for n in names], axis=1))
