"""`labsys show` and `labsys metrics`: a trial's numbers, and what each means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal


def register(app: typer.Typer) -> None:
    """Add the commands to the terminal."""
    app.command("show")(show_trial)
    app.command("metrics")(list_metrics)


def show_trial(
    trial: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")],
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Another run than the current one.")] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show a trial's angles and metrics, each with its interval or the reason why it is missing.

    \b
    Example: labsys show S01/2026-11-22/run1
    """
    from api.views import trial_document
    from labsys.core.session import TrialName
    from labsys.storage.results import load_trial_result

    terminal = Terminal(lab, as_json, quiet)
    document = trial_document(load_trial_result(terminal.open_lab(), TrialName.parse(trial), run))
    terminal.give(document, "" if as_json else trial_text(document))


def list_metrics(as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List every metric and angle: unit, sign, zero, and the landmarks that it needs.

    \b
    Example: labsys metrics
    """
    from api.catalog import list_angles
    from api.catalog import list_metrics as list_metric_entries
    from api.commands.text_table import format_table

    terminal = Terminal(None, as_json, quiet)
    entries = {"metrics": list_metric_entries(), "angles": list_angles()}
    headers = ("id", "side", "unit", "zero", "tier", "positive means", "what")
    tables = []
    for title, listed in entries.items():
        rows = [(e.id, " ".join(e.sides), e.unit, e.zero, e.minimum_tier, e.positive, e.description) for e in listed]
        tables.append(f"{title}\n{format_table(headers, rows)}")
    document = {title: [e.model_dump(mode="json") for e in listed] for title, listed in entries.items()}
    terminal.give(document, "\n\n".join(tables))


def trial_text(document: Mapping[str, Any]) -> str:
    """The numbers of one trial as people read them."""
    strides = document["n_strides"]
    speed = "" if document["speed_mps"] is None else f"  {document['speed_mps']:g} m/s"
    lines = [
        f"{document['trial']}  run {document['run']}  {document['kind']}{speed}  {document['rate_hz']:g} Hz  "
        f"landmarks reach {document['tier'] or 'no tier'}",
    ]
    if document["excluded"]:
        lines.append(f"EXCLUDED: {document['exclusion_reason']}")
    if document["not_for_comparison"]:
        lines.append(f"NOT FOR COMPARISON: {document['not_for_comparison']}")
    if not document["heading_known"]:
        lines.append("heading unknown: transverse angles are relative to an arbitrary direction")
    lines += [f"{key}: {text}" for key, text in document["notes"].items()]
    lines += [f"WARNING: {text}" for text in document["camera_warnings"]]
    lines += camera_lines(document["cameras"])
    if document["metrics"]:
        lines.append(f"valid strides: {strides['left']} left, {strides['right']} right")
    if any(m["mean"] is not None for m in document["metrics"]):
        lines += ["", _metric_table(document)]
    lines += ["", _angle_table(document["angles"]), "", _provenance_line(document["provenance"])]
    missing = _missing([*document["metrics"], *document["angles"]])
    return "\n".join([*lines, *(["", "not measured:", *missing] if missing else [])])


def camera_lines(cameras: Mapping[str, Any]) -> list[str]:
    """What was put right in each camera's 2D, a line per camera of which there is something to say."""
    lines = []
    for camera, audit in cameras.items():
        sides = audit["sides_repaired"]
        counts = {
            "frames lost": audit["frames_lost"],
            "frames repeated": audit["frames_repeated"],
            "frames bad": audit["frames_bad"],
            "frames with left and right exchanged": sides["all"],
            "with the legs exchanged": sides["legs"],
            "with feet or arms exchanged": sides["part"],
        }
        said = [f"{n} {what}" for what, n in counts.items() if n]
        if audit["offset_ms"] is not None:
            used = "" if audit["offset_used"] else ", not corrected"
            said.append(f"looks {audit['offset_ms']:+.2f} ± {audit['offset_sd_ms']:.2f} ms late{used}")
        if said:
            lines.append(f"{camera}: {', '.join(said)} (of {audit['frames']} frames)")
    return lines


def _metric_table(document: Mapping[str, Any]) -> str:
    from api.commands.text_table import format_interval, format_number, format_table

    headers = ("metric", "side", "mean", "unit", "on another day", "this capture", "SE of 3D", "SD", "n", "quality")
    rows = []
    for m in document["metrics"]:
        if m["mean"] is None:
            continue
        digits = digits_of(m["unit"])
        rows.append(
            (
                m["id"],
                m["side"],
                format_number(m["mean"], digits),
                m["unit"],
                format_interval(m["ci95"], digits),
                format_interval(m["ci95_strides"], digits),
                format_number(m["se_reconstruction"], digits),
                format_number(m["sd"], digits),
                m["n"],
                m["quality"] + (" (default error)" if m["provisional"] else ""),
            )
        )
    return format_table(headers, rows, right=("mean", "SE of 3D", "SD", "n"))


def _angle_table(angles: Sequence[Mapping[str, Any]]) -> str:
    from api.commands.text_table import format_number, format_table

    rows = [
        (
            a["id"],
            a["side"],
            *(format_number(a[k]) for k in ("mean", "sd", "min", "max")),
            a["unit"],
            a["n"],
            "static" if a["referenced"] else "absolute",
        )
        for a in angles
        if a["mean"] is not None
    ]
    headers = ("angle over time", "side", "mean", "SD", "min", "max", "unit", "samples", "zero")
    return format_table(headers, rows, right=("mean", "SD", "min", "max", "samples"))


def _missing(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is null, gathered by reason; a quantity that both sides lack is named once."""
    by_reason: dict[str, dict[str, list[str]]] = {}
    for entry in entries:
        if entry["mean"] is None:
            named = by_reason.setdefault(entry["reason"] or "no reason given", {})
            named.setdefault(entry["id"], []).append(entry["side"])
    return [
        f"  {', '.join(i if len(s) > 1 or s == ['both'] else f'{i} {s[0]}' for i, s in named.items())}: {reason}"
        for reason, named in by_reason.items()
    ]


def _provenance_line(made: Mapping[str, Any]) -> str:
    parts = [f"labsys {made['version']}", made["model"]]
    parts += [f"calibration {made['calibration']}"] if made["calibration"] else []
    parts += [f"static {made['static']}"] if made["static"] else []
    return "made with " + ", ".join(p for p in parts if p)


def digits_of(unit: str) -> int:
    """Decimals that people need of a unit."""
    return {"s": 3, "m/s": 2}.get(unit, 1)
