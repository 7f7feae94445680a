"""How many processors there are to share work among."""

from __future__ import annotations

import os


def n_processors() -> int:
    """Processors this process may use, which on a shared machine are fewer than it has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
