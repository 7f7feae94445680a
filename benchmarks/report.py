"""`python -m benchmarks.report`: docs/performance.md from what `python -m benchmarks` wrote to results.json."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labsys.storage.atomic import read_json, write_text_atomic

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
REPORT = ROOT / "docs" / "performance.md"

_HEAD = """# Speed beside the peers

Written {date} at commit {commit} from the last run of each benchmark (`make bench`), the latest on: {machine}.

Both sides work on identical input in one run. A ratio above 1 means that labsys is better. Figures depend on the
machine and on what else it does; ratios less so.

| benchmark | ours | peer | theirs | unit, clock | ratio | input |
|---|---|---|---|---|---|---|
"""


def write_report(results: Mapping[str, Any]) -> str:
    """The page as Markdown: one row per benchmark, then what was measured of accuracy and of a cold start."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=ROOT
    ).stdout.strip()
    head = _HEAD.format(date=f"{datetime.now(UTC):%Y-%m-%d}", commit=commit or "unknown", machine=results["machine"])
    rows = [
        f"| `{r['name']}` | {r['ours']:,.4g} | {r['peer']} | {r['theirs']:,.4g} | {r['unit']}, {r['clock']} "
        f"| {r['ratio']:,.1f} | {r.get('input', '')} |"
        for r in results["results"]
    ]
    details = [line for r in results["results"] for line in _details(r)]
    notes = [line for r in results["results"] for line in _notes(r)]
    return head + "\n".join(rows) + "\n\n" + "\n".join([*details, "", *notes]).rstrip() + "\n"


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
