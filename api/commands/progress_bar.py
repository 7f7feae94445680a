"""Progress of long work as a bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from labsys.core.progress import Progress as LabProgress
from labsys.core.progress import SilentProgress


class _Bars:
    """One bar per stage, or one per camera; a stage that begins ends what was before."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: tuple[TaskID, ...] = ()

    def stage(self, name: str, total: int) -> None:
        """A stage with `total` steps begins."""
        self._begin({name: total})

    def begin_cameras(self, name: str, totals: Mapping[str, int]) -> Mapping[str, LabProgress]:
        """A stage begins in which every camera has a bar of its own."""
        self._begin({f"{name}, {camera}": total for camera, total in totals.items()})
        return {camera: _CameraBar(self._bars, task) for camera, task in zip(totals, self._tasks, strict=True)}

    def advance(self, steps: int = 1) -> None:
        """That many steps are done."""
        if self._tasks:
            self._bars.advance(self._tasks[0], steps)

    def _begin(self, totals: Mapping[str, int]) -> None:
        for task in self._tasks:
            self._bars.remove_task(task)
        self._tasks = tuple(self._bars.add_task(name, total=total) for name, total in totals.items())


class _CameraBar:
    """One camera's bar."""

    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def stage(self, name: str, total: int) -> None:
        """The camera's work is another from here on."""
        self._bars.reset(self._task, description=name, total=total)

    def advance(self, steps: int = 1) -> None:
        """That many of the camera's steps are done; threads may call it at once."""
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
