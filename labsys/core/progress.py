"""How long work reports where it stands. The core never prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives the progress of one piece of work."""

    def stage(self, name: str, total: int) -> None:
        """A stage with `total` steps begins."""

    def advance(self, steps: int = 1) -> None:
        """That many steps of the current stage are done."""


class SilentProgress:
    """Progress that nobody looks at."""

    def stage(self, name: str, total: int) -> None:
        """Ignore."""

    def advance(self, steps: int = 1) -> None:
        """Ignore."""


@runtime_checkable
class CameraProgress(Progress, Protocol):
    """Progress that can show several cameras side by side."""

    def begin_cameras(self, name: str, totals: Mapping[str, int]) -> Mapping[str, Progress]:
        """A stage begins in which every camera has steps of its own; advance what is returned for it."""


def begin_cameras(progress: Progress, name: str, totals: Mapping[str, int]) -> Mapping[str, Progress]:
    """Begin a stage whose cameras advance each on its own; as one common stage where nothing can show more."""
    if isinstance(progress, CameraProgress):
        return progress.begin_cameras(name, totals)
    progress.stage(name, sum(totals.values()))
    return dict.fromkeys(totals, progress)
