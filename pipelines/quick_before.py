"""What a first look is set beside: the last earlier visit's trial under like conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from labsys.core.motion import Metric, TrialResult
from labsys.core.session import Trial, TrialName
from labsys.core.skeleton import Side
from labsys.longitudinal.pairing import conditions_alike
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from labsys.storage.runs import current_run
from labsys.storage.sessions import list_sessions, load_session
from labsys.storage.trials import list_trials, load_trial


def find_before(lab: Lab, name: TrialName, metrics: Sequence[Metric]) -> TrialResult | None:
    """The latest processed trial of an earlier visit that a comparison would pair with this one.

    Args:
        metrics: of this trial, which tell its speed where nobody stated it.

    Raises:
        InputError: a result that cannot be read; says which.
    """
    this, now = load_trial(lab, name), load_session(lab, name.subject, name.session).captured_at
    earlier = [s for s in list_sessions(lab, name.subject) if s.captured_at < now and s.session != name.session]
    for session in sorted(earlier, key=lambda s: s.captured_at, reverse=True):
        for trial in reversed(list_trials(lab, name.subject, session.session)):
            if trial.excluded or trial.kind is not this.kind or current_run(lab, trial.name) is None:
                continue
            result = load_trial_result(lab, trial.name)
            speeds_mps = _speed_mps(this, metrics), _speed_mps(trial, result.motion.metrics)
            usable = result.not_for_comparison is None
            if usable and conditions_alike(this.conditions, trial.conditions, speeds_mps=speeds_mps):
                return result
    return None


def _speed_mps(trial: Trial, metrics: Sequence[Metric]) -> float:
    """Stated, else measured, as comparisons take it; NaN where neither is known."""
    if trial.conditions.speed_mps is not None:
        return trial.conditions.speed_mps
    return next((m.mean for m in metrics if (m.id, m.side) == ("speed", Side.BOTH)), math.nan)
