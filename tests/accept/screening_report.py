"""What many screened runners say together: who stands out, what else moved and whether it truly did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from labsys.core.screening import FindingStatus
from tests.accept.document import measured_at, write_section
from tests.accept.screening import SECONDS, STANDING_OUT, reference_peak_rad, share
from tests.accept.screening_study import AGAIN, MEASURES, PLAIN, RULES, SHORT, Screened, sides_of, statuses_of_means

MOVED = ("F1", "F2")
STILL = tuple(r.id for r in RULES.rules if r.id[:2] in ("F3", "F4", "F5", "F6", "F7"))
# F6 compares the sides, and a record of a runner does not hold both sides' values at once.
JUDGED = tuple(rule for rule in STILL if rule != "F6")
_NOT_ASSESSED = FindingStatus.NOT_ASSESSABLE.value


def stands_out(runners: Sequence[Screened], rule: str, condition: str) -> float:
    """Percent of sides that are borderline or flagged."""
    return share([s in STANDING_OUT for s in _statuses(runners, rule, condition)])


def changed(runners: Sequence[Screened], rule: str, condition: str) -> float:
    """Percent of sides with another answer than that of the plain runner, whichever way."""
    pairs = zip(_statuses(runners, rule, PLAIN), _statuses(runners, rule, condition), strict=True)
    return share([a != b for a, b in pairs])


def truly_changed(runners: Sequence[Screened], rule: str) -> float:
    """Percent of sides where the deficit changes the answer to true values known without error."""
    return share([r.truth[PLAIN][k] != r.truth[SHORT][k] for r, k in _keys(runners, rule)])


def falsely_flagged(runners: Sequence[Screened], rule: str) -> float:
    """Percent flagged of those that in truth are not even borderline, over all conditions."""
    cases = [(r.seen[c][k], r.truth[c][k]) for r, k in _keys(runners, rule) for c in r.seen]
    clear = [seen for seen, truth in cases if truth == FindingStatus.NOT_FLAGGED]
    return share([seen == FindingStatus.FLAGGED for seen in clear])


def unexplained(runners: Sequence[Screened], rule: str) -> float:
    """Percent of answers that neither the body's true change nor a second look at the same runner accounts for.

    Held against what the rule says of what was seen without the deficit, moved by the true change; right against left,
    which a runner's record does not hold, against how often the answer to true values changes.
    """
    noise = changed(runners, rule, AGAIN)
    if rule == "F6":
        return changed(runners, rule, SHORT) - truly_changed(runners, rule) - noise
    moved = {r.seed: _moved(r) for r in runners}
    return share([r.seen[SHORT][k] != moved[r.seed][k] for r, k in _keys(runners, rule)]) - noise


def _moved(runner: Screened) -> dict[str, str]:
    seen, before, after = runner.values[PLAIN], runner.true_values[PLAIN], runner.true_values[SHORT]
    return statuses_of_means({k: v + after[k] - before[k] for k, v in seen.items()}, runner.speed_mps)


def shifts(runners: Sequence[Screened], measure: str) -> tuple[np.ndarray, np.ndarray]:
    """What the deficit changed of a measure, seen and true, mean of a runner's sides, outside units."""
    keys = [k for k in runners[0].values[PLAIN] if k.split(",")[0] == measure]
    seen, true = (
        np.array([np.mean([v[SHORT][k] - v[PLAIN][k] for k in keys]) for v in values])
        for values in ([r.values for r in runners], [r.true_values for r in runners])
    )
    return seen, true


def write_report(runners: Sequence[Screened]) -> None:
    """The section of docs/accuracy.md."""
    write_section(
        "screening", [*_head(runners), *_rule_table(runners), "", *_shift_table(runners), "", *_text(runners)]
    )


def _head(runners: Sequence[Screened]) -> list[str]:
    speeds = [r.speed_mps for r in runners]
    peak = np.degrees(reference_peak_rad())
    hip = np.mean(shifts(runners, "hip_ext_pelvis_peak")[1])
    return [
        "## Screening findings",
        "",
        measured_at(),
        "",
        f"{len(runners)} runners ({min(speeds):.1f}-{max(speeds):.1f} m/s, all strikes, {SECONDS:g} s at 100 Hz) "
        f"without and with peak hip extension capped at {peak - 8.0:g}°: 8° below the mean of the runners whom F1's "
        f"thresholds come from ({peak:g}° at 2.5 m/s), and so {-hip:.0f}° below their own in the mean. Pelvis and low "
        "back make up for all of it, and the lean of the trunk, in both conditions, is solved for so that the low back "
        "ends 8° beyond standing. Landmarks with white noise of 5 mm on every axis, static alike; default errors. "
        "Percent of sides, of runners where a rule is not per side. No threshold of a rule was tuned; the last "
        "column's definition and the bound that F4 is held to were written when about 20 of these runners had been "
        "seen.",
        "",
        "**This is not 8° below a runner's own.** Asked that way, an earlier form of this study (8 runners, 18 s, at "
        "commit 5a26abb) found F1 borderline or flagged in 38 % and F2 in 12 %, where true values known without error "
        "give 56 and 19 %: a runner who extends the hip by 18° and loses 8° is not below F1's threshold, which is "
        "absolute and of 2.5 m/s. Such a loss is a change between two visits, which verdicts judge, not screening.",
        "",
    ]


