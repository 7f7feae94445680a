"""`labsys demo`: the main job end to end, with truth beside measurement."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, QuietOption, Terminal
from labsys.core.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from labsys.storage.lab import Lab
    from labsys.storage.models import StoredModel
    from pipelines.demonstration.recording import PublishedRow
    from pipelines.demonstration.settings import DemoSettings, DemoVisit

_SYNTHETIC = "synthetic"
# Parameters that a recording leaves no room for.
_OF_THE_RUNNER = ("film", "model", "quick", "seed", "hip_extension_cap_deg", "lumbar_gain")


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("demo")(demonstrate)


def demonstrate(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="New or empty folder for the lab; else labsys-demo here."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Much shorter, and without --film nothing is recorded: indicative only.")
    ] = False,
    film: Annotated[
        bool,
        typer.Option("--film", help="Film the runner (rendered videos), and let DeepLabCut find the landmarks."),
    ] = False,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="DIR", help="With --film: another model pack to find landmarks with."),
    ] = None,
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="NAME", help="A public recording instead; see --datasets.")
    ] = _SYNTHETIC,
    datasets: Annotated[
        bool, typer.Option("--datasets", help="List the public recordings: source, licence, and whether they are here.")
    ] = False,
    hip_extension_cap_deg: Annotated[
        float, typer.Option("--hip-extension-cap-deg", help="Peak hip extension that the first visit can reach.")
    ] = 4.0,
    lumbar_gain: Annotated[
        float, typer.Option("--lumbar-gain", min=0.0, max=1.0, help="Share of the missing that the low back replaces.")
    ] = 0.6,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another runner, other stickers, other noise.")] = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Record, measure and compare a synthetic runner before and after rehab, and say how true it came out.

    \b
    Example: labsys demo --out demo-lab
    Example: labsys demo --film --quick
    Example: labsys demo --dataset pose2sim
    Example: labsys demo --hip-extension-cap-deg 2 --lumbar-gain 0.8 --seed 7
    """
    terminal = Terminal(None, as_json, quiet)
    if datasets:
        _list_recordings(terminal)
        return
    from api.database.connection import upgrade_database
    from labsys.core.units import radians
    from labsys.storage.lab import create_lab
    from pipelines.datasets.fetch import fetch_data_set
    from pipelines.datasets.registry import DATASETS
    from pipelines.demonstration.filmed import SHIPPED_MODEL, check_film
    from pipelines.demonstration.settings import DemoSettings, check_runner

    if dataset != _SYNTHETIC and dataset not in DATASETS:
        raise UnknownNameError("data set", dataset, valid=(_SYNTHETIC, *DATASETS), where="--dataset")
    if dataset != _SYNTHETIC:
        _refuse_runner_options(context, dataset)
    began = time.monotonic()
    settings = DemoSettings(seed=seed, hip_extension_cap_rad=radians(hip_extension_cap_deg), lumbar_gain=lumbar_gain)
    if film:
        settings = settings.filmed(quick=quick)
    elif quick:
        settings = settings.quick()
    if model is not None and not film:
        raise InputError("--model is for a runner that is filmed", remedy="Add --film")
    pack = check_film(model or SHIPPED_MODEL) if film else None
    recording = None
    if dataset != _SYNTHETIC:
        with terminal.progress() as progress:
            recording = fetch_data_set(DATASETS[dataset], progress=progress)
    else:
        check_runner(settings)
    lab = create_lab(_free_folder() if out is None else out, name="demo")
    upgrade_database(lab)
    if recording is None:
        _demonstrate_runner(terminal, lab, settings, began, pack)
    else:
        _demonstrate_recording(terminal, lab, recording, began)


def _refuse_runner_options(context: typer.Context, dataset: str) -> None:
    """InputError where options were given that only make a synthetic runner: a recording is what it is."""
    sources = {name: context.get_parameter_source(name) for name in _OF_THE_RUNNER}
    given = [f"--{n.replace('_', '-')}" for n, source in sources.items() if source and source.name != "DEFAULT"]
    if given:
        raise InputError(
            f"{', '.join(given)}: for the synthetic runner, and {dataset} is a recording",
            where="--dataset",
            remedy="Leave out one or the other",
        )


def _list_recordings(terminal: Terminal) -> None:
    from api.commands.text_table import format_table
    from pipelines.datasets.fetch import locate_data_set
    from pipelines.datasets.registry import DATASETS

    rows = []
    for found in DATASETS.values():
        where, folder = locate_data_set(found)
        rows.append((found.name, found.title, found.source, found.license, f"{found.size_mb:g}", where.value, folder))
    names = ("name", "what", "source", "licence", "MB", "state", "folder")
    document = [{**dict(zip(names, row, strict=True)), "folder": str(row[-1])} for row in rows]
    terminal.give({"datasets": document}, format_table(names, rows, right=("MB",)))


def _free_folder() -> Path:
    """labsys-demo here, or the first labsys-demo-N that is not there yet."""
    names = (Path("labsys-demo" if n == 1 else f"labsys-demo-{n}") for n in itertools.count(1))
    return next(path for path in names if not path.exists())


