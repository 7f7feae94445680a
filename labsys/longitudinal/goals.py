"""Goals that a clinician declares before the post visit: which rows they are about, and whether they came too late."""

from __future__ import annotations

from labsys.core.catalogue import find_metric
from labsys.core.errors import InputError
from labsys.core.session import Goal, GoalDirection
from labsys.core.skeleton import Side

MAX_GOALS = 3


def check_goal(metric: str, side: Side) -> None:
    """Refuse a goal that no row could answer.

    Raises:
        UnknownNameError: no such metric.
        InputError: the metric has other sides.
    """
    sides = find_metric(metric).sided.sides
    if side not in sides:
        raise InputError(f"{metric} has no side '{side}'", remedy=f"Use {' or '.join(sides)}")


def check_goals(goals: tuple[Goal, ...]) -> None:
    """Refuse goals that share a row, more than three of them, or one that no row could answer (InputError)."""
    for goal in goals:
        check_goal(goal.metric, goal.side)
    if len(goals) > MAX_GOALS:
        raise InputError(f"{len(goals)} goals are declared", remedy=f"Declare at most {MAX_GOALS}")
    keys = [(g.metric, g.side) for g in goals]
    twice = sorted({f"{m} {s}" for m, s in keys if keys.count((m, s)) > 1})
    if twice:
        raise InputError(f"more than one goal for {', '.join(twice)}", remedy="Keep one of them")


def is_late(goal: Goal, *, post_date: str) -> bool:
    """Whether the goal is dated after the day of the post visit; both dates are ISO-8601."""
    return goal.date[:10] > post_date[:10]


def goal_direction(goal: Goal, change: float) -> str:
    """ "toward" or "away", by the clinician's own direction."""
    wanted_sign = 1.0 if goal.direction is GoalDirection.TOWARD_HIGHER else -1.0
    return "toward" if change * wanted_sign > 0 else "away"
