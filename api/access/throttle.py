"""Token buckets in memory: how often a name may be tried and how often somebody may export."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_MOST_BUCKETS = 10_000
# Sums of times are not exact: without it one of twenty first uses was refused.
_ROUNDING_S = 1e-6


class Throttle:
    """`burst` uses at once, then one every `every_s` seconds, for each name by itself."""

    def __init__(self, *, burst: int, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = burst
        self._every_s = every_s
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, name: str) -> float:
        """Use one; returns 0 where that is allowed, else the seconds to wait."""
        with self._lock:
            now = self._clock()
            full_at = max(self._full_at.get(name, now), now)
            wait_s = full_at - now - (self._burst - 1) * self._every_s
            if wait_s > _ROUNDING_S:
                return wait_s
            self._full_at[name] = full_at + self._every_s
            if len(self._full_at) > _MOST_BUCKETS:
                self._full_at = {n: t for n, t in self._full_at.items() if t > now}
            return 0.0

    def forgive(self, name: str) -> None:
        """Forget what was used under a name."""
        with self._lock:
            self._full_at.pop(name, None)
