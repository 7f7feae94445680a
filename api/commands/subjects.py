"""`labsys subject`: people, known by a code. Names live in the database's identity table alone."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal

if TYPE_CHECKING:
    from labsys.core.session import Subject

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Subjects: add, list, show, edit, erase.")

Code = Annotated[str, typer.Argument(metavar="SUBJECT", help="Code of the subject; never a name.")]
SexOption = Annotated[str | None, typer.Option("--sex", help="As the lab writes it.")]
BirthYearOption = Annotated[int | None, typer.Option("--birth-year", min=1900, max=2100)]
DominanceOption = Annotated[str | None, typer.Option("--leg-dominance", help="left or right")]
ConsentOption = Annotated[list[str] | None, typer.Option("--consent", help="Scope consented to; repeatable.")]
NotesOption = Annotated[str | None, typer.Option("--notes")]


@app.command("add")
def add_subject(
    code: Code,
    sex: SexOption = None,
    birth_year: BirthYearOption = None,
    leg_dominance: DominanceOption = None,
    consent: ConsentOption = None,
    notes: NotesOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add a subject.

    \b
    Example: labsys subject add S01 --sex female --birth-year 1990
    """
    from labsys.core.errors import InputError
    from labsys.core.session import Subject
    from labsys.storage.identity import new_uuid
    from labsys.storage.subjects import list_subjects

    terminal = Terminal(lab, as_json, quiet)
    if code in {s.code for s in list_subjects(terminal.open_lab())}:
        raise InputError(f"subject {code} exists already", remedy=f"Change it with 'labsys subject edit {code}'")
    subject = Subject(uuid=new_uuid(), code=code)
    _save(terminal, subject, sex, birth_year, leg_dominance, consent, notes)


@app.command("edit")
def edit_subject(
    code: Code,
    sex: SexOption = None,
    birth_year: BirthYearOption = None,
    leg_dominance: DominanceOption = None,
    consent: ConsentOption = None,
    notes: NotesOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Change what is known of a subject; what is not named stays.

    \b
    Example: labsys subject edit S01 --leg-dominance right
    """
    from labsys.storage.subjects import load_subject

    terminal = Terminal(lab, as_json, quiet)
    subject = load_subject(terminal.open_lab(), code)
    _save(terminal, subject, sex, birth_year, leg_dominance, consent, notes)


@app.command("list")
def list_all(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List all subjects.

    \b
    Example: labsys subject list
    """
    from api.commands.text_table import format_table
    from labsys.storage.sessions import list_sessions
    from labsys.storage.subjects import list_subjects

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    found = list_subjects(folder)
    rows = [(s.code, s.sex, s.birth_year, len(list_sessions(folder, s.code)), s.notes) for s in found]
    table = format_table(("subject", "sex", "born", "sessions", "notes"), rows, right=("sessions",))
    terminal.give({"subjects": [asdict(s) for s in found]}, table)


@app.command("show")
def show_subject(code: Code, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Show a subject with episodes and sessions.

    \b
    Example: labsys subject show S01
    """
    from api.commands.text_table import format_table
    from labsys.storage.episodes import list_episodes
    from labsys.storage.erasures import find_erasure
    from labsys.storage.sessions import list_sessions
    from labsys.storage.subjects import load_subject

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    subject = load_subject(folder, code)
    episodes, sessions = list_episodes(folder, code), list_sessions(folder, code)
    erasure = find_erasure(folder, code)
    document = asdict(subject) | {
        "episodes": [e.label for e in episodes],
        "sessions": [s.session for s in sessions],
        "erased": None if erasure is None else erasure.says,
    }
    rows = [(key, ", ".join(map(str, v)) if isinstance(v, list | tuple) else v) for key, v in document.items()]
    terminal.give(document, format_table(("of", str(code)), rows))


def _save(
    terminal: Terminal,
    subject: Subject,
    sex: str | None,
    birth_year: int | None,
    leg_dominance: str | None,
    consent: list[str] | None,
    notes: str | None,
) -> None:
    from api.commands.changes import auditing, update_index
    from labsys.storage.subjects import save_subject

    lab = terminal.open_lab()
    changed = replace(
        subject,
        sex=subject.sex if sex is None else sex,
        birth_year=subject.birth_year if birth_year is None else birth_year,
        leg_dominance=subject.leg_dominance if leg_dominance is None else leg_dominance,
        consent=subject.consent if consent is None else tuple(consent),
        notes=subject.notes if notes is None else notes,
    )
    with auditing(lab, "subject.change", f"subjects/{changed.code}"):
        saved = save_subject(lab, changed)
    update_index(terminal, lab, saved.code)
    terminal.give(asdict(saved), saved.code)
