"""A worker: claims jobs that fit into its slots, runs each in a child process, and keeps them alive while it lives."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.database import Database
from api.jobs.queue import (
    LEASE,
    ONE_JOB,
    Claim,
    Slots,
    Standing,
    beat,
    claim,
    end_cancelled,
    fail,
    finish,
    give_back,
    is_unfinished,
    is_waiting,
)
from api.jobs.unused_uploads import remove_unused_uploads
from labsys.storage.lab import Lab

WORK = "api.jobs.kinds:do_job"
_LOG = logging.getLogger("labsys.worker")
_IDLE_S = 0.5
_TICK_S = 0.05
_CLEANED_EVERY_S = 3600.0
# No process, no pipe, or (RuntimeError) no thread: the machine has none left, or the process ended at once.
_NOT_STARTED = (OSError, RuntimeError)


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


class _Child:
    """One job at work. A thread hears what the process says; the worker looks at it now and then."""

    def __init__(self, held: Claim, lab: Lab, settings: WorkerSettings) -> None:
        self.held = held
        self.stage, self.progress, self.last = "", 0.0, dict[str, Any]()
        self.beaten_at = time.monotonic()
        # -P: nothing is imported from the folder that the worker happens to stand in.
        command = [sys.executable, "-P", "-m", "api.jobs.child", settings.work]
        # A session of its own: cancelling ends what the work has started, too.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._thread = threading.Thread(target=self._hear, daemon=True)
        try:
            self._tell(lab)
            self._thread.start()
        except _NOT_STARTED:
            self.kill()
            self.close()
            raise

    def _tell(self, lab: Lab) -> None:
        """Say what is to be done."""
        held = self.held
        job = {"lab": str(lab.root), "database": lab.database, "id": held.id, "attempt": held.attempt}
        job |= {"kind": held.kind, "target": held.target, "parameters": dict(held.parameters)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text)
            if "stage" in line:
                self.stage, self.progress = line["stage"], max(self.progress, line["progress"])
            else:
                self.last = line

    def is_over(self) -> bool:
        """Whether the process has ended and everything that it said was heard."""
        if self._process.poll() is None:
            return False
        self._thread.join()
        return True

    def kill(self) -> None:
        """End the process and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        """Let go of the pipes."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it never read what it was told
            self._process.stdin.close()
        if self._thread.ident is not None:
            self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def returned(self) -> int | None:
        """Exit status of the process."""
        return self._process.returncode


class Worker:
    """Runs until it is stopped. One per process or thread; any number of them share a database."""

    def __init__(self, lab: Lab, database: Database, settings: WorkerSettings = WorkerSettings()) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lab, self._database, self._settings = lab, database, settings
        self._children: list[_Child] = []
        self._free = settings.slots
        self._clean_at = 0.0
        self._stopping = threading.Event()

    def run(self, *, until_idle: bool = False) -> None:
        """Claim and run jobs until stopped, or with `until_idle` until none is left that this worker can do."""
        try:
            while not self._stopping.is_set():
                try:
                    claimed = self._turn()
                    if until_idle and not claimed and not self._children and not self._is_anything_left():
                        return
                except OperationalError as error:
                    _LOG.warning("the database does not answer; trying again: %s", error.orig)
                    claimed = False
                self._stopping.wait(_TICK_S if self._children or claimed else _IDLE_S)
        finally:
            self._give_everything_back()

    def stop(self) -> None:
        """Let `run` end soon; jobs at work are queued again."""
        self._stopping.set()

    def _turn(self) -> bool:
        """Claim one job and look after those at work; returns whether there was one to claim."""
        if time.monotonic() >= self._clean_at:
            self._clean()
        claimed = self._claim()
        for child in list(self._children):
            self._look_after(child)
        return claimed

    def _clean(self) -> None:
        self._clean_at = time.monotonic() + _CLEANED_EVERY_S
        try:
            remove_unused_uploads(self._lab, self._database)
        except OSError as error:
            _LOG.warning("uploads that nobody needs cannot be removed: %s", error)

    def _is_anything_left(self) -> bool:
        with self._database.read() as session:
            return is_waiting(session, self._settings.slots)

    def _claim(self) -> bool:
        if self._free.cpu <= 0:
            return False
        with self._database.read() as session:  # looking costs no write lock
            if not is_unfinished(session):
                return False
        with self._database.update() as session:
            held = claim(session, self.name, self._free, lease=self._settings.lease)
        if held is None:
            return False
        self._start(held)
        return True

    def _start(self, held: Claim) -> None:
        """Begin with a job; where this machine has no process for it, it is given back, and the worker goes on."""
        try:
            child = _Child(held, self._lab, self._settings)
        except _NOT_STARTED as error:
            _LOG.warning("job %s: no process could be started: %s", held.id, error)
            with self._database.update() as session:
                give_back(session, held, f"no process could be started for it: {error}")
            return
        self._free = self._free.minus(held.slots)
        self._children.append(child)

    def _look_after(self, child: _Child) -> None:
        if child.is_over():
            with self._database.update() as session:
                _settle(session, child, self._lab)
            self._remove(child)
        elif time.monotonic() - child.beaten_at >= self._settings.beat_every_s:
            self._beat(child)

    def _beat(self, child: _Child) -> None:
        child.beaten_at = time.monotonic()
        with self._database.update() as session:
            standing = beat(session, child.held, stage=child.stage, progress=child.progress, lease=self._settings.lease)
        if standing is Standing.MINE:
            return
        child.kill()
        if standing is Standing.CANCEL:
            with self._database.update() as session:
                end_cancelled(session, child.held)
        self._remove(child)

    def _give_everything_back(self) -> None:
        for child in list(self._children):
            child.kill()
            with self._database.update() as session:
                give_back(session, child.held, "the worker stopped", at_once=True)
            self._remove(child)

    def _remove(self, child: _Child) -> None:
        child.close()
        self._children.remove(child)
        taken = child.held.slots
        self._free = Slots(self._free.cpu + taken.cpu, self._free.gpu + taken.gpu)


def _settle(session: Session, child: _Child, lab: Lab) -> bool:
    """Write what came of a job whose process has ended."""
    match child.last:
        case {"outcome": dict() as outcome}:
            return finish(session, child.held, outcome)
        case {"error": str() as error}:
            return fail(session, child.held, _without_place(error, lab))
        case {"broken": str() as error}:
            return give_back(session, child.held, _without_place(error, lab))
        case _:
            return give_back(
                session,
                child.held,
                f"its process ended with status {child.returned}; the log of the worker may say why",
            )


def _without_place(error: str, lab: Lab) -> str:
    """A holder of a link may read this too, and where the lab lies on this machine is not theirs to know."""
    return error.replace(f"{lab.root}/", "").replace(str(lab.root), "the lab")
