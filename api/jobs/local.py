"""Jobs in child processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from api.jobs.executor import Running, WorkerSettings
from api.jobs.pausing import PAUSE
from api.jobs.queue import Slots

# No process, no pipe, or (RuntimeError) no thread: the machine has none left, or the process ended at once.
NOT_STARTED = (OSError, RuntimeError)


class LocalExecutor:
    """Child processes, as many as fit into the slots of the settings."""

    works_here = True

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings

    def free(self, taken: Sequence[Slots]) -> Slots:
        """As `Executor.free`."""
        left = self._settings.slots
        for slots in taken:
            left = left.minus(slots)
        return left

    def start(self, job: Mapping[str, Any], _slots: Slots, /) -> Running:
        """As `Executor.start`."""
        return Child(job, self._settings.work)

    def close(self) -> None:
        """Nothing is held."""


class Child:
    """One job at work. A thread hears what the process says; the worker looks at it now and then."""

    ends_at_once = True

    def __init__(self, job: Mapping[str, Any], work: str) -> None:
        self.stage, self.progress, self.last = "", 0.0, dict[str, Any]()
        # -P: nothing is imported from the folder that the worker happens to stand in.
        command = [sys.executable, "-P", "-m", "api.jobs.child", work]
        # A session of its own: cancelling ends what the work has started, too.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._thread = threading.Thread(target=self._hear, daemon=True)
        try:
            self._tell(job)
            self._thread.start()
        except NOT_STARTED:
            self.kill()
            self.close()
            raise

    def _tell(self, job: Mapping[str, Any]) -> None:
        """Say what is to be done."""
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

    def pause(self) -> None:
        """Let it stop itself, once it does not hold the database; with it all that it has started."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is over
            os.write(self._process.stdin.fileno(), PAUSE)

    def go_on(self) -> None:
        """Let it go on, however often it is told so."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGCONT)

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
