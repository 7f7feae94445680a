"""`labsys show` and `labsys metrics`: a trial's numbers, and what each means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.new_file import check_place
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.digits import digits_of
from labsys.core.errors import InputError
from labsys.core.session import TrialName


def register(app: typer.Typer) -> None:
    """Add the commands to the terminal."""
    app.command("show")(show_trial)
    app.command("metrics")(list_metrics)


def show_trial(
    trial: Annotated[str, typer.Argument(metavar="SUBJECT/SESSION/TRIAL")],
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Another run than the current one.")] = None,
    why: Annotated[
        bool,
        typer.Option(
            "--why",
            help="Instead: who is to blame for bad 3D (2D detection, sync, calibration or triangulation), by camera "
            "and landmark.",
        ),
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.html", help="With --why: write it as a page as well.")
    ] = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show a trial's angles and metrics, each with its interval or the reason why it is missing.

    \b
    Example: labsys show S01/2026-11-22/run1
    Example: labsys show S01/2026-11-22/run1 --why --picture why.html
    """
    from api.views.trial import load_trial_document

    terminal, name = Terminal(lab, as_json, quiet), TrialName.parse(trial)
    if why:
        _show_why(terminal, name, run, picture)
        return
    if picture is not None:
        raise InputError("--picture belongs to --why", remedy=f"labsys show {name} --why --picture {picture}")
    document = load_trial_document(terminal.open_lab(), name, run)
    terminal.give(document, "" if as_json else trial_text(document))


def _show_why(terminal: Terminal, name: TrialName, run: str | None, picture: Path | None) -> None:
    """Who is to blame for a trial's 3D, and its page where one is asked for."""
    from api.commands.attribution_text import attribution_text
    from api.views.attribution import attribution_document
    from pipelines.attributing.attribute import attribute
    from pipelines.attributing.blame import Normal
    from pipelines.attributing.evidence import gather_evidence
    from pipelines.attributing.page import make_page

    lab, normal = terminal.open_lab(), Normal()
    if picture is not None:
        check_place(lab, picture, option="--picture", endings=(".html",))
    with terminal.progress() as progress:
        progress.stage("look at every view", 2 if picture is None else 3)
        evidence = gather_evidence(lab, name, run)
        progress.advance()
        attribution = attribute(evidence, normal=normal)
        progress.advance()
        if picture is not None:
            from labsys.storage.atomic import write_text_atomic

            write_text_atomic(picture, make_page(lab, evidence, attribution))
            progress.advance()
    document = attribution_document(attribution, picture=None if picture is None else str(picture), normal=normal)
    terminal.give(document, attribution_text(attribution, document))


def list_metrics(as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """List every metric and angle: unit, sign, zero, and the landmarks that it needs.

    \b
    Example: labsys metrics
    """
    from api.commands.text_table import format_table
    from api.lab_errors import default_errors
    from api.views.catalog import list_angles
    from api.views.catalog import list_metrics as list_metric_entries

    terminal = Terminal(None, as_json, quiet)
    entries = {"metrics": list_metric_entries(default_errors()), "angles": list_angles()}
    headers = ("id", "side", "unit", "zero", "tier", "positive means", "what")
    tables = []
    for title, listed in entries.items():
        rows = [(e.id, " ".join(e.sides), e.unit, e.zero, e.minimum_tier, e.positive, e.description) for e in listed]
        tables.append(f"{title}\n{format_table(headers, rows)}")
    document = {title: [e.model_dump(mode="json") for e in listed] for title, listed in entries.items()}
    terminal.give(document, "\n\n".join(tables))


def trial_text(document: Mapping[str, Any]) -> str:
    """The numbers of one trial as people read them."""
    from labsys.core.catalogue import find_metric

    strides = document["n_strides"]
    speed = "" if document["speed_mps"] is None else f"  {document['speed_mps']:g} m/s"
    # Differences, drifts and spreads stay in the JSON: a table of them all would hide what was asked for.
    metrics = [m for m in document["metrics"] if not find_metric(m["id"]).derived_from]
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
    if document["sync"]:
        use = {"A": "one trigger", "B": "good for running", "C": "for walking and slow movement", "D": "for a preview"}
        grade, reasons = document["sync"]["grade"], document["sync"]["reasons"]
        lines.append(f"synchronization: grade {grade} ({use[grade]}): {'; '.join(reasons)}")
    lines += camera_lines(document["cameras"])
    if metrics:
        lines.append(f"valid strides: {strides['left']} left, {strides['right']} right")
    if any(m["mean"] is not None for m in metrics):
        lines += ["", metric_table(metrics)]
        lines += _reference_lines(metrics)
    lines += finding_lines(document["findings"])
    lines += ["", _angle_table(document["angles"]), "", _provenance_line(document["provenance"])]
    missing = _missing([*metrics, *document["angles"]])
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


def metric_table(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Metrics that were measured, a line each, as people read them in a terminal."""
    from api.commands.text_table import format_interval, format_number, format_share, format_table

    what = ("metric", "side", "mean", "unit", "on another day", "this capture", "SE of 3D", "SD", "n", "filled in")
    headers = (*what, "quality")
    rows = []
    for m in metrics:
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
                format_share(m["interpolated_share"]),
                m["quality"] + (" (default error)" if m["provisional"] else ""),
            )
        )
    return format_table(headers, rows, right=("mean", "SE of 3D", "SD", "n", "filled in"))


def _reference_lines(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """What others show at this speed and on this surface, a line per metric and source."""
    lines = []
    for m in metrics:
        for reference in m["references"] if m["mean"] is not None else ():
            away = reference["sds_away"]
            distance = "" if away is None else f": {away:+.1f} SD away"
            side = "" if m["side"] == "both" else f" {m['side']}"
            lines.append(f"  {m['id']}{side}: {reference['text']}{distance} ({reference['compared_as']})")
    return ["", "references, not norms, at this speed and on this surface:", *lines] if lines else []


def finding_lines(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Findings as people read them: what stands out in full, the rest in a line each."""
    if not findings:
        return []
    lines = ["", f"findings by the rules '{findings[0]['rules']}':"]
    for f in findings:
        side = "" if f["side"] == "both" else f" {f['side']}"
        head = f"  {f['id']}{side}  {f['title']}: {f['status'].replace('_', ' ')}"
        if f["status"] in ("flagged", "borderline"):
            lines.append(f"{head}{' (low confidence)' if f['confidence'] == 'low' else ''}\n      {f['text']}")
        else:
            lines.append(head if f["reason"] is None else f"{head}: {f['reason']}")
    return lines


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
