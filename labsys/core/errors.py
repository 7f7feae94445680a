"""Every error that labsys raises on purpose.

LabsysError                 exit 1   anything labsys knows it cannot do
├── InputError              exit 2   input that is unreadable, inconsistent or incomplete
│   ├── UnknownNameError    exit 2   a name that nothing answers to; says the nearest valid one
│   ├── NewerSchemaError    exit 2   a file written by a newer labsys
│   └── MissingPartError    exit 2   an optional part that is not installed
├── GateRefusedError        exit 3   valid input that a quality gate refuses
└── ConcurrencyError        exit 1   somebody else holds or changed the thing

A message says what happened, where, and what to do. An error is raised, never printed and swallowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LabsysError(Exception):
    """Root of all deliberate errors; `str()` is one line: what, where, what to do."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(self._message())

    def _message(self) -> str:
        place = f" ({self.where})" if self.where else ""
        remedy = f". {self.remedy}" if self.remedy else ""
        return f"{self.what}{place}{remedy}"


class InputError(LabsysError):
    """The input is unreadable, inconsistent, incomplete or unknown."""

    exit_code = 2


class UnknownNameError(InputError):
    """A name that nothing answers to. `nearest` is the closest valid name, or None."""

    def __init__(self, kind: str, name: str, *, valid: Iterable[str], where: str = "") -> None:
        choices = sorted(valid)
        close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
        self.nearest = close[0] if close else None
        listing = ", ".join(choices[:40]) + (", …" if len(choices) > 40 else "")
        remedy = f"Did you mean '{self.nearest}'?" if self.nearest else f"Known: {listing or 'none'}"
        super().__init__(f"Unknown {kind} '{name}'", where=where, remedy=remedy)


class NewerSchemaError(InputError):
    """A file that a newer labsys wrote; nothing is read from it and nothing is changed."""


class MissingPartError(InputError):
    """An optional part (DeepLabCut, torch, …) that the asked-for work needs and this machine lacks."""


class GateRefusedError(LabsysError):
    """The input is valid, and a quality gate refuses the result."""

    exit_code = 3


class ConcurrencyError(LabsysError):
    """The thing is held or was changed by another process."""
