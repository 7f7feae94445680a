"""`labsys model evaluate`: how far a model is off, in pixels and in space, on pictures that it was not trained on."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal

if TYPE_CHECKING:
    from pipelines.modelling.evaluate import Evaluation
    from pipelines.modelling.judged import JudgedModel

# Landmarks that are named as those that most often lie on the other side.
_WORST = 4


def register(app: typer.Typer) -> None:
    """Add the command to `labsys model`."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model of the lab, a pack's folder, or a training's folder.")
    ],
    project: Annotated[
        Path, typer.Option("--project", metavar="PROJECT", help="Folder with DeepLabCut's config.yaml and labels.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it as JSON too, for labsys model pack.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, …; a GPU where there is one if not given.")] = "",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1)] = 16,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare what a model finds with labels, on pictures that it was not trained on.

    \b
    Example: labsys model evaluate trained --project labels --out evaluation.json
    """
    from labsys.storage.atomic import write_json_atomic
    from labsys.storage.exchange.dlc_project import read_dlc_project
    from pipelines.modelling.evaluate import EvaluationMachine, evaluate_model

    terminal = Terminal(lab, as_json, quiet)
    if out is not None:
        _check_out(out)
    judged = _open(terminal, model)
    found = read_dlc_project(project)
    with terminal.progress() as progress:
        machine = EvaluationMachine(device, batch_size)
        evaluation = evaluate_model(judged, found, machine=machine, progress=progress)
    document = evaluation_document(evaluation)
    if out is not None:
        write_json_atomic(out, document)
    terminal.give(document, evaluation_text(evaluation))


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """All of an evaluation as JSON values; what does not exist is null."""
    from pipelines.modelling.evaluate import summarise

    document: dict[str, Any] = _without_nan(asdict(evaluation))
    sides_share = evaluation.sides.share
    document["sides"]["share"] = None if math.isnan(sides_share) else sides_share
    document["tiers"] = [
        {"tier": t.tier.name, "standing": t.standing.value, "because": list(t.because)} for t in evaluation.tiers
    ]
    return {**document, "summary": summarise(evaluation)}


def evaluation_text(evaluation: Evaluation) -> str:
    """An evaluation for a person."""
    lines = [
        f"model {evaluation.model}, {evaluation.pictures} pictures of {evaluation.project}",
        f"knows: {evaluation.knows or 'nobody has said so yet'}",
        *_cautions(evaluation),
        "",
        _table(evaluation),
        "",
        _sides_text(evaluation),
        _strays_text(evaluation),
        *_space_lines(evaluation),
    ]
    lines += [
        f"tier {t.tier.name}: {t.standing.value}" + (f", for {', '.join(t.because)}" if t.because else "")
        for t in evaluation.tiers
    ]
    return "\n".join(lines)


def _open(terminal: Terminal, model: str) -> JudgedModel:
    from labsys.storage.models import load_model
    from pipelines.modelling.judged import judge_pack, open_judged

    folder = Path(model)
    return open_judged(folder) if folder.is_dir() else judge_pack(load_model(terminal.open_lab(), model))


def _check_out(path: Path) -> None:
    """InputError where something else than an evaluation would be overwritten; before minutes of work."""
    from labsys.core.errors import InputError
    from labsys.storage.atomic import is_there, read_json

    if not is_there(path):
        return
    try:
        known = "summary" in read_json(path)
    except InputError:
        known = False
    if not known:
        raise InputError(
            "is there already, is no evaluation, and is not overwritten", where=str(path), remedy="Choose another --out"
        )


def _cautions(evaluation: Evaluation) -> list[str]:
    lines = []
    if evaluation.trained_on:
        lines.append(f"left out: {evaluation.trained_on} labelled pictures that it was trained on")
    if evaluation.unknown:
        lines.append(
            "caution: nobody noted all pictures that it was trained on; were these among them, it looks better than it "
            "is"
        )
    if evaluation.lacking:
        lines.append(f"labelled, and not among its landmarks: {', '.join(evaluation.lacking)}")
    return lines


def _table(evaluation: Evaluation) -> str:
    from api.commands.text_table import format_table

    headers = ("landmark", "labels", "found %", "median px", "95 % px", "median at 720", "95 % at 720")
    rows = [
        (
            s.landmark,
            s.n,
            _number(100.0 * s.found, 1),
            *(_number(v, 2) for v in (s.median_px, s.p95_px, s.median_common_px, s.p95_common_px)),
        )
        for s in evaluation.scores
        if s.n
    ]
    note = "errors of found points (likelihood 0.1 or more); 'at 720': in a picture 720 px high"
    return f"{format_table(headers, rows, right=headers[1:])}\n{note}"


def _sides_text(evaluation: Evaluation) -> str:
    sides = evaluation.sides
    if not sides.n:
        return "left and right: no pair could be told apart"
    return f"left and right exchanged: {sides.crossed} of {sides.n} pairs ({100.0 * sides.share:.2f} %)"


def _strays_text(evaluation: Evaluation) -> str:
    from pipelines.modelling.strayed import total_strays

    every = total_strays(evaluation.strays)
    if not every.n:
        return "on the other side: no point could be judged"
    worst = sorted((s for s in evaluation.strays if s.strayed), key=lambda s: -s.share)[:_WORST]
    told = ", ".join(f"{s.landmark} {s.strayed} of {s.n}" for s in worst)
    return f"on the other side: {every.strayed} of {every.n} points ({100.0 * every.share:.2f} %)" + (
        f", most often {told}" if told else ""
    )


def _space_lines(evaluation: Evaluation) -> list[str]:
    space = evaluation.space
    if space is None:
        return ["in space: no moment was labelled in two calibrated views"]
    return [
        f"in space: {space.n} points, median {_number(space.median_mm, 1)} mm and 95 % {_number(space.p95_mm, 1)} mm "
        f"from where labels put them; {_number(100.0 * space.lost, 1)} % not found",
        f"cameras agree within {_number(space.residual_px, 2)} px (median; labels: "
        f"{_number(space.label_residual_px, 2)} px)",
    ]


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
