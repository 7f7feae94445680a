"""`python -m benchmarks.report`: docs/performance.md from what `python -m benchmarks` wrote to results.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labsys.storage.atomic import read_json, write_text_atomic

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
REPORT = ROOT / "docs" / "performance.md"
# Written by hand: what misses and why, what was cut since the last row, what needs virtual cameras and minutes.
BY_HAND = tuple(
    ROOT / "benchmarks" / name for name in ("triangulation.md", "trial_60s.md", "recording.md", "service.md")
)

# What a machine's description says of its load, which differs from row to row.
_MACHINE = re.compile(r", load ([0-9.]+)")

_HEAD = """# Speed beside the peers

Written {date} from the last run of each benchmark (`make bench`). Machines: {machines}.

Both sides work on identical input in one run. A ratio above 1 means that labsys is better; "asked" is the ratio that
the project set itself, and **bold** a ratio that misses it. Figures depend on the machine and on what else it does;
ratios less so. `dirty` is a commit with changes on top.

| benchmark | ours | peer | theirs | unit, clock | ratio | asked | commit | load | input |
|---|---|---|---|---|---|---|---|---|---|
"""


def write_report(results: Mapping[str, Any]) -> str:
    """The page as Markdown: one row per benchmark, then what was measured of accuracy and of a cold start."""
    rows = results["results"]
    machines = sorted({_MACHINE.sub("", row["machine"]) for row in rows})
    head = _HEAD.format(date=f"{datetime.now(UTC):%Y-%m-%d}", machines="; ".join(machines))
    lines = [
        f"| `{r['name']}` | {r['ours']:,.4g} | {r['peer']} | {r['theirs']:,.4g} | {r['unit']}, {r['clock']} "
        f"| {_ratio(r)} | {_asked(r)} | {r['commit']} | {_load(r)} | {r.get('input', '')} |"
        for r in rows
    ]
    details = [line for r in rows for line in _details(r)]
    notes = [line for r in rows for line in _notes(r)]
    return (
        head
        + "\n".join(lines)
        + "\n\n"
        + "\n".join([*details, "", *notes]).rstrip()
        + "\n\n"
        + "\n".join(path.read_text(encoding="utf-8") for path in BY_HAND)
    )


def _ratio(row: Mapping[str, Any]) -> str:
    shown = f"{row['ratio']:,.1f}"
    return f"**{shown}**" if row["asked"] and row["ratio"] < row["asked"] else shown


def _asked(row: Mapping[str, Any]) -> str:
    return f"{row['asked']:,g}" if row["asked"] else ""


def _load(row: Mapping[str, Any]) -> str:
    found = _MACHINE.search(row["machine"])
    return found.group(1) if found else ""


def _details(result: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, values in result.items():
        if isinstance(values, Mapping):
            shown = ", ".join(f"{k} {v:.4g}" for k, v in values.items() if isinstance(v, int | float))
            lines.append(f"- `{result['name']}` {name}: {shown}")
    return lines


def _notes(result: Mapping[str, Any]) -> list[str]:
    """What the benchmark itself says about where the time goes and what the limit is."""
    notes = result.get("notes", ())
    return [f"## Where the time goes: `{result['name']}`", "", *(p for n in notes for p in (n, ""))] if notes else []


if __name__ == "__main__":
    write_text_atomic(REPORT, write_report(read_json(RESULTS)))
