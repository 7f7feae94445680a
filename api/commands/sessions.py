"""`labsys session`: visits, with phase, body measures and scores."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.stated import (
    ClearOption,
    ConditionsFile,
    EpisodeOption,
    HeightOption,
    LegLengthOption,
    MassOption,
    NotesOption,
    OperatorOption,
    PhaseOption,
    Stated,
    read_stated,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_pairs, parse_session, parse_time
from labsys.core.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path

    from labsys.core.session import Phase, Session

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Sessions (visits): add, list, show, edit.")

SessionName = Annotated[str, typer.Argument(metavar="SUBJECT/SESSION")]
CapturedAt = Annotated[
    str | None, typer.Option("--captured-at", metavar="TIME", help="ISO-8601; the date in the name if not given.")
]
ScoreOption = Annotated[
    list[str] | None, typer.Option("--score", metavar="NAME=VALUE", help="Questionnaire score; repeatable.")
]
RepeatsOption = Annotated[
    str | None,
    typer.Option("--repeats", metavar="SESSION", help="Earlier visit that this one repeats, nothing done between."),
]
_CLEARABLE = ("repeats", "phase", "episode", "operator", "mass_kg", "height_m", "leg_length_m", "notes", "scores")


@app.command("add")
def add_session(
    name: SessionName,
    phase: PhaseOption = None,
    episode: EpisodeOption = None,
    operator: OperatorOption = None,
    mass_kg: MassOption = None,
    height_m: HeightOption = None,
    leg_length_m: LegLengthOption = None,
    captured_at: CapturedAt = None,
    score: ScoreOption = None,
    repeats: RepeatsOption = None,
    notes: NotesOption = None,
    conditions: ConditionsFile = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add a visit of a subject.

    \b
    Example: labsys session add S01/2026-11-22 --phase pre --mass-kg 62 --leg-length-m 0.86
    """
    from labsys.core.session import Session
    from labsys.storage.identity import new_uuid
    from labsys.storage.sessions import list_sessions
    from pipelines.importing.nouns import capture_time

    terminal = Terminal(lab, as_json, quiet)
    subject, code = parse_session(name)
    if code in {s.session for s in list_sessions(terminal.open_lab(), subject)}:
        raise InputError(f"session {name} exists already", remedy=f"Change it with 'labsys session edit {name}'")
    stated = _stated(conditions, phase, episode, operator, mass_kg, height_m, leg_length_m)
    new = Session(uuid=new_uuid(), subject=subject, session=code, captured_at=capture_time(code))
    _save(terminal, _changed(new, stated, captured_at, score, repeats, notes))


