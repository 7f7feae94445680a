"""A first look at a take as a document, for the terminal and for the page that records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from labsys.core.errors import LabsysError

if TYPE_CHECKING:
    from labsys.core.motion import Metric, TrialResult
    from labsys.core.session import Goal
    from labsys.storage.lab import Lab
    from pipelines.quick import QuickResult


def quick_document(lab: Lab, found: QuickResult) -> dict[str, Any]:
    """A first look as `labsys quick --json` prints it, with the goals of the subject's episodes."""
    from api.views.results import metric_document
    from labsys.storage.episodes import list_episodes

    motion, name = found.motion, found.trial
    before, problem = _find_before(lab, found)
    goals = [goal for episode in list_episodes(lab, name.subject) for goal in episode.goals]
    return {
        "trial": str(name),
        "quick": True,
        "from_s": round(found.begin_s, 3),
        "until_s": round(found.end_s, 3),
        "tier": motion.tier.name if motion.tier is not None else None,
        "landmarks_seen": list(found.visible),
        "landmarks_not_seen": list(found.unseen),
        "n_strides": found.n_strides(),
        "static": found.static or None,
        "goals": [_goal_document(goal, motion.metrics, before) for goal in goals],
        "metrics": [metric_document(m) for m in motion.metrics],
        "notes": dict(motion.notes) | ({"last visit": problem} if problem else {}),
        "took_s": round(found.took_s, 1),
    }


def _goal_document(goal: Goal, metrics: Iterable[Metric], before: TrialResult | None) -> dict[str, Any]:
    now = _find_metric(goal, metrics)
    last = None if before is None else _find_metric(goal, before.motion.metrics)
    return {
        "metric": goal.metric,
        "side": goal.side.value,
        "direction": goal.direction.value,
        "unit": now["unit"] if now else None,
        "mean": now["mean"] if now else None,
        "reason": now["reason"] if now else "this trial does not give it",
        "last": {"trial": str(before.trial.name), "mean": last["mean"]} if before and last else None,
    }


def _find_metric(goal: Goal, metrics: Iterable[Metric]) -> dict[str, Any] | None:
    from api.views.results import metric_document

    return next((metric_document(m) for m in metrics if (m.id, m.side) == (goal.metric, goal.side)), None)


def _find_before(lab: Lab, found: QuickResult) -> tuple[TrialResult | None, str]:
    """The last visit's trial, or why it cannot be read: that keeps nobody from looking at this one."""
    from pipelines.quick_before import find_before

    try:
        return find_before(lab, found.trial, found.motion.metrics), ""
    except LabsysError as error:
        return None, f"cannot be read: {error.what}"
