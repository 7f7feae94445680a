"""Timing two sides fairly: alternating, on the same input, warm, and once cold in a process of its own."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from labsys.core.arrays import FloatArray

Value = TypeVar("Value")


@dataclass(frozen=True)
class Result:
    """One row of results.json; `ratio` > 1 means that ours is better, `asked` is the ratio the project set itself."""

    name: str
    ours: float
    peer: str
    theirs: float
    unit: str
    accuracy: dict[str, float]
    asked: float | None = None
    clock: str = "wall"
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Ours over theirs for speeds, theirs over ours for durations."""
        return self.theirs / self.ours if self.unit == "s" else self.ours / self.theirs

    def as_document(self) -> dict[str, Any]:
        """The row in the shape that scripts rely on."""
        return {
            "name": self.name,
            "ours": self.ours,
            "peer": self.peer,
            "theirs": self.theirs,
            "unit": self.unit,
            "clock": self.clock,
            "ratio": self.ratio,
            "asked": self.asked,
            "accuracy": self.accuracy,
            **self.details,
        }


def time_alternating(*sides: Callable[[], object], repeats: int) -> tuple[float, ...]:
    """Least wall time of each side, s; sides take turns, so that a busy machine is busy for all of them."""
    best = [np.inf] * len(sides)
    for side in sides:
        side()
    for _ in range(repeats):
        for i, side in enumerate(sides):
            start = time.perf_counter()
            side()
            best[i] = min(best[i], time.perf_counter() - start)
    return tuple(float(b) for b in best)


def processor_time(side: Callable[[], object], *, repeats: int = 1) -> float:
    """Least time that all threads of this process together spend on the processors during one call, s.

    It does not count what other processes do, and a peer that runs on one core is not charged for the other.
    """
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        side()
        best = min(best, time.process_time() - start)
    return float(best)


def time_once(side: Callable[[], Value]) -> tuple[float, Value]:
    """Wall time of one call, s, and what it returned: for peers too slow to be run twice."""
    start = time.perf_counter()
    value = side()
    return time.perf_counter() - start, value


def time_cold(code: str, *, compiled: bool) -> float:
    """Wall time of a fresh Python process that runs `code`, imports included, s.

    Args:
        compiled: whether numba finds what earlier processes compiled; without, its cache is an empty folder.
    """
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ} if compiled else {**os.environ, "NUMBA_CACHE_DIR": cache}
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def error_summary(side: str, found_m: FloatArray, truth_m: FloatArray) -> dict[str, float]:
    """Median and 95th percentile of the 3D error in mm over the points found, and the share that was not."""
    error_mm = 1000.0 * np.linalg.norm(found_m - truth_m, axis=-1)
    return {
        f"{side}_median_mm": float(np.nanmedian(error_mm)),
        f"{side}_p95_mm": float(np.nanpercentile(error_mm, 95)),
        f"{side}_missing_pct": float(100.0 * np.isnan(error_mm).mean()),
    }


def peak_memory_mb() -> float:
    """Most memory that this process has held, MB.

    Not `ru_maxrss` where Linux tells more: a program's begins with what the process that started it held.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def describe_machine() -> str:
    """Processor, cores that this process may use, and load before the run."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{_processor()}, {cores} cores{load}, Python {platform.python_version()}, numpy {np.__version__}"


def describe_commit() -> str:
    """The commit that is measured, with a mark where files were changed since."""
    asked = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return told.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - absent outside Linux
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
