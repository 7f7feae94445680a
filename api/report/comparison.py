"""The report of two visits: goals, changes against the measurement error, the rest counted, and provenance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from api.pages.sections import PairRows, arrange_rows
from api.pages.words import day, describe, describe_angle, goal_direction, interval, quantity, verdict
from api.report.blocks import Block, Facts, Report, Section, Table, Words
from api.report.pictures import draw_visits
from api.report.provenance import (
    PROVISIONAL,
    calibration_words,
    condition_words,
    error_words,
    newest,
    release_words,
    visit_words,
)
from api.report.sources import Capture, ComparisonSources

Row = Mapping[str, Any]
_VISITS = {"pre": "Before", "post": "After"}
MOST_CHANGES = 24  # what two pages hold beside goals and curves
_HEADERS = ("Metric", "Side", "Before", "After", "Change", "95 % interval", "Detectable change", "Verdict")
_KEY = (
    "The interval is total: strides, reconstruction and the error between visits. A true change as large as the "
    "detectable one would be called in four of five such comparisons."
)


def report_comparison(sources: ComparisonSources) -> Report:
    """The report of two visits; it holds a subject's code, never a name."""
    comparison = sources.comparison
    sections = [section for index in range(len(comparison["pairs"])) for section in _pair_sections(sources, index)]
    runs = [c.run for captures in sources.captures for c in captures]
    return Report(
        title=f"{comparison['subject']}: {comparison['pre']} and {comparison['post']}",
        about="Two visits against the measurement error. What a change means is for a clinician to say.",
        made_at=newest(runs),
        sections=(
            Section("", (_about(sources), *_warnings(comparison))),
            *sections,
            Section("Where this comes from", _provenance(sources)),
        ),
    )


def _about(sources: ComparisonSources) -> Facts:
    before, after = sources.sessions
    return Facts(
        (
            ("Subject", sources.comparison["subject"]),
            ("Before", visit_words(before)),
            ("After", visit_words(after)),
        )
    )


def _warnings(comparison: Row) -> Iterator[Words]:
    yield from (Words(text, head="Comparability:", warning=True) for text in comparison["warnings"])
    for u in comparison["unpaired"]:
        yield Words(f"{u['trial']} ({u['visit']}): {u['reason']}", head="Not paired:", warning=True)
    if any(r["provisional"] for r in comparison["rows"]):
        yield Words(f"{PROVISIONAL}verdicts are provisional.", warning=True)


def _pair_sections(sources: ComparisonSources, index: int) -> Iterator[Section]:
    """Goals, changes, the rest and the curves of one pair of conditions."""
    pair = sources.comparison["pairs"][index]
    rows = [r for r in sources.comparison["rows"] if r["pair"] == index]
    arranged = arrange_rows(rows)
    pictures = draw_visits(sources.captures[index], rows)
    trials = f"before: {', '.join(pair['pre'])}; after: {', '.join(pair['post'])}"
    yield Section(f"{condition_words(pair)} ({trials})", tuple(_goals(arranged)))
    yield Section("Changes", tuple(_changes(arranged)))
    if pictures.pictures:
        changes = [c for c in sources.changes if c["pair"] == index]
        yield Section("Over the stride", (pictures, Words(_stretches(changes), head="Larger than measurement error:")))


def _goals(arranged: PairRows) -> Iterator[Block]:
    if not arranged.goals:
        yield Words("No goal was declared before the second visit: all rows are exploratory.")
        return
    yield Words(_KEY, head="Goals.")
    yield _table(arranged.goals)


def _changes(arranged: PairRows) -> Iterator[Block]:
    """Those larger than the error first; all share one error rate."""
    found = [*arranged.clear, *arranged.possible]
    shown = found[:MOST_CHANGES]
    if shown:
        yield _table(shown)
    else:
        yield Words("No row that is not a goal shows a change.")
    if len(found) > len(shown):
        yield Words(f"{len(found) - len(shown)} further rows may show a change; 'labsys compare' lists them.")
    if arranged.n_indicative:
        yield Words(f"{arranged.n_indicative} rows rest on too few strides for a verdict: they are indicative only.")
    rest = "; ".join(f"{part.region}: {part.summary}" for part in arranged.quiet)
    if rest:
        yield Words(f"{rest}.", head=f"Other rows ({arranged.n_quiet}).")


def _table(rows: Sequence[Row]) -> Table:
    return Table(_HEADERS, tuple(_row(r) for r in rows), wide=(0, 7), right=(2, 3, 4, 5, 6))


def _row(r: Row) -> tuple[str, ...]:
    unit = r["unit"]
    goal = f" (goal: {goal_direction(r['goal'])})" if r["goal"] else ""
    late = ", declared after the second visit" if r["goal_late"] else ""
    return (
        f"{describe(r['id'])}{goal}{late}",
        "" if r["side"] == "both" else r["side"],
        quantity(r["pre"], unit),
        quantity(r["post"], unit),
        quantity(r["change"], unit, signed=True),
        interval(r["ci95"], unit, signed=True),
        quantity(r["detectable_change"], unit),
        verdict(r),
    )


def _stretches(changes: Sequence[Row]) -> str:
    """Where the curves differ by more than the error."""
    said = [
        f"{describe_angle(c['id'])}{'' if c['side'] == 'both' else ', ' + c['side']}: {s['larger_from_pct']} to "
        f"{s['larger_to_pct']} % of the stride, up to {quantity(s['largest_difference'], c['unit'], signed=True)} "
        f"(error {quantity(c['mdc95'], c['unit'])})"
        for c in changes
        for s in c["clusters"]
        if s["larger_than_error"]
    ]
    why_not = Counter(c["reason"] for c in changes if c["reason"])
    if not said and why_not.total() < len(changes):
        said = ["nothing"]
    said += [f"no verdict on {n} of {len(changes)} curves ({reason})" for reason, n in why_not.items()]
    return f"{'; '.join(said)}."


def _provenance(sources: ComparisonSources) -> tuple[Block, ...]:
    rows = [(f"{_VISITS[c.visit]}, {_trial(c)}", _made_from(c)) for of_pair in sources.captures for c in of_pair]
    source = error_words([r["sem_source"] for r in sources.comparison["rows"]])
    about = ("Error between visits", source), ("Runs", "named by the hash of inputs, parameters and version")
    releases = [("Release", release_words(r)) for r in sources.comparison["releases"]]
    return (Facts((*releases, *rows, *about)),)


def _made_from(capture: Capture) -> str:
    run = capture.run
    strides = f"{run.n_strides['left']} left and {run.n_strides['right']} right strides"
    landmarks = f"landmarks {run.model or 'unknown'}" + (f" of tier {run.tier}" if run.tier else "")
    return (
        f"run {run.run} of {day(run.started_at)}, labsys {run.pipeline_version}, metric definitions "
        f"{run.definition_version}, {landmarks}, calibration {calibration_words(run)}, standing trial "
        f"{run.static or 'none'}, {strides}"
    )


def _trial(capture: Capture) -> str:
    return capture.run.trial.rpartition("/")[2]