@app.command("edit")
def edit_session(
    name: SessionName,
    phase: PhaseOption = None,
    episode: EpisodeOption = None,
    operator: OperatorOption = None,
    mass_kg: MassOption = None,
    height_m: HeightOption = None,
    leg_length_m: LegLengthOption = None,
    captured_at: CapturedAt = None,
    score: ScoreOption = None,
    repeats: RepeatsOption = None,
    notes: NotesOption = None,
    conditions: ConditionsFile = None,
    clear: ClearOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Change a visit; what is not named stays. Results that rest on a changed value stop counting.

    \b
    Example: labsys session edit S01/2026-11-22 --leg-length-m 0.87 --score VISA-H=72
    """
    from labsys.storage.sessions import load_session

    terminal = Terminal(lab, as_json, quiet)
    session = _cleared(load_session(terminal.open_lab(), *parse_session(name)), clear or [])
    stated = _stated(conditions, phase, episode, operator, mass_kg, height_m, leg_length_m)
    _save(terminal, _changed(session, stated, captured_at, score, repeats, notes))


@app.command("list")
def list_all(
    subject: Annotated[str | None, typer.Argument(metavar="[SUBJECT]")] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List visits, of one subject or of all.

    \b
    Example: labsys session list S01
    """
    from api.commands.text_table import format_table
    from labsys.storage.sessions import list_sessions
    from labsys.storage.subjects import list_subjects

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    codes = [subject] if subject else [s.code for s in list_subjects(folder)]
    found = [s for code in codes for s in list_sessions(folder, code)]
    rows = [(f"{s.subject}/{s.session}", s.phase, s.episode, s.captured_at, s.operator, s.notes) for s in found]
    headers = ("session", "phase", "episode", "captured at", "operator", "notes")
    terminal.give({"sessions": [asdict(s) for s in found]}, format_table(headers, rows))


@app.command("show")
def show_session(
    name: SessionName, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show a visit with its trials.

    \b
    Example: labsys session show S01/2026-11-22
    """
    from api.commands.text_table import format_table
    from api.commands.trial_table import trial_rows
    from labsys.storage.sessions import load_session

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    session = load_session(folder, *parse_session(name))
    headers, rows = trial_rows(folder, session.subject, session.session)
    document = asdict(session) | {"trials": [row[0] for row in rows]}
    facts = {**asdict(session), **asdict(session.anthropometry)}
    del facts["anthropometry"]
    facts["scores"] = ", ".join(f"{k}={v:g}" for k, v in session.scores.items())
    text = format_table(("of", name), list(facts.items())) + "\n\n" + format_table(headers, rows)
    terminal.give(document, text)


def _stated(
    file: Path | None,
    phase: Phase | None,
    episode: str | None,
    operator: str | None,
    mass_kg: float | None,
    height_m: float | None,
    leg_length_m: float | None,
) -> Stated:
    options = Stated(
        phase=phase, episode=episode, operator=operator, mass_kg=mass_kg, height_m=height_m, leg_length_m=leg_length_m
    )
    stated = read_stated(file, options)
    of_a_trial = ("surface", "speed_mps", "incline_pct", "footwear", "pain_0_10")
    given = [name for name in of_a_trial if getattr(stated, name) is not None]
    if given:
        raise InputError(
            f"{', '.join(given)} belong to a trial, not to the visit", where=str(file), remedy="Use 'labsys trial edit'"
        )
    return stated


def _changed(
    session: Session,
    stated: Stated,
    captured_at: str | None,
    score: list[str] | None,
    repeats: str | None,
    notes: str | None,
) -> Session:
    return replace(
        session,
        phase=stated.phase or session.phase,
        episode=session.episode if stated.episode is None else stated.episode,
        operator=session.operator if stated.operator is None else stated.operator,
        captured_at=session.captured_at if captured_at is None else parse_time(captured_at, "--captured-at"),
        anthropometry=stated.anthropometry(session.anthropometry),
        scores={**session.scores, **_scores(score or [])},
        repeats=session.repeats if repeats is None else repeats,
        notes=session.notes if notes is None else notes,
    )


def _scores(texts: list[str]) -> dict[str, float]:
    scores = {}
    for name, value in parse_pairs(texts, "--score", "VISA-H=72").items():
        try:
            scores[name] = float(value)
        except ValueError as error:
            raise InputError(f"score {name} is '{value}', not a number", where="--score") from error
    return scores


def _cleared(session: Session, names: list[str]) -> Session:
    for name in names:
        if name not in _CLEARABLE:
            raise UnknownNameError("field", name, valid=_CLEARABLE, where="--clear")
        if name in ("mass_kg", "height_m", "leg_length_m"):
            session = replace(session, anthropometry=replace(session.anthropometry, **{name: None}))
        else:
            nothing: dict[str, Any] = {name: {"phase": None, "scores": {}}.get(name, "")}
            session = replace(session, **nothing)
    return session


def _save(terminal: Terminal, session: Session) -> None:
    from api.commands.changes import auditing, settle_session
    from labsys.storage.sessions import save_session

    lab = terminal.open_lab()
    with auditing(lab, "session.change", f"sessions/{session.subject}/{session.session}"):
        saved = save_session(lab, session)
    settle_session(terminal, lab, saved.subject, saved.session)
    terminal.give(asdict(saved), f"{saved.subject}/{saved.session}")
