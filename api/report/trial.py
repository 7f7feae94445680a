"""The report of one trial: findings, main metrics, curves, quality, and where it all comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api.pages.regions import HEADLINE
from api.pages.trial_sections import arrange_findings
from api.pages.words import day, describe, interval, quantity, status
from api.report.blocks import Block, Facts, Report, Section, Table, Words
from api.report.pictures import draw_trial
from api.report.provenance import (
    PROVISIONAL,
    calibration_words,
    condition_words,
    error_words,
    newest,
    release_words,
    visit_words,
)
from api.report.sources import TrialSources

Row = Mapping[str, Any]
_SAID_ABOVE = ("surface", "strides", "reconstruction")
_CAMERA_COUNTS = {"frames_lost": "lost", "frames_repeated": "repeated", "frames_bad": "bad"}


def report_trial(sources: TrialSources) -> Report:
    """The report of one run of a trial; it holds a subject's code, never a name."""
    result = sources.result
    main = [m for m in result["metrics"] if m["id"] in HEADLINE]
    pictures = draw_trial(sources.curves, result["metrics"])
    return Report(
        title=f"Trial {result['trial']}",
        about="What was measured, with the error of measuring it.",
        made_at=newest([sources.run]),
        sections=(
            Section("", (_about(sources), *_warnings(sources))),
            Section("Findings", tuple(_findings(result["findings"]))),
            Section("Main metrics", tuple(_metrics(main))),
            *([Section("Over the stride", (pictures,))] if pictures.pictures else []),
            Section("Where this comes from", (_provenance(sources, main),)),
        ),
    )


def _about(sources: TrialSources) -> Facts:
    result, conditions = sources.result, sources.trial.conditions
    strides = result["n_strides"]
    return Facts(
        (
            ("Subject", sources.session.subject),
            ("Visit", visit_words(sources.session)),
            ("Trial", f"{sources.trial.trial}, recorded {day(sources.trial.recorded_at)}"),
            ("Conditions", condition_words(result, footwear=conditions.footwear, pain=conditions.pain_0_10)),
            ("Valid strides", f"{strides['left']} left, {strides['right']} right"),
            ("Quality", "; ".join(_quality(result))),
            ("Calibration", calibration_words(sources.run)),
        )
    )


def _quality(result: Row) -> Iterator[str]:
    yield f"landmarks reach tier {result['tier'] or 'none'}"
    if result["sync"] is not None:
        yield f"synchronization grade {result['sync']['grade']}"
    graded = [m["quality"] for m in result["metrics"] if m["id"] in HEADLINE and m["mean"] is not None]
    if graded:
        yield f"{graded.count('ok')} of {len(graded)} main metrics of quality ok"
    for key, word in _CAMERA_COUNTS.items():
        n = sum(camera[key] for camera in result["cameras"].values())
        if n:
            yield f"{n} frames {word}"


def _warnings(sources: TrialSources) -> Iterator[Words]:
    result = sources.result
    said = {
        "Excluded:": (sources.trial.exclusion_reason or "it does not count") if result["excluded"] else None,
        "Not for comparison:": result["not_for_comparison"],
        "Heading unknown:": None if result["heading_known"] else "transverse angles have an arbitrary zero",
        "3D:": result["notes"].get("reconstruction"),
    }
    yield from (Words(text, head=head, warning=True) for head, text in said.items() if text)
    yield from (Words(text, warning=True) for text in result["camera_warnings"])
    if result["sync"] is not None and result["sync"]["reasons"]:
        yield Words("; ".join(result["sync"]["reasons"]), head="Synchronization:", warning=True)


def _findings(findings: Sequence[Row]) -> Iterator[Words]:
    arranged = arrange_findings(findings)
    if not findings:
        yield Words("No screening rule looks at a trial of this kind.")
    for finding in arranged["raised"]:
        low = " (low confidence)" if finding["confidence"] == "low" else ""
        side = "" if finding["side"] == "both" else f", {finding['side']}"
        yield Words(finding["text"], head=f"{finding['title']}{side}: {status(finding['status'])}{low}.")
    others: dict[tuple[str, str], list[Row]] = {}
    for finding in arranged["others"]:
        others.setdefault((finding["status"], finding["reason"] or ""), []).append(finding)
    for (state, reason), found in others.items():
        head = f"{status(state).capitalize()}{f' ({reason})' if reason else ''}:"
        yield Words(f"{'; '.join(_titles(found))}.", head=head)


def _titles(findings: Sequence[Row]) -> list[str]:
    """Titles with their sides, each once."""
    sides: dict[str, list[str]] = {}
    for finding in findings:
        sides.setdefault(finding["title"], []).extend([] if finding["side"] == "both" else [finding["side"]])
    return [f"{title} ({', '.join(of)})" if of else title for title, of in sides.items()]


def _metrics(metrics: Sequence[Row]) -> Iterator[Block]:
    given = [m for m in metrics if m["mean"] is not None]
    if given:
        headers = ("Metric", "Side", "Mean", "On another day (95 %)", "This capture (95 %)", "Strides", "Quality")
        yield Table(headers, tuple(_metric_row(m) for m in given), wide=(0,), right=(2, 3, 4, 5))
        yield Words(
            "On another day: where the same runner's value would be measured at another visit; this capture: how well "
            "these strides know their own mean."
        )
    if any(m["provisional"] for m in given):
        yield Words(f"{PROVISIONAL}intervals on another day are provisional.")
    missing = [f"{_with_side(m)} ({m['reason']})" for m in metrics if m["mean"] is None]
    if missing:
        yield Words("; ".join(missing), head="Not measured:")
    beside = [f"{_with_side(m)}: {_reference(r)}" for m in given for r in m["references"]]
    if beside:
        yield Words("; ".join(beside), head="References, not norms, at this speed and on this surface:")


def _metric_row(m: Row) -> tuple[str, ...]:
    unit, side = m["unit"], "" if m["side"] == "both" else m["side"]
    intervals = (interval(m[key], unit) for key in ("ci95", "ci95_strides"))
    return (describe(m["id"]), side, quantity(m["mean"], unit), *intervals, str(m["n"]), m["quality"])


def _with_side(m: Row) -> str:
    return describe(m["id"]) + ("" if m["side"] == "both" else f", {m['side']}")


def _reference(reference: Row) -> str:
    away = reference["sds_away"]
    distance = "" if away is None else f", {away:+.1f} SD away".replace("-", "−")
    return f"{reference['text']}{distance} ({reference['compared_as']})"


def _provenance(sources: TrialSources, metrics: Sequence[Row]) -> Facts:
    run, findings = sources.run, sources.result["findings"]
    rules = sorted({f["rules"] for f in findings})
    notes = [text for key, text in sources.result["notes"].items() if key not in _SAID_ABOVE]
    return Facts(
        (
            *([("Release", release_words(sources.release))] if sources.release else []),
            ("Run", f"{run.run} (hash of inputs, parameters and version), processed {day(run.started_at)}"),
            ("Made with", f"labsys {run.pipeline_version}, metric definitions version {run.definition_version}"),
            ("Landmarks", run.model or "unknown"),
            ("Calibration", calibration_words(run)),
            ("Standing trial", run.static or "none"),
            ("Error between days", error_words([m["sem_source"] for m in metrics])),
            ("Screening rules", ", ".join(rules) or "none"),
            *([("Notes", "; ".join(notes))] if notes else []),
        )
    )
