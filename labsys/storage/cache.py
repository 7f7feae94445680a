"""What any lab on this machine may fetch or make again, outside of the labs: safe to delete."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$XDG_CACHE_HOME/labsys, else ~/.cache/labsys; it need not exist."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "labsys"
