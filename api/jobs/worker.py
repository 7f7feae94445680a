"""A worker: claims jobs that fit, has each worked on by its executor, and keeps them alive while it lives.

While cameras of the lab check or record on this machine, none is begun, and what works here stands still.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.database.away import DatabaseAwayError
from api.database.connection import Database
from api.jobs.cleaning import clean_lab
from api.jobs.executor import ONE_AT_A_TIME, WORK, Executor, Running, WorkerSettings, describe_job
from api.jobs.local import NOT_STARTED, LocalExecutor
from api.jobs.queue import (
    Claim,
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
from labsys.storage.armed import is_armed
from labsys.storage.lab import Lab

__all__ = ["WORK", "Worker", "WorkerSettings"]

_LOG = logging.getLogger("labsys.worker")
_IDLE_S = 0.5
_TICK_S = 0.05
_CLEANED_EVERY_S = 3600.0
_ARMED_EVERY_S = 0.2
_PAUSED = "paused while cameras record"


@dataclass
class _AtWork:
    """A claim, the work on it, and when its lease was renewed."""

    held: Claim
    running: Running
    beaten_at: float
    is_paused: bool = False


class Worker:
    """Runs until it is stopped. One per process or thread; any number of them share a database."""

    def __init__(
        self,
        lab: Lab,
        database: Database,
        settings: WorkerSettings = ONE_AT_A_TIME,
        executor: Executor | None = None,
    ) -> None:
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lab, self._database, self._settings = lab, database, settings
        self._executor: Executor = executor if executor is not None else LocalExecutor(settings)
        self._at_work: list[_AtWork] = []
        self._clean_at = 0.0
        self._looked_at, self._is_armed = float("-inf"), False
        self._stopping = threading.Event()

    def run(self, *, until_idle: bool = False) -> None:
        """Claim and run jobs until stopped, or with `until_idle` until none is left that this worker can do."""
        try:
            while not self._stopping.is_set():
                try:
                    claimed = self._turn()
                    if until_idle and not claimed and not self._at_work and not self._is_anything_left():
                        return
                except (OperationalError, DatabaseAwayError) as error:
                    _LOG.warning("the database does not answer; trying again: %s", getattr(error, "orig", error))
                    claimed = False
                self._stopping.wait(_TICK_S if self._at_work or claimed else _IDLE_S)
        finally:
            self._give_everything_back()

    def stop(self) -> None:
        """Let `run` end soon; jobs at work are queued again."""
        self._stopping.set()

    def _turn(self) -> bool:
        """Claim one job and look after those at work; returns whether there was one to claim."""
        if time.monotonic() >= self._clean_at:
            self._clean()
        self._look_at_cameras()
        claimed = not self._is_armed and self._claim()
        for work in list(self._at_work):
            self._look_after(work)
        return claimed

    def _look_at_cameras(self) -> None:
        """Pause what is at work while cameras are armed, and let it go on afterwards."""
        if not self._executor.works_here or time.monotonic() - self._looked_at < _ARMED_EVERY_S:
            return
        self._looked_at, self._is_armed = time.monotonic(), is_armed(self._lab)
        for work in self._at_work:
            if not self._is_armed:
                work.running.go_on()  # again and again: a pause may take effect late
            elif not work.is_paused:
                work.running.pause()
            if work.is_paused is not self._is_armed:
                work.is_paused, work.beaten_at = self._is_armed, float("-inf")

    def _clean(self) -> None:
        self._clean_at = time.monotonic() + _CLEANED_EVERY_S
        clean_lab(self._lab, self._database)

    def _is_anything_left(self) -> bool:
        with self._database.read() as session:
            return is_waiting(session, self._executor.free(()))

    def _claim(self) -> bool:
        free = self._executor.free([work.held.slots for work in self._at_work])
        if free.cpu <= 0:
            return False
        with self._database.read() as session:  # looking costs no write lock
            if not is_unfinished(session):
                return False
        with self._database.update() as session:
            held = claim(session, self.name, free, lease=self._settings.lease)
        if held is None:
            return False
        self._start(held)
        return True

    def _start(self, held: Claim) -> None:
        """Begin with a job; where there is no place for it just now, it is given back, and the worker goes on."""
        try:
            running = self._executor.start(describe_job(held, self._lab), held.slots)
        except NOT_STARTED as error:
            _LOG.warning("job %s: no process could be started: %s", held.id, error)
            with self._database.update() as session:
                give_back(session, held, f"no process could be started for it: {error}")
            return
        self._at_work.append(_AtWork(held, running, time.monotonic()))

    def _look_after(self, work: _AtWork) -> None:
        if work.running.is_over():
            with self._database.update() as session:
                _settle(session, work, self._lab)
            self._remove(work)
        elif time.monotonic() - work.beaten_at >= self._settings.beat_every_s:
            self._beat(work)

    def _beat(self, work: _AtWork) -> None:
        work.beaten_at, said = time.monotonic(), work.running
        with self._database.update() as session:
            stage = _PAUSED if work.is_paused else said.stage
            standing = beat(session, work.held, stage=stage, progress=said.progress, lease=self._settings.lease)
        if standing is Standing.MINE:
            return
        work.running.kill()
        if standing is Standing.CANCEL:
            with self._database.update() as session:
                end_cancelled(session, work.held)
        self._remove(work)

    def _give_everything_back(self) -> None:
        for work in list(self._at_work):
            work.running.kill()
            with self._database.update() as session:
                pause = not work.running.ends_at_once
                give_back(session, work.held, "the worker stopped", at_once=True, pause=pause)
            self._remove(work)

    def _remove(self, work: _AtWork) -> None:
        work.running.close()
        self._at_work.remove(work)


def _settle(session: Session, work: _AtWork, lab: Lab) -> bool:
    """Write what came of a job whose process has ended."""
    match work.running.last:
        case {"outcome": dict() as outcome}:
            return finish(session, work.held, outcome)
        case {"error": str() as error}:
            return fail(session, work.held, _without_place(error, lab))
        case {"broken": str() as error}:
            return give_back(session, work.held, _without_place(error, lab))
        case _:
            return give_back(
                session,
                work.held,
                f"its process ended with status {work.running.returned}; the log of the worker may say why",
            )


def _without_place(error: str, lab: Lab) -> str:
    """A holder of a link may read this too, and where the lab lies on this machine is not theirs to know."""
    return error.replace(f"{lab.root}/", "").replace(str(lab.root), "the lab")
