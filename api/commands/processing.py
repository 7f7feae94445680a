"""`labsys process`: run the pipeline on trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_session
from labsys.core.errors import InputError, LabsysError, UnknownNameError
from labsys.core.session import TrialName

if TYPE_CHECKING:
    from labsys.core.progress import Progress
    from labsys.storage.lab import Lab
    from pipelines.config import PipelineConfig
    from pipelines.run import RunOutcome
    from pipelines.stages import Stage

# What `labsys reprocess` is told in the same words.
SessionOption = Annotated[
    str | None, typer.Option("--session", metavar="SUBJECT/SESSION", help="Every recorded trial of a visit.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every recorded trial of the lab.")]
ProfileOption = Annotated[
    str, typer.Option("--profile", metavar="default|anipose|pose2sim", help="Where settings start from.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings, YAML.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; repeatable.")]


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("process")(process_trials)


def process_trials(
    trials: Annotated[list[str] | None, typer.Argument(metavar="[SUBJECT/SESSION/TRIAL]…")] = None,
    session: SessionOption = None,
    every: AllOption = False,
    stale: Annotated[
        bool, typer.Option("--stale", help="Only trials without results, or whose results rest on changed things.")
    ] = False,
    from_stage: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="pose2d, reconstruct or analyse: anew from there.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="labsys|anipose", help="Replaces the reconstruction alone.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME", help="Finds 2D landmarks where a trial has videos alone; see 'labsys model'."
        ),
    ] = None,
    profile: ProfileOption = "default",
    config: ConfigOption = None,
    settings: SetOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make results of trials. Complete results are not made again; what a crash interrupted is resumed.

    \b
    Example: labsys process S01/2026-11-22/run1
    Example: labsys process --session S01/2026-11-22 --set reconstruct.min_likelihood=0.5
    Example: labsys process S01/2026-11-22/run1 --model runner37
    Example: labsys process --all --stale
    """
    from api.commands.changes import update_index
    from pipelines.config import Profile, load_config

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    sets = [*(settings or []), *([f"reconstruct.engine={engine}"] if engine else [])]
    sets += [f"pose2d.model={json.dumps(model)}"] if model else []
    loaded = load_config(Profile(check_word("profile", profile, Profile)), file=config, sets=sets)
    stage = _stage(from_stage)
    names = choose_trials(folder, trials or [], session, every=every, stale=stale)
    tell_model(terminal, folder, names, loaded)
    outcomes, failures = _process_all(terminal, folder, names, loaded, stage)
    for subject in sorted({n.subject for n in names}):
        update_index(terminal, folder, subject)
    document = {
        "processed": [outcome_document(o) for o in outcomes],
        "failed": [{"trial": str(n), "error": str(e)} for n, e in failures],
    }
    if failures and len(names) == 1:
        raise failures[0][1]
    terminal.give(document, "\n".join(outcome_line(o) for o in outcomes) or "nothing to do")
    if failures:
        raise typer.Exit(max(e.exit_code for _, e in failures))


def _process_all(
    terminal: Terminal, lab: Lab, names: Sequence[TrialName], config: PipelineConfig, stage: Stage | None
) -> tuple[list[RunOutcome], list[tuple[TrialName, LabsysError]]]:
    from pipelines.run import run_trial

    def process(name: TrialName, progress: Progress) -> RunOutcome:
        return run_trial(lab, name, config=config, from_stage=stage, progress=progress)

    return each_trial(terminal, names, process)


def each_trial(
    terminal: Terminal, names: Sequence[TrialName], process: Callable[[TrialName, Progress], RunOutcome]
) -> tuple[list[RunOutcome], list[tuple[TrialName, LabsysError]]]:
    """Process trials one after the other; one trial's trouble does not keep the others from being processed."""
    outcomes: list[RunOutcome] = []
    failures: list[tuple[TrialName, LabsysError]] = []
    for i, name in enumerate(names):
        if len(names) > 1:
            terminal.say(f"{name} ({i + 1} of {len(names)})")
        try:
            with terminal.progress() as progress:
                outcomes.append(process(name, progress))
        except LabsysError as error:
            failures.append((name, error))
            if len(names) > 1:
                terminal.say(f"error: {name}: {error}")
    return outcomes, failures


def tell_model(terminal: Terminal, lab: Lab, names: Sequence[TrialName], config: PipelineConfig) -> None:
    """Before any video is looked at: which model will do it, and which metrics it cannot give."""
    from api.commands.modelling import contract_text
    from labsys.storage.models import list_models
    from labsys.storage.takes import has_take, load_take
    from pipelines.dlc import find_model
    from pipelines.pose2d import needs_model

    models = (config.pose2d.model,) if config.pose2d.model else list_models(lab)
    if len(models) != 1:
        return  # a trial that needs one says so itself
    stored = find_model(lab, models[0])
    if any(has_take(lab, name) and needs_model(load_take(lab, name)) for name in names):
        terminal.say(contract_text(stored))
    elif config.pose2d.model:
        terminal.say(f"model {stored.name} is not used: no trial here has videos without 2D landmarks")


def choose_trials(
    lab: Lab, trials: Sequence[str], session: str | None, *, every: bool, stale: bool = False
) -> list[TrialName]:
    """The trials that a command line names (InputError: none, or in two ways)."""
    from labsys.storage.recorded_trials import all_recorded_trials, recorded_trials
    from labsys.storage.sessions import load_session
    from pipelines.stale import find_unprocessed

    if sum((bool(trials), session is not None, every)) != 1:
        raise InputError("say what to process", remedy="Name trials, or give --session SUBJECT/SESSION, or --all")
    if trials:
        if stale:
            raise InputError("--stale goes with --all or --session")
        return list(dict.fromkeys(TrialName.parse(t) for t in trials))
    if session is not None:
        visit = load_session(lab, *parse_session(session))
        names = recorded_trials(lab, visit.subject, visit.session)
    else:
        names = all_recorded_trials(lab)
    if not stale:
        return names
    visits = dict.fromkeys((n.subject, n.session) for n in names)
    wanted = {name for visit_of in visits for name in find_unprocessed(lab, *visit_of)}
    return [name for name in names if name in wanted]


def _stage(text: str | None) -> Stage | None:
    from pipelines.stages import Stage

    return None if text is None else Stage(check_word("stage", text, Stage))


def check_word(kind: str, text: str, words: type[StrEnum]) -> str:
    """A word of an option, if it is one of the valid ones (UnknownNameError names the nearest)."""
    valid = [w.value for w in words]
    if text not in valid:
        raise UnknownNameError(kind, text, valid=valid)
    return text


def outcome_document(outcome: RunOutcome) -> dict[str, object]:
    """What processing a trial came to, as JSON."""
    return {
        "trial": str(outcome.trial),
        "run": outcome.run,
        "static": outcome.static or None,
        "new": outcome.is_new,
        "model": outcome.model or None,
        "notes": list(outcome.notes),
    }


def outcome_line(outcome: RunOutcome) -> str:
    """What processing a trial came to, in a line."""
    what = "processed" if outcome.is_new else "complete already, nothing done"
    static = f", referenced to {outcome.static}" if outcome.static else ""
    model = f", 2D by model {outcome.model}" if outcome.model else ""
    notes = "".join(f"\n  note: {note}" for note in outcome.notes)
    return f"{outcome.trial}  run {outcome.run}  {what}{static}{model}{notes}"
