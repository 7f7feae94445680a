"""Errors of quotients: what is a length over a leg or over another length can be flagged like the length itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labsys.biomechanics.quotient_errors import quotient_error
from labsys.biomechanics.screening import ScreenedTrial, screen
from labsys.biomechanics.settings import AnalysisSettings
from labsys.biomechanics.summarise import summarise_metrics
from labsys.core.catalogue import METRICS, find_metric
from labsys.core.measurement_error import ErrorTable, SessionError, default_error_table
from labsys.core.motion import Finding, Metric, StrideValues
from labsys.core.references import PUBLISHED, OwnReference, ReferenceTable
from labsys.core.screening import FindingStatus
from labsys.core.session import Surface, TrialKind
from labsys.core.skeleton import Side, Tier
from pipelines.screening_file import shipped_rules

N, LEG_M = 30, 0.85
ERRORS = default_error_table(tuple(m.id for m in METRICS))


def strides(ahead_m: float, behind_m: float, shank_deg: float = 14.0) -> tuple[StrideValues, ...]:
    """Both sides of a runner who reaches so far ahead and behind."""
    noise = 0.004 * np.random.default_rng(1).standard_normal((2, N))
    ahead, behind = ahead_m + noise[0], behind_m + noise[1]
    values = {
        "ahead_at_fs": ahead,
        "ahead_at_fs_per_leg": ahead / LEG_M,
        "behind_body_at_to": behind,
        "behind_body_at_to_per_leg": behind / LEG_M,
        "front_back_ratio": ahead / behind,
        "vertical_oscillation_per_step_length": 0.07 + 0.0 * ahead,
        "shank_angle_at_fs": math.radians(shank_deg) + noise[0],
    }
    return tuple(
        StrideValues(m, side, tuple(range(N)), v) for m, v in values.items() for side in find_metric(m).sided.sides
    )


def summarised(given: tuple[StrideValues, ...], errors: ErrorTable = ERRORS) -> dict[str, Metric]:
    found = summarise_metrics(given, {}, tier=Tier.T3, rate_hz=100.0, errors=errors, settings=AnalysisSettings())
    return {m.id: m for m in found if m.side is not Side.RIGHT}


def findings(given: tuple[StrideValues, ...], references: ReferenceTable = PUBLISHED) -> dict[str, Finding]:
    metrics = summarise_metrics(given, {}, tier=Tier.T3, rate_hz=100.0, errors=ERRORS, settings=AnalysisSettings())
    sides = {Side.LEFT: N, Side.RIGHT: N}
    trial = ScreenedTrial(TrialKind.RUN, Tier.T3, Surface.TREADMILL, 3.0, "women", sides, metrics, given)
    return {f.id: f for f in screen(trial, rules=shipped_rules(), references=references) if f.side is Side.LEFT}


def test_a_length_per_leg_has_the_length_s_error_over_the_leg() -> None:
    found = summarised(strides(0.30, 0.40))
    per_leg, length = found["ahead_at_fs_per_leg"], found["ahead_at_fs"]
    assert per_leg.sem_measurement == pytest.approx(0.010 / LEG_M)
    assert per_leg.provisional
    assert np.array(per_leg.ci95) == pytest.approx(np.array(length.ci95) / LEG_M)


def test_a_ratio_has_the_errors_of_both_lengths() -> None:
    """Against draws of the point that both are read from, 10 mm off between days: one grows by what the other loses."""
    shift = 0.010 * np.random.default_rng(3).standard_normal(20_000)
    drawn = (0.30 + shift) / (0.40 - shift)
    assert summarised(strides(0.30, 0.40))["front_back_ratio"].sem_measurement == pytest.approx(drawn.std(), rel=0.02)


def test_a_ratio_of_a_learnt_and_a_default_error_is_mixed() -> None:
    learnt = SessionError(1e-6, 2e-6, 3e-6, "lab", 20.0)
    errors = ErrorTable({**ERRORS.errors, ("ahead_at_fs", Tier.T3): learnt})
    found = summarised(strides(0.30, 0.40), errors)
    assert (found["front_back_ratio"].sem_source, found["ahead_at_fs_per_leg"].sem_source) == ("mixed", "lab")
    given = {(v.id, v.side): v for v in strides(0.30, 0.40)}
    ratio = quotient_error(given["front_back_ratio", Side.LEFT], given, errors, Tier.T3)
    assert ratio is not None
    assert ratio.df == 20.0, "a default's infinite ones do not make it surer"
    without = ErrorTable({k: e for k, e in ERRORS.errors.items() if k[0] != "ahead_at_fs"})
    assert math.isnan(summarised(strides(0.30, 0.40), without)["front_back_ratio"].sem_measurement)


def test_errors_of_other_quotients_stay_unknown_and_visits_are_not_compared_by_them() -> None:
    assert math.isnan(summarised(strides(0.30, 0.40))["vertical_oscillation_per_step_length"].sem_measurement)
    assert ERRORS.find("ahead_at_fs_per_leg", Tier.T3) is None


@pytest.mark.parametrize(
    ("ahead_m", "shank_deg", "expected"),
    [(0.30, 14.0, "flagged"), (0.22, 14.0, "borderline"), (0.30, 8.0, "borderline"), (0.30, 3.0, "not_flagged")],
)
def test_a_foot_far_ahead_is_flagged_in_a_measured_trial(ahead_m: float, shank_deg: float, expected: str) -> None:
    found = findings(strides(ahead_m, 0.40, shank_deg))["F4"]
    assert found.status.value == expected
    assert "interval unknown" not in found.text


def test_a_short_reach_behind_is_flagged_in_a_measured_trial() -> None:
    rows = (("behind_body_at_to_per_leg", 0.45, 0.03), ("front_back_ratio", 0.40, 0.05))
    own = tuple(
        OwnReference(m, "women", 3.0, Surface.TREADMILL, "T3", find_metric(m).version, 22, mean, sd).as_value()
        for m, mean, sd in rows
    )
    table = ReferenceTable(PUBLISHED.published, PUBLISHED.series, own)
    assert findings(strides(0.20, 0.28), table)["F8"].status is FindingStatus.FLAGGED
    assert findings(strides(0.15, 0.38), table)["F8"].status is FindingStatus.NOT_FLAGGED
