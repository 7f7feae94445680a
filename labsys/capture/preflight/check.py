"""The shape of a check, and of what it found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from labsys.capture.preflight.glance import Glance
from labsys.capture.rig import Rig
from labsys.capture.status import Numbers
from labsys.core.errors import LabsysError


class Outcome(StrEnum):
    """What a check found."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class CheckResult:
    """One line of a preflight. fix: one sentence, "" where nothing is to be done."""

    check: str
    outcome: Outcome
    what: str
    fix: str = ""


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What the checks look at: all cameras streamed together, as they will.

    Attributes:
        folder: where the take will be. planned_s: how long. seconds: how long the cameras streamed.
        opened: camera -> what it told. failed: camera -> why it did not open. counts: camera -> its numbers.
        pulses: sent; None where the cameras run freely. trigger_failed: why the box did not pulse, "" if it did.
        broken_off: camera -> what became of its stream before the end, where it was opened and did not last.
        glances: camera -> what it saw meanwhile, where that could be looked at.
    """

    rig: Rig
    folder: Path
    planned_s: float
    seconds: float
    opened: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    failed: Mapping[str, LabsysError] = field(default_factory=dict)
    counts: Mapping[str, Numbers] = field(default_factory=dict)
    pulses: int | None = None
    trigger_failed: str = ""
    broken_off: Mapping[str, str] = field(default_factory=dict)
    glances: Mapping[str, Glance] = field(default_factory=dict)


class PreflightCheck(Protocol):
    """One check; outer layers add theirs (board and tags in view, what the model can give)."""

    name: str

    def look(self, rehearsal: Rehearsal, /) -> Iterable[CheckResult]:
        """What is found; at least one line."""
