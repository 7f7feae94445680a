"""`labsys trial`: recordings with their meaning: what is stated about each. What becomes of one: trial_moves.py."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.stated import (
    ClearOption,
    ConditionsFile,
    FootwearOption,
    InclineOption,
    NotesOption,
    PainOption,
    SpeedOption,
    Stated,
    SurfaceOption,
    read_stated,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_session, parse_time
from api.commands.trial_table import trial_headers, trial_rows
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import Conditions, TrialKind, TrialName

if TYPE_CHECKING:
    from labsys.core.session import Trial
    from labsys.storage.lab import Lab

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Trials: add, list, show, edit, exclude, move, delete."
)

TrialArgument = Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")]
KindOption = Annotated[TrialKind | None, typer.Option("--kind")]
StaticOption = Annotated[
    str | None, typer.Option("--static", metavar="TRIAL", help="Static trial of the visit to reference to.")
]
PlacementOption = Annotated[
    str | None,
    typer.Option("--placement", help="Which placement of stickers, where they were re-placed within the visit."),
]
CalibrationOption = Annotated[
    str | None,
    typer.Option("--calibration", metavar="NAME", help="Calibration that counts, whatever it was recorded in."),
]
RecordedAt = Annotated[str | None, typer.Option("--recorded-at", metavar="TIME", help="ISO-8601.")]
_STATED = ("static", "placement", "notes", "calibration")
_CLEARABLE = ("surface", "speed_mps", "incline_pct", "footwear", "pain_0_10", *_STATED)


@app.command("add")
def add_trial(
    name: TrialArgument,
    kind: KindOption = None,
    surface: SurfaceOption = None,
    speed_mps: SpeedOption = None,
    incline_pct: InclineOption = None,
    footwear: FootwearOption = None,
    pain: PainOption = None,
    static: StaticOption = None,
    placement: PlacementOption = None,
    recorded_at: RecordedAt = None,
    notes: NotesOption = None,
    conditions: ConditionsFile = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add a trial before its recording comes in.

    \b
    Example: labsys trial add S01/2026-11-22/run1 --kind run --surface treadmill --speed-mps 3.0
    """
    from labsys.core.session import Trial
    from labsys.storage.identity import new_uuid
    from labsys.storage.sessions import load_session
    from labsys.storage.trials import list_trials

    terminal = Terminal(lab, as_json, quiet)
    folder, trial_name = terminal.open_lab(), TrialName.parse(name)
    if kind is None:
        raise InputError("a trial needs a kind", remedy="Give --kind static, run, walk or other")
    session = load_session(folder, trial_name.subject, trial_name.session)
    if trial_name in {t.name for t in list_trials(folder, trial_name.subject, trial_name.session)}:
        raise InputError(f"trial {name} exists already", remedy=f"Change it with 'labsys trial edit {name}'")
    new = Trial(uuid=new_uuid(), name=trial_name, kind=kind, recorded_at=session.captured_at)
    stated = read_stated(conditions, Stated(surface, speed_mps, incline_pct, footwear, pain))
    save_stated(
        terminal,
        folder,
        _changed(new, stated, kind=None, static=static, placement=placement, recorded_at=recorded_at, notes=notes),
    )