def _rule_table(runners: Sequence[Screened]) -> Iterator[str]:
    yield (
        "| rule | deficit: borderline or flagged | flagged | none: borderline or flagged | flagged | false "
        "| changed by the deficit | by a second look | in truth | unexplained |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for rule in dict.fromkeys(r.id for r in RULES.rules):
        if all(s == _NOT_ASSESSED for s in _statuses(runners, rule, SHORT)):
            yield f"| {rule} | not assessable | | | | | | | | |"
            continue
        out = [f(runners, rule, c) for c in (SHORT, PLAIN) for f in (stands_out, _flagged)]
        moves = [changed(runners, rule, SHORT), changed(runners, rule, AGAIN), truly_changed(runners, rule)]
        cells = [f"{v:.0f}" for v in out] + [f"{falsely_flagged(runners, rule):.1f}"] + [f"{v:.0f}" for v in moves]
        cells.append(f"{unexplained(runners, rule):z.0f}" if rule in JUDGED else "–")
        yield f"| {rule} | " + " | ".join(cells) + " |"


def _shift_table(runners: Sequence[Screened]) -> Iterator[str]:
    yield "What the deficit changed of what rules look at, mean of the runners, ± standard error of what was seen:"
    yield ""
    yield "| metric | seen | in truth |"
    yield "|---|---|---|"
    for measure in MEASURES:
        seen, true = shifts(runners, measure)
        digits = 3 if "ratio" in measure or "per_leg" in measure else 1
        se = seen.std(ddof=1) / np.sqrt(seen.size)
        yield f"| `{measure}` | {seen.mean():+.{digits}f} ± {se:.{digits}f} | {true.mean():+.{digits}f} |"


def _text(runners: Sequence[Screened]) -> list[str]:
    n = 2 * len(runners)
    early = np.array([r.strikes_ms[c] for r in runners for c in (PLAIN, AGAIN)])
    later = np.mean([r.strikes_ms[SHORT] - np.mean([r.strikes_ms[c] for c in (PLAIN, AGAIN)]) for r in runners])
    shank = np.mean(np.subtract(*shifts(runners, "shank_angle_at_fs")))
    counted = min(min(r.strides.values()) for r in runners)
    return [
        "False: flagged where the true value is not even borderline. Changed: another answer than for the same runner "
        "without the deficit, whichever way; by a second look: the runner without the deficit, seen again with other "
        "noise; in truth: of true values known without error, where the deficit moves the rest of the body too. "
        "Unexplained: another answer than to what was seen without the deficit, moved by the true change, less what a "
        "second look changes. F6 compares right with left, which a runner's record does not hold: only shares are "
        "compared (changed, less both others), which does not show that the same runners changed, so F6 is not judged. "
        f"At least {counted} strides counted on every side.",
        "",
        "Asked for: F1 and F2 borderline or flagged in at least 90 % with the deficit ("
        + ", ".join(f"{rule} {stands_out(runners, rule, SHORT):.0f} %" for rule in MOVED)
        + f"; none of {n} sides missed would leave up to {300 / n:.0f} % open); F3 to F7 left still, read as less "
        f"than 5 % unexplained, F6 not judged ({_missed(runners)}); less than 5 % false.",
        "",
        "F4 is borderline by the angle of the shank as the foot lands, which is about its threshold in ordinary "
        f"runners here. Under white noise of 5 mm feet are found to land {early.mean():+.1f} ms from when they do in "
        f"the mean, {early.std(ddof=1):.1f} ms apart from runner to runner, and {later:+.1f} ms later with the "
        f"deficit, while the shank turns by 4 to 9 rad/s: {shank:+.1f}° of its change are not there.",
    ]


def _missed(runners: Sequence[Screened]) -> str:
    values = {rule: unexplained(runners, rule) for rule in JUDGED}
    missed = [f"{rule} {value:.0f} %" for rule, value in values.items() if value >= 5.0]
    return "missed by " + ", ".join(missed) if missed else "met"


def _keys(runners: Sequence[Screened], rule: str) -> Iterator[tuple[Screened, str]]:
    return ((r, f"{rule}, {side}") for r in runners for side in sides_of(r, rule))


def _statuses(runners: Sequence[Screened], rule: str, condition: str) -> list[str]:
    return [r.seen[condition][k] for r, k in _keys(runners, rule)]


def _flagged(runners: Sequence[Screened], rule: str, condition: str) -> float:
    return share([s == FindingStatus.FLAGGED for s in _statuses(runners, rule, condition)])
