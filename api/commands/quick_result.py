"""`labsys quick`: a first look at a take while the runner is still there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError, LabsysError
from labsys.core.session import Trial, TrialName

if TYPE_CHECKING:
    from labsys.core.session import Goal
    from labsys.storage.lab import Lab
    from pipelines.quick import QuickResult

_MOST_S = 60.0
_SAME_SPEED_MPS = 0.05


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("quick")(show_quick)


def show_quick(
    trial: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")],
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="How much of the middle to look at.")] = 10.0,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Finds 2D landmarks in the videos; see 'labsys model'.")
    ] = "",
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Look at a few seconds of a take: landmarks seen, strides, goals beside the last visit. Nothing is stored.

    \b
    Example: labsys quick S01/2026-11-22/run1 --model runner37
    """
    from pipelines.config import load_config
    from pipelines.quick import look_quickly

    terminal, name = Terminal(lab, as_json, quiet), TrialName.parse(trial)
    if not 0 < seconds <= _MOST_S:
        raise InputError(f"--seconds {seconds:g} is not between 0 and {_MOST_S:g}", remedy="Use 10")
    folder = terminal.open_lab()
    config = load_config(sets=[f"pose2d.model={json.dumps(model)}"] if model else [])
    with terminal.progress() as progress:
        found = look_quickly(folder, name, config=config, seconds=seconds, progress=progress)
    document = quick_document(folder, found)
    terminal.give(document, quick_text(document))


def quick_document(lab: Lab, found: QuickResult) -> dict[str, Any]:
    """A first look as `labsys quick --json` prints it, with the goals of the subject's episodes."""
    from api.views import metric_document
    from labsys.storage.episodes import list_episodes

    motion, name = found.motion, found.trial
    metrics = {(m.id, m.side): metric_document(m) for m in motion.metrics}
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
        "goals": [_goal_document(lab, name, goal, metrics) for goal in goals],
        "metrics": list(metrics.values()),
        "notes": dict(motion.notes),
        "took_s": round(found.took_s, 1),
    }


def _goal_document(lab: Lab, name: TrialName, goal: Goal, metrics: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    now = metrics.get((goal.metric, goal.side))
    last = _find_last(lab, name)
    before = None if last is None else _stored_metric(lab, last, goal)
    return {
        "metric": goal.metric,
        "side": goal.side.value,
        "direction": goal.direction.value,
        "unit": now["unit"] if now else None,
        "mean": now["mean"] if now else None,
        "reason": now["reason"] if now else "this trial does not give it",
        "last": None if before is None else {"trial": str(last), "mean": before["mean"]},
    }


def _find_last(lab: Lab, name: TrialName) -> TrialName | None:
    """The latest processed trial of an earlier visit under the same conditions."""
    from labsys.storage.runs import current_run
    from labsys.storage.sessions import list_sessions, load_session
    from labsys.storage.trials import list_trials, load_trial

    this = load_trial(lab, name)
    now = load_session(lab, name.subject, name.session).captured_at
    earlier = [s for s in list_sessions(lab, name.subject) if s.captured_at < now and s.session != name.session]
    for session in sorted(earlier, key=lambda s: s.captured_at, reverse=True):
        alike = [t for t in list_trials(lab, name.subject, session.session) if _is_alike(t, this)]
        done = [t.name for t in alike if current_run(lab, t.name) is not None]
        if done:
            return done[-1]
    return None


def _is_alike(trial: Trial, this: Trial) -> bool:
    theirs, ours = trial.conditions.speed_mps, this.conditions.speed_mps
    same_speed = theirs == ours or (theirs is not None and ours is not None and abs(theirs - ours) <= _SAME_SPEED_MPS)
    return trial.kind is this.kind and not trial.excluded and same_speed


def _stored_metric(lab: Lab, name: TrialName, goal: Goal) -> dict[str, Any] | None:
    from api.views import metric_document
    from labsys.storage.results import load_trial_result

    try:
        metrics = load_trial_result(lab, name).motion.metrics
    except LabsysError:
        return None  # a last visit that cannot be read keeps nobody from looking at this one
    return next((metric_document(m) for m in metrics if (m.id, m.side) == (goal.metric, goal.side)), None)


def quick_text(document: dict[str, Any]) -> str:
    """A first look as people read it."""
    strides = document["n_strides"]
    lines = [
        f"QUICK, not stored: {document['trial']} from {document['from_s']:.1f} to {document['until_s']:.1f} s, "
        f"in {document['took_s']:.0f} s; landmarks reach {document['tier'] or 'no tier'}",
        f"strides: {strides['left']} left, {strides['right']} right",
    ]
    if document["landmarks_not_seen"]:
        lines.append(f"not seen: {', '.join(document['landmarks_not_seen'])}")
    lines += [f"{key}: {text}" for key, text in document["notes"].items()]
    lines += [_goal_line(goal) for goal in document["goals"]] or ["no goals are declared for this subject"]
    return "\n".join(lines)


def _goal_line(goal: dict[str, Any]) -> str:
    from api.commands.showing import digits_of
    from api.commands.text_table import format_number

    if goal["mean"] is None:
        return f"{goal['metric']} {goal['side']}: not measured ({goal['reason']})"
    digits, last = digits_of(goal["unit"]), goal["last"]
    known = last is not None and last["mean"] is not None
    before = f", {format_number(last['mean'], digits)} in {last['trial']}" if known else ""
    return f"{goal['metric']} {goal['side']}: {format_number(goal['mean'], digits)} {goal['unit']}{before}"
