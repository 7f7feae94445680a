"""How fast something is counted."""

from __future__ import annotations

import time
from collections import deque

_OVER_S = 2.0


class Flow:
    """How fast a count grows, over the last two seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, count: int) -> float | None:
        """Per second; None until there is something to say."""
        now_s = time.monotonic()
        if self._seen and (count < self._seen[-1][1] or not self._seen[-1][1]):
            self._seen.clear()  # another process counts anew; nothing flowed before the first
        self._seen.append((now_s, count))
        while len(self._seen) > 2 and now_s - self._seen[0][0] > _OVER_S:
            self._seen.popleft()
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_s - first_s) if last_s - first_s > 0.5 else None