def _demonstrate_runner(
    terminal: Terminal, lab: Lab, settings: DemoSettings, began: float, pack: StoredModel | None
) -> None:
    from api.commands.changes import update_index
    from api.commands.comparing import compare_visits_of
    from api.commands.comparison_text import comparison_text
    from pipelines.demonstration.filmed import film_demo
    from pipelines.demonstration.settings import SUBJECT, VISITS
    from pipelines.demonstration.synthesised import synthesise_demo

    with tempfile.TemporaryDirectory(prefix="labsys-demo-") as made, terminal.progress() as progress:
        workplace = Path(made)
        if pack is None:
            visits = synthesise_demo(lab, settings, workplace=workplace, progress=progress)
        else:
            visits = film_demo(lab, settings, pack, workplace=workplace, progress=progress)
    update_index(terminal, lab, SUBJECT)
    comparison = compare_visits_of(lab, SUBJECT, *VISITS.values())
    rows = [row for visit in visits for row in _truth_rows(visit)]
    seconds = round(time.monotonic() - began, 1)
    takes = [row for visit in visits for row in _take_rows(visit)]
    document = {"seconds": seconds, "rows": rows, "comparison": comparison, "report": None, "lab": str(lab.root)}
    document["takes"] = takes
    texts = (_takes_text(takes), _truth_table(rows), comparison_text(comparison), _closing(lab, seconds))
    terminal.give(document, "\n\n".join(part for part in texts if part))


def _demonstrate_recording(terminal: Terminal, lab: Lab, recording: Path, began: float) -> None:
    from api.commands.changes import update_index
    from api.commands.showing import trial_text
    from api.views.results import trial_document
    from pipelines.demonstration.recording import make_pose2sim_demo

    with terminal.progress() as progress:
        result, published = make_pose2sim_demo(lab, recording, progress=progress)
    update_index(terminal, lab, result.trial.name.subject)
    seconds = round(time.monotonic() - began, 1)
    shown = trial_document(result)
    beside = [asdict(row) for row in published]
    document = {"seconds": seconds, "rows": [], "comparison": None, "report": None, "lab": str(lab.root), "show": shown}
    text = "\n\n".join((trial_text(shown), _published_text(published), _closing(lab, seconds)))
    terminal.give({**document, "published": beside}, text)


def _published_text(published: Sequence[PublishedRow]) -> str:
    from api.commands.text_table import format_number, format_table
    from labsys.core.units import millimetres

    headers = ("landmark", "frames", "within 1 mm %", "median mm", "95 % mm")
    rows = []
    for row in published:
        apart = (None if m is None else millimetres(m) for m in (row.median_m, row.p95_m))
        rows.append((row.landmark, row.cells, f"{100.0 * row.close:.1f}", *(format_number(v, 2) for v in apart)))
    return f"our 3D landmarks beside the published ones\n{format_table(headers, rows, right=headers[1:])}"


def _take_rows(visit: DemoVisit) -> list[dict[str, Any]]:
    """What the recorder said of a visit's takes."""
    return [
        {
            "visit": visit.phase.value,
            "take": part,
            "verdict": take.verdict,
            "grade": take.grade,
            "pulses": take.n_pulses,
            "cameras": len(take.ticks),
            "lost": take.lost,
        }
        for part, take in visit.takes.items()
    ]


def _takes_text(takes: Sequence[dict[str, Any]]) -> str:
    if not takes:
        return ""
    lines = [
        f"{t['visit']} {t['take']}: {t['verdict']}, grade {t['grade']}; {t['pulses']} pulses, {t['cameras']} cameras, "
        f"{t['lost']} frames lost"
        for t in takes
    ]
    head = "recorded in real time from simulated cameras; landmarks are of the frames that were stored"
    return "\n".join([head, *lines])


def _truth_rows(visit: DemoVisit) -> list[dict[str, Any]]:
    from api.views.numbers import interval, outside
    from labsys.core.catalogue import find_metric
    from pipelines.demonstration.settings import SHOWN

    rows = []
    for metric in visit.result.motion.metrics:
        truth = visit.truth.get((metric.id, metric.side))
        if metric.id not in SHOWN or truth is None:
            continue
        unit = find_metric(metric.id).unit
        rows.append(
            {
                "visit": visit.phase.value,
                "id": metric.id,
                "side": metric.side.value,
                "unit": unit.value,
                "truth": outside(truth, unit),
                "measured": outside(metric.mean, unit),
                "ci95_strides": interval(metric.ci95_strides, unit),
                "ci95": interval(metric.ci95, unit),
                "n": metric.n,
                "quality": metric.quality.value,
                "reason": metric.reason,
            }
        )
    order = {metric: i for i, metric in enumerate(SHOWN)}
    return sorted(rows, key=lambda r: (order[r["id"]], r["side"]))


def _truth_table(rows: Sequence[dict[str, Any]]) -> str:
    from api.commands.text_table import format_interval, format_number, format_table
    from labsys.core.digits import digits_of

    table = []
    for row in rows:
        digits = digits_of(row["unit"])
        error = None if row["truth"] is None or row["measured"] is None else row["measured"] - row["truth"]
        table.append(
            (
                row["visit"],
                row["id"],
                row["side"],
                *(format_number(v, digits) for v in (row["truth"], row["measured"], error)),
                row["unit"],
                format_interval(row["ci95"], digits),
                row["n"],
                row["reason"] or row["quality"],
            )
        )
    headers = (
        "visit",
        "metric",
        "side",
        "truth",
        "measured",
        "error",
        "unit",
        "another day 95 %",
        "strides",
        "quality",
    )
    note = (
        "Another day: where another visit would measure it, stickers placed anew; how well these strides know "
        "their own mean, 'labsys show' says."
    )
    return f"{format_table(headers, table, right=('truth', 'measured', 'error', 'strides'))}\n{note}"


def _closing(lab: Lab, seconds: float) -> str:
    return f"{seconds:.0f} s. Look at it: labsys serve --lab {lab.root}"
