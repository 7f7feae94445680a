"""docs/accuracy.md: one section per study, each written by the study that measured it, the others left as they are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
ACCURACY = ROOT / "docs" / "accuracy.md"


def write_section(name: str, lines: Sequence[str], *, document: Path = ACCURACY) -> None:
    """Put a section between its markers, at the document's end where it has none yet."""
    begin, end = f"<!-- measured: {name} -->", f"<!-- end: {name} -->"
    section = "\n".join([begin, *lines, end])
    text = document.read_text(encoding="utf-8")
    found = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    text = found.sub(lambda _: section, text) if found.search(text) else f"{text.rstrip()}\n\n{section}\n"
    document.write_text(text, encoding="utf-8")


def measured_at() -> str:
    """The line that says when, and from which code, a section was measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return f"Measured {datetime.now(UTC):%Y-%m-%d} at commit {commit or 'unknown'} by `make accept`."
