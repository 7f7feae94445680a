"""`labsys episode`: an injury or programme with an index date, and the goals declared before the post visit."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError
from labsys.core.session import Goal, GoalDirection
from labsys.core.skeleton import Side

if TYPE_CHECKING:
    from labsys.core.session import Episode

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Episodes: add, list, show, edit; goals.")
goals = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Goals of an episode, at most three.")
app.add_typer(goals, name="goal")

EpisodeName = Annotated[str, typer.Argument(metavar="SUBJECT/LABEL")]
IndexDate = Annotated[str | None, typer.Option("--index-date", metavar="YYYY-MM-DD", help="Day it is counted from.")]
NotesOption = Annotated[str | None, typer.Option("--notes")]


def parse_episode(text: str) -> tuple[str, str]:
    """`SUBJECT/LABEL` (InputError otherwise)."""
    subject, slash, label = text.partition("/")
    if not slash or not subject or not label or "/" in label:
        raise InputError(f"'{text}' does not name an episode", remedy="An episode is named SUBJECT/LABEL")
    return subject, label


def check_date(text: str, option: str) -> str:
    """An ISO date (InputError otherwise)."""
    from datetime import date

    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise InputError(f"'{text}' is no date", where=option, remedy="Write YYYY-MM-DD") from error


@app.command("add")
def add_episode(
    name: EpisodeName,
    index_date: IndexDate = None,
    notes: NotesOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add an episode to a subject.

    \b
    Example: labsys episode add S01/hamstring --index-date 2026-03-01
    """
    from labsys.core.session import Episode
    from labsys.storage.episodes import list_episodes
    from labsys.storage.identity import new_uuid

    terminal = Terminal(lab, as_json, quiet)
    subject, label = parse_episode(name)
    if index_date is None:
        raise InputError("an episode needs a day it is counted from", remedy="Give --index-date YYYY-MM-DD")
    if label in {e.label for e in list_episodes(terminal.open_lab(), subject)}:
        raise InputError(f"episode {name} exists already", remedy=f"Change it with 'labsys episode edit {name}'")
    date = check_date(index_date, "--index-date")
    _save(terminal, Episode(uuid=new_uuid(), subject=subject, label=label, index_date=date, notes=notes or ""))


@app.command("edit")
def edit_episode(
    name: EpisodeName,
    index_date: IndexDate = None,
    notes: NotesOption = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Change an episode; what is not named stays.

    \b
    Example: labsys episode edit S01/hamstring --notes "second visit moved"
    """
    from labsys.storage.episodes import load_episode

    terminal = Terminal(lab, as_json, quiet)
    episode = load_episode(terminal.open_lab(), *parse_episode(name))
    date = episode.index_date if index_date is None else check_date(index_date, "--index-date")
    _save(terminal, replace(episode, index_date=date, notes=episode.notes if notes is None else notes))


@app.command("list")
def list_all(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List a subject's episodes.

    \b
    Example: labsys episode list S01
    """
    from api.commands.text_table import format_table
    from labsys.storage.episodes import list_episodes

    terminal = Terminal(lab, as_json, quiet)
    found = list_episodes(terminal.open_lab(), subject)
    rows = [(f"{e.subject}/{e.label}", e.index_date, len(e.goals), e.notes) for e in found]
    terminal.give(
        {"episodes": [asdict(e) for e in found]}, format_table(("episode", "index date", "goals", "notes"), rows)
    )


@app.command("show")
def show_episode(
    name: EpisodeName, lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Show an episode with its goals.

    \b
    Example: labsys episode show S01/hamstring
    """
    from labsys.storage.episodes import load_episode

    terminal = Terminal(lab, as_json, quiet)
    _give(terminal, load_episode(terminal.open_lab(), *parse_episode(name)))


@goals.command("add")
def add_goal(
    name: EpisodeName,
    metric: Annotated[str, typer.Argument(metavar="METRIC", help="An id of 'labsys metrics'.")],
    side: Annotated[Side, typer.Option("--side")] = Side.BOTH,
    direction: Annotated[GoalDirection | None, typer.Option("--direction")] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Day it was declared; today if not given.")
    ] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Declare what the programme is to change, before the post visit.

    \b
    Example: labsys episode goal add S01/hamstring hip_ext_excursion_stance --side left --direction toward_higher
    """
    from labsys.core.catalogue import find_metric
    from labsys.core.clock import utc_now
    from labsys.storage.episodes import load_episode

    terminal = Terminal(lab, as_json, quiet)
    sides = find_metric(metric).sided.sides
    if side not in sides:
        raise InputError(f"metric {metric} has no side '{side}'", remedy=f"Give --side {' or '.join(sides)}")
    if direction is None:
        raise InputError("a goal needs a direction", remedy="Give --direction toward_higher or toward_lower")
    day = utc_now()[:10] if date is None else check_date(date, "--date")
    episode = load_episode(terminal.open_lab(), *parse_episode(name))
    if any(g.metric == metric and g.side is side for g in episode.goals):
        raise InputError(f"episode {name} has a goal for {metric} {side} already")
    _save(terminal, replace(episode, goals=(*episode.goals, Goal(metric, side, direction, day))))


def _save(terminal: Terminal, episode: Episode) -> None:
    from api.commands.changes import auditing, update_index
    from labsys.storage.episodes import save_episode

    lab = terminal.open_lab()
    # With their days: one that is declared after the second visit, and dated before it, is found by the audit's time.
    goals = "; ".join(f"{g.metric} {g.side} {g.direction} of {g.date}" for g in episode.goals)
    with auditing(lab, "episode.change", f"episodes/{episode.subject}/{episode.label}, goals: {goals or 'none'}"):
        saved = save_episode(lab, episode)
    update_index(terminal, lab, saved.subject)
    _give(terminal, saved)


def _give(terminal: Terminal, episode: Episode) -> None:
    lines = [f"{episode.subject}/{episode.label}  index date {episode.index_date}  {episode.notes}".rstrip()]
    lines += [f"  goal: {g.metric} {g.side} {g.direction} (declared {g.date})" for g in episode.goals]
    terminal.give(asdict(episode), "\n".join(lines))
