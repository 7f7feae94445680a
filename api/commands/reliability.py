"""`labsys reliability`: the lab's own error from its repeats, and how many captures a change needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.digits import digits_of
from labsys.core.errors import GateRefusedError, InputError, UnknownNameError
from labsys.core.skeleton import Tier

if TYPE_CHECKING:
    from labsys.core.learnt_error import LearntErrors
    from labsys.storage.lab import Lab


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("reliability")(show_reliability)


def show_reliability(
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="METRIC", help="Say how many captures see a change of it.")
    ] = None,
    change: Annotated[float | None, typer.Option("--change", help="Change to see, in the metric's unit.")] = None,
    tier: Annotated[str, typer.Option("--tier", help="Landmarks of the plan: T0 to T3.")] = "T3",
    save: Annotated[bool, typer.Option("--save", help="Let what is learnt now count from now on.")] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn the lab's own measurement error from all repeats on file, or plan how many captures a change needs.

    Repeats are captures within a visit, and visits marked with 'labsys session edit --repeats'. Exit code 3: there
    are too few to learn from.

    \b
    Example: labsys reliability --plan hip_ext_excursion_stance --change 5
    """
    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    if (plan is None) is not (change is None):
        raise InputError("a plan needs a metric and a change", remedy="Give both --plan METRIC and --change X")
    if plan is not None and change is not None:
        if save:
            raise InputError("--save does not go with --plan", remedy="Save first, then plan")
        _give_plan(terminal, folder, plan, change, tier)
    else:
        _give_learnt(terminal, folder, save=save)


def _give_plan(terminal: Terminal, folder: Lab, metric: str, change: float, tier: str) -> None:
    from api.lab_errors import plan_for
    from api.views.reliability import plan_document

    names = [t.name for t in Tier]
    if tier not in names:
        raise UnknownNameError("tier", tier, valid=names, where="--tier")
    document = plan_document(plan_for(folder, metric, change, Tier[tier]))
    terminal.give(document, plan_text(document))


def _give_learnt(terminal: Terminal, folder: Lab, *, save: bool) -> None:
    from api.views.reliability import reliability_document

    learnt = _learn(folder)
    if save and not learnt.rows:
        raise GateRefusedError(
            "too few repeats on file to learn from",
            remedy="Record 10 people twice, at least a day apart, nothing done between, and mark the second visit "
            "with 'labsys session edit SUBJECT/SESSION --repeats SESSION'",
        )
    name = _save(folder, learnt) if save else None
    document = reliability_document((name, learnt))
    terminal.give(document, reliability_text(document))


def _learn(folder: Lab) -> LearntErrors:
    from api.database.connection import open_database
    from api.indexing.index import ensure_indexed
    from api.lab_errors import default_errors
    from api.queries import find_people
    from labsys.core.clock import utc_now
    from labsys.longitudinal import learn_reliability

    database = open_database(folder)
    try:
        ensure_indexed(folder, database)
        with database.read() as session:
            people = find_people(session)
    finally:
        database.close()
    return learn_reliability(people, defaults=default_errors(), made_at=utc_now())


def _save(folder: Lab, learnt: LearntErrors) -> str:
    from labsys.storage.reliability import save_reliability

    return save_reliability(folder, learnt)


def reliability_text(document: Mapping[str, Any]) -> str:
    """What was learnt, as people read it: a line per metric, the speed bands below it."""
    from api.commands.text_table import format_number, format_table

    lines = [f"left out: {visit}: {reason}" for visit, reason in document["left_out"].items()]
    if not document["rows"]:
        return "\n".join([*lines, "Nothing is learnt yet: the default errors hold, and verdicts are provisional."])
    headers = ("metric", "tier", "speed", "SEM", "95 %", "unit", "df", "MDC95", "capture", "palpation", "day",
               "source", "bias", "ICC(2,1)", "people")  # fmt: skip
    rows = []
    for row in document["rows"]:
        digits = digits_of(row["unit"]) + 1
        rows.append(
            (
                row["id"],
                row["tier"],
                "all" if row["speed_band_mps"] is None else f"{row['speed_band_mps']:.1f} m/s",
                format_number(row["sem"], digits),
                _bounds(row["sem_ci95"], digits),
                row["unit"],
                format_number(row["df"], 0),
                format_number(row["mdc95"], digits),
                *(_part(row[k], digits) for k in ("capture", "palpation", "day")),
                row["source"],
                ", ".join(format_number(a["bias"], digits) for a in row["agreement"]),
                ", ".join(format_number(a["icc_2_1"], 2) for a in row["agreement"]),
                row["n_people"],
            )
        )
    table = format_table(headers, rows, right=("SEM", "df", "MDC95", "people"))
    notes = [
        "Parts are standard deviations; * shares a learnt sum by default, ** is a default. Bias and ICC by side.",
        f"Saved as {document['name']}: verdicts rest on it from now on."
        if document["name"]
        else "Not saved: verdicts rest on it after 'labsys reliability --save'.",
    ]
    return "\n".join([*lines, table, "", *notes])


def _part(part: Mapping[str, Any], digits: int) -> str:
    return f"{part['sd']:.{digits}f}" + {"lab": "", "split": "*", "default": "**"}[part["source"]]


def _bounds(bounds: list[float | None], digits: int) -> str:
    low, high = bounds
    return f"[{low:.{digits}f}, {'–' if high is None else f'{high:.{digits}f}'}]"


def _how(option: Mapping[str, Any]) -> str:
    if option["captures_per_visit"] == 1:
        return "One capture per visit sees"
    again = ", stickers taken off and re-placed between them," if option["stickers_replaced"] else ""
    return f"{option['captures_per_visit']} captures per visit{again} see"


def plan_text(document: Mapping[str, Any]) -> str:
    """A plan as people read it: the answer first, then every option."""
    from api.commands.text_table import format_table

    unit, digits = document["unit"], digits_of(document["unit"])
    enough = document["enough"]
    change = f"a change of {document['change']:.{digits}f} {unit} in {document['id']}"
    if enough is not None:
        answer = f"{_how(enough)} {change} in 80 % of pairs."
    elif document["smallest_detectable_change"] > document["change"]:
        answer = f"No number of captures within a visit sees {change}: day-to-day variation alone rules it out."
    else:
        answer = f"More than {document['options'][-1]['captures_per_visit']} captures per visit would see {change}."
    smallest = f"{document['smallest_detectable_change']:.{digits}f} {unit}"
    rows = [
        (
            o["captures_per_visit"],
            "yes" if o["stickers_replaced"] else "no",
            f"{100 * o['power']:.0f} %",
            f"{o['detectable_change']:.{digits}f} {unit}",
        )
        for o in document["options"]
    ]
    source = document["sem_source"]
    lines = [
        answer,
        f"SEM {document['sem']:.{digits}f} {unit} ({source}); what the day adds alone leaves {smallest}.",
        "",
        format_table(
            ("captures", "re-placed", "power", "detectable change"),
            rows,
            right=("captures", "power", "detectable change"),
        ),
    ]
    if document["provisional"]:
        lines += ["", "The error, or its split into parts, is a default, not this lab's own: the plan is provisional."]
    return "\n".join(lines)
