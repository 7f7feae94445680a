"""`labsys reference`: what others show at a speed, and a lab's own values once there are enough runners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.session import Surface

if TYPE_CHECKING:
    from labsys.core.references import ReferenceTable, ReferenceValue

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Reference values: list, learn the lab's own.")


@app.command("learn")
def learn(
    speed: Annotated[float, typer.Option("--speed", metavar="M/S", help="Belt speed; runs within 3 % of it count.")],
    subject: Annotated[
        list[str] | None,
        typer.Option("--subject", metavar="CODE", help="Who is healthy, once each; else all without an episode."),
    ] = None,
    surface: Annotated[Surface, typer.Option("--surface")] = Surface.TREADMILL,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn the lab's own reference values from its healthy runners at one speed. Exit code 3: fewer than 20.

    \b
    Example: labsys reference learn --speed 3.0
    """
    from pipelines.learn_references import learn_references

    terminal = Terminal(lab, as_json, quiet)
    learnt = learn_references(terminal.open_lab(), speed_mps=speed, surface=surface, subjects=subject or ())
    groups = [{"sex": sex, "tier": tier, "runners": n} for (sex, tier), n in learnt.runners.items()]
    metrics = sorted({v.metric for v in learnt.values})
    taken = {(v.sex, v.tier) for v in learnt.values}
    told = ", ".join(
        f"{n} {sex} at {tier}" + ("" if (sex, tier) in taken else " (too few, left out)")
        for (sex, tier), n in learnt.runners.items()
    )
    terminal.give(
        {"speed_mps": speed, "surface": surface.value, "groups": groups, "metrics": metrics},
        f"{len(metrics)} metrics at {speed:g} m/s from {told}",
    )


@app.command("list")
def list_references(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List every reference value with its source, runners, speeds and method; those of a lab first.

    \b
    Example: labsys reference list
    """
    from api.commands.text_table import format_table
    from pipelines.screening import lab_references

    terminal = Terminal(lab, as_json, quiet)
    rows = list(_rows(lab_references(terminal.open_lab())))
    headers = ("metric", "value", "unit", "sex", "n", "speed m/s", "surface", "method", "source")
    document = {"references": [dict(zip(headers, row, strict=True)) for row in rows]}
    terminal.give(document, format_table(headers, rows, right=("n",)))


def _rows(table: ReferenceTable) -> list[tuple[Any, ...]]:
    return [_row(r, _speeds(r)) for r in (*table.own, *table.published)] + [
        _row(found, f"{v:g}") for s in table.series for v in s.speeds_mps if (found := s.at(v)) is not None
    ]


def _row(reference: ReferenceValue, speeds: str) -> tuple[Any, ...]:
    from labsys.biomechanics.reference_text import range_text
    from labsys.core.catalogue import find_metric

    return (
        reference.metric,
        range_text(reference),
        find_metric(reference.metric).unit.value,
        reference.sex or "both",
        reference.n,
        speeds,
        reference.surface.value,
        reference.method,
        reference.source,
    )


def _speeds(reference: ReferenceValue) -> str:
    if reference.speeds_mps is None:
        return "not retrieved: never shown beside a value"
    return f"{reference.speeds_mps[0]:.2f} to {reference.speeds_mps[1]:.2f}"
