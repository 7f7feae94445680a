"""`python -m api.jobs.child`: one job in a process of its own.

It reads the job as one line of JSON from stdin, and says on stdout, a line of JSON each, how far it is and at last what
came of it. Whatever else the work prints goes to stderr. When stdin ends, the worker is gone, and so is this process:
nobody would hear what it found. An error that nobody foresaw ends it with a traceback and says nothing to the worker.

A line that says `pause` stops it with all that it has started, until the worker lets it go on; not while it holds the
database, which others write to meanwhile.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from api.jobs.pausing import PAUSE, stand_still
from labsys.capture.priority import die_with_parent
from labsys.core.errors import ConcurrencyError, LabsysError
from labsys.core.progress import Progress

Work = Callable[[Mapping[str, Any], Progress], Mapping[str, Any]]
_SAID_EVERY_S = 0.2
_LOW_NICE = 10
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
    die_with_parent(os.getppid(), by=signal.SIGKILL)  # a process that is stopped hears of no end
    heard = io.FileIO(0, closefd=False)  # without a buffer: what follows the job is for the thread below
    job = json.loads(heard.readline())
    if job.get("priority", 0) < 0:
        os.nice(_LOW_NICE)
    threading.Thread(target=_hear_the_worker, args=(heard,), daemon=True).start()
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


def _hear_the_worker(heard: io.FileIO) -> None:
    # Not sys.stdin: a thread that waits in it keeps the interpreter from ending in good order.
    while line := heard.readline():
        if line == PAUSE and os.getpgrp() == os.getpid():
            stand_still()
    os._exit(1)


if __name__ == "__main__":
    main()