@app.command("edit")
def edit_trial(
    name: TrialArgument,
    kind: KindOption = None,
    surface: SurfaceOption = None,
    speed_mps: SpeedOption = None,
    incline_pct: InclineOption = None,
    footwear: FootwearOption = None,
    pain: PainOption = None,
    static: StaticOption = None,
    placement: PlacementOption = None,
    calibration: CalibrationOption = None,
    recorded_at: RecordedAt = None,
    notes: NotesOption = None,
    conditions: ConditionsFile = None,
    clear: ClearOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Change what is stated about a trial; what is not named stays. Results that rest on it stop counting.

    \b
    Example: labsys trial edit S01/2026-11-22/run1 --speed-mps 3.2 --static static2
    """
    from labsys.storage.calibrations import calibration_folder
    from labsys.storage.trials import load_trial

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    trial = _cleared(load_trial(folder, TrialName.parse(name)), clear or [])
    if calibration is not None:
        calibration_folder(folder, calibration)
        trial = replace(trial, calibration=calibration)
    stated = read_stated(conditions, Stated(surface, speed_mps, incline_pct, footwear, pain))
    save_stated(
        terminal,
        folder,
        _changed(trial, stated, kind=kind, static=static, placement=placement, recorded_at=recorded_at, notes=notes),
    )


@app.command("list")
def list_all(
    session: Annotated[str, typer.Argument(metavar="SUBJECT[/SESSION]")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the trials of a subject or of one visit.

    \b
    Example: labsys trial list S01/2026-11-22
    """
    from api.commands.text_table import format_table
    from labsys.storage.sessions import list_sessions
    from labsys.storage.trials import list_trials

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    if "/" in session:
        places = [parse_session(session)]
    else:
        places = [(session, s.session) for s in list_sessions(folder, session)]
    found = [t for place in places for t in list_trials(folder, *place)]
    tables = [trial_rows(folder, *place) for place in places]
    headers = trial_headers()
    rows = [row for _, part in tables for row in part]
    terminal.give({"trials": [trial_document(t) for t in found]}, format_table(headers, rows))


@app.command("show")
def show_trial(
    name: TrialArgument, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show what is stated about a trial; its numbers are in 'labsys show'.

    \b
    Example: labsys trial show S01/2026-11-22/run1
    """
    from labsys.storage.trials import load_trial

    terminal = Terminal(lab, as_json, quiet)
    _give(terminal, load_trial(terminal.open_lab(), TrialName.parse(name)))


def _changed(
    trial: Trial,
    stated: Stated,
    *,
    kind: TrialKind | None,
    static: str | None,
    placement: str | None,
    recorded_at: str | None,
    notes: str | None,
) -> Trial:
    _refuse_visit_facts(stated)
    return replace(
        trial,
        kind=kind or trial.kind,
        conditions=stated.conditions(trial.conditions),
        static=trial.static if static is None else static,
        placement=trial.placement if placement is None else placement,
        recorded_at=trial.recorded_at if recorded_at is None else parse_time(recorded_at, "--recorded-at"),
        notes=trial.notes if notes is None else notes,
    )


def _refuse_visit_facts(stated: Stated) -> None:
    visit = ("phase", "episode", "operator", "mass_kg", "height_m", "leg_length_m")
    given = [n for n in visit if getattr(stated, n) is not None]
    if given:
        raise InputError(
            f"{', '.join(given)} belong to the visit, not to one trial",
            where="--conditions",
            remedy="Use 'labsys session edit'",
        )


def _cleared(trial: Trial, names: list[str]) -> Trial:
    empty = Conditions()
    for name in names:
        if name not in _CLEARABLE:
            raise UnknownNameError("field", name, valid=_CLEARABLE, where="--clear")
        if name in _STATED:
            nothing: dict[str, Any] = {name: ""}
            trial = replace(trial, **nothing)
        else:
            trial = replace(trial, conditions=replace(trial.conditions, **{name: getattr(empty, name)}))
    return trial


def save_stated(terminal: Terminal, lab: Lab, trial: Trial, action: str = "trial.change", what: str = "") -> None:
    """Save what is stated about a trial, note it in the audit, and retire the results that rested on something else."""
    from api.commands.changes import auditing, settle_session
    from labsys.storage.trials import save_trial

    _check_static(lab, trial)
    with auditing(lab, action, what or f"trials/{trial.name}"):
        saved = save_trial(lab, trial)
    settle_session(terminal, lab, saved.name.subject, saved.name.session)
    _give(terminal, saved)


def _check_static(lab: Lab, trial: Trial) -> None:
    if not trial.static:
        return
    from labsys.storage.trials import list_trials

    name = trial.name
    statics = [t.name.trial for t in list_trials(lab, name.subject, name.session) if t.kind is TrialKind.STATIC]
    if trial.static not in statics:
        raise UnknownNameError("static trial", trial.static, valid=statics, where=f"{name.subject}/{name.session}")


def trial_document(trial: Trial) -> dict[str, object]:
    """A trial as JSON says it."""
    return asdict(trial) | {"name": str(trial.name)}


def _give(terminal: Terminal, trial: Trial) -> None:
    from api.commands.text_table import format_table

    facts = {**trial_document(trial), **asdict(trial.conditions)}
    for part in ("conditions", "accepted_sizes"):
        facts.pop(part)
    accepted = ", ".join(f"{c}={w}x{h}" for c, (w, h) in trial.accepted_sizes.items())
    terminal.give(
        trial_document(trial), format_table(("of", str(trial.name)), [*facts.items(), ("accepted sizes", accepted)])
    )
