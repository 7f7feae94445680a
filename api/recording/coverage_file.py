"""What the process that looks for a waved board tells the station: how much it saw in each part of each picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

COLUMNS, ROWS = 8, 5
COVERAGE_FILE = "coverage.json"


def read_coverage(previews: Path) -> dict[str, Any]:
    """Camera -> what was seen so far; nothing before the first look."""
    try:
        found: dict[str, Any] = json.loads((previews / COVERAGE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
