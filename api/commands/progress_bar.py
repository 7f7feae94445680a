"""Progress of long work as a bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from labsys.core.progress import Progress as LabProgress
from labsys.core.progress import SilentProgress


class _Bars:
    """One bar per stage; a stage that begins ends the one before."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def stage(self, name: str, total: int) -> None:
        """A stage with `total` steps begins."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=total)

    def advance(self, steps: int = 1) -> None:
        """That many steps are done."""
        if self._task is not None:
            self._bars.advance(self._task, steps)


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[LabProgress]:
    """Progress for a person at a terminal; silent where quiet or where stderr goes into a file."""
    if quiet or not sys.stderr.isatty():
        yield SilentProgress()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)
