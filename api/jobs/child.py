"""`python -m api.jobs.child`: one job in a process of its own.

It reads the job as one line of JSON from stdin, and says on stdout, a line of JSON each, how far it is and at last what
came of it. Whatever else the work prints goes to stderr. When stdin ends, the worker is gone, and so is this process:
nobody would hear what it found. An error that nobody foresaw ends it with a traceback and says nothing to the worker.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from labsys.core.errors import ConcurrencyError, LabsysError
from labsys.core.progress import Progress

Work = Callable[[Mapping[str, Any], Progress], Mapping[str, Any]]
_SAID_EVERY_S = 0.2
# 2D, 3D and numbers, of a trial and perhaps of its static; more of them share what is left.
_EXPECTED_STAGES = 4


class ToldProgress:
    """Progress as lines of JSON. `expected` stages make the whole; more than that share what is left."""

    def __init__(self, told: TextIO, expected: int) -> None:
        self._told = told
        self._expected = expected
        self._begun = 0
        self._name, self._total, self._done = "", 1, 0
        self._said_at = 0.0

    def stage(self, name: str, total: int) -> None:
        """A stage with `total` steps begins."""
        self._begun += 1
        self._name, self._total, self._done = name, max(total, 1), 0
        self._say()

    def advance(self, steps: int = 1) -> None:
        """That many steps of the current stage are done."""
        self._done = min(self._done + steps, self._total)
        if time.monotonic() - self._said_at >= _SAID_EVERY_S:
            self._say()

    def _say(self) -> None:
        before, whole = self._begun - 1, max(self._expected, self._begun)
        share = (before + self._done / self._total) / whole
        self._said_at = time.monotonic()
        tell(self._told, {"stage": self._name, "progress": min(share, 0.99)})


def tell(told: TextIO, line: Mapping[str, Any]) -> None:
    """One line to the worker."""
    told.write(json.dumps(line, allow_nan=False) + "\n")
    told.flush()


def main() -> None:
    """Do the job that stdin names, with the function that the first argument names (module:function)."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    module, _, function = sys.argv[1].partition(":")
    try:
        work: Work = getattr(importlib.import_module(module), function)
        outcome = work(job, ToldProgress(told, _EXPECTED_STAGES))
    except ConcurrencyError as error:
        tell(told, {"broken": str(error)})
    except LabsysError as error:
        tell(told, {"error": str(error)})
    else:
        tell(told, {"outcome": outcome})


def _end_with_the_worker() -> None:
    # Not sys.stdin: a thread that waits in it keeps the interpreter from ending in good order.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
