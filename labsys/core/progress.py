"""How long work reports where it stands. The core never prints."""

from __future__ import annotations

from typing import Protocol


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
