"""Where jobs are worked on: what a worker needs of it, whether child processes of its own or a cluster's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from api.jobs.queue import LEASE, ONE_JOB, Claim, Slots
from labsys.storage.lab import Lab

WORK = "api.work:do_job"


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker works. `work` names the function that a child runs (module:function)."""

    slots: Slots = ONE_JOB
    lease: timedelta = LEASE
    work: str = WORK

    @property
    def beat_every_s(self) -> float:
        """A sixth of the lease: five heartbeats may be lost."""
        return self.lease.total_seconds() / 6.0


ONE_AT_A_TIME = WorkerSettings()


class Running(Protocol):
    """One job at work.

    Attributes:
        stage, progress: what it said last. last: its last word, once it is over ({} where it had none).
        returned: exit status of its process.
        ends_at_once: whether nothing of it is at work any more when `kill` has returned.
    """

    stage: str
    progress: float
    ends_at_once: bool

    @property
    def last(self) -> Mapping[str, Any]: ...

    @property
    def returned(self) -> int | None: ...

    def is_over(self) -> bool:
        """Whether the work has ended and everything that it said was heard."""

    def pause(self) -> None:
        """Let the work stand still soon, where it is done on this machine."""

    def go_on(self) -> None:
        """Let paused work go on; may be said again and again, as a pause may take effect late."""

    def kill(self) -> None:
        """End the work and everything that it started."""

    def close(self) -> None:
        """Let go of what it holds."""


class Executor(Protocol):
    """Starts jobs that a worker has claimed. The rows stay the worker's.

    works_here: on this machine, whose cameras come first.
    """

    works_here: bool

    def free(self, taken: Sequence[Slots]) -> Slots:
        """What a job more may need, beside these."""

    def start(self, job: Mapping[str, Any], slots: Slots, /) -> Running:
        """Begin with a job (OSError, RuntimeError: there is no place for it just now)."""

    def close(self) -> None:
        """Let go of everything."""


def describe_job(held: Claim, lab: Lab) -> dict[str, Any]:
    """What the work is told."""
    job = {"lab": str(lab.root), "database": lab.database, "id": held.id, "attempt": held.attempt}
    return job | {
        "kind": held.kind,
        "target": held.target,
        "parameters": dict(held.parameters),
        "priority": held.priority,
    }
