"""Jobs on the workers of a Dask cluster: the rows stay the truth, Dask only does the work.

What a scheduler forgets is queued again: its tasks are over, and the rows are given back. A task that nobody beats for
ends itself before its lease does (`api.jobs.remote`), so that no second attempt meets it.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any

import labsys
from api.jobs.executor import Running, WorkerSettings
from api.jobs.queue import Slots
from api.jobs.remote import Found, probe, run_job
from labsys.core.errors import InputError
from labsys.storage.lab import Lab

_LOG = logging.getLogger("labsys.worker")
_CONNECT_S = 5.0
_LOOK_EVERY_S = 1.0
_PROBED_EVERY_S = 0.05
_GPU = "GPU"


class ClusterExecutor:
    """Tasks of a Dask scheduler. A thread of a Dask worker is a slot; graphics cards are its resource GPU."""

    works_here = False

    def __init__(self, lab: Lab, settings: WorkerSettings, address: str) -> None:
        """Connect to the scheduler.

        Raises:
            InputError: Dask is not installed, nobody answers there, or the way there, or the lab's database, is not
                one that other machines may be trusted with.
        """
        check_address(address, lab)
        self._lab, self._settings, self._address = lab, settings, address
        self._tasks: dict[str, _Task] = {}
        self._found: dict[str, Found] = {}
        self._probes: dict[str, Any] = {}
        self._looked_at = float("-inf")
        self._slots: dict[str, Slots] = {}
        # Dask's own types are half stated; what is used of them stands in this file alone.
        self._client: Any = self._connect()
        self._await_probes()

    def free(self, taken: Sequence[Slots]) -> Slots:
        """As `Executor.free`, over the workers that are fit for this lab; nothing while the scheduler is away."""
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            self._look()
        all_cpu, all_gpu = (sum(getattr(s, what) for s in self._slots.values()) for what in ("cpu", "gpu"))
        # A job cannot be divided: more graphics cards than one worker has are never free.
        largest = max((s.gpu for s in self._slots.values()), default=0)
        return Slots(all_cpu - sum(s.cpu for s in taken), min(all_gpu - sum(s.gpu for s in taken), largest))

    def start(self, job: Mapping[str, Any], slots: Slots) -> Running:
        """As `Executor.start`."""
        key, lease_s = f"labsys-{job['id']}-{job['attempt']}", self._settings.lease.total_seconds()
        resources = {_GPU: slots.gpu} if slots.gpu else None
        fit = [address for address, s in self._slots.items() if s.gpu >= slots.gpu]
        if not fit:
            raise OSError("the cluster has no worker for it just now")
        future = self._client.submit(
            run_job, dict(job), self._settings.work, lease_s, self._topic, key,
            key=key, pure=False, retries=0, resources=resources, workers=fit,
        )  # fmt: skip
        task = _Task(future, lambda: any(address in self._slots for address in fit))
        self._tasks[key] = task
        return task

    def close(self) -> None:
        """Leave the scheduler; what waits there is forgotten, what works ends itself."""
        with suppress(Exception):  # it may be gone already, and nothing depends on a good farewell
            self._client.close(timeout=_CONNECT_S)

    def _connect(self) -> Any:
        distributed = import_distributed()
        self._topic = f"labsys-{secrets.token_hex(8)}"
        try:
            client = distributed.Client(self._address, timeout=_CONNECT_S, set_as_default=False)
            client.subscribe_topic(self._topic, self._hear)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                "the Dask scheduler does not answer",
                where=self._address,
                remedy="Start it with `dask scheduler`, and `dask worker` on every machine that is to work",
            ) from error
        return client

    def _await_probes(self) -> None:
        """Give the workers that are there a moment to say what they are."""
        deadline = time.monotonic() + _CONNECT_S
        self._look()
        while self._probes and time.monotonic() < deadline:
            time.sleep(_PROBED_EVERY_S)
            self._look()

    def _hear(self, event: tuple[float, Any]) -> None:
        said = event[1]
        task = self._tasks.get(said.get("key", "")) if isinstance(said, Mapping) else None
        if task is not None:
            task.stage, task.progress = said["stage"], max(task.progress, said["progress"])

    def _look(self) -> None:
        """What workers there are, and whether they are fit; a scheduler that was away is asked for again."""
        self._tasks = {key: task for key, task in self._tasks.items() if not task.is_closed}
        try:
            if self._client.status != "running":
                self._renew()
            seen = self._client.scheduler_info(n_workers=-1)["workers"]
            self._probe([address for address in seen if address not in self._found])
        except (OSError, TimeoutError, ValueError, InputError) as error:
            _LOG.warning("the Dask scheduler at %s does not answer; trying again: %s", self._address, error)
            self._slots = {}
            return
        self._found = {address: found for address, found in self._found.items() if address in seen}
        self._slots = {
            address: Slots(int(about["nthreads"]), int(about.get("resources", {}).get(_GPU, 0)))
            for address, about in seen.items()
            if self._found.get(address) == self._wanted
        }

    def _renew(self) -> None:
        """Another client: the old one's tasks went with the scheduler that knew them."""
        for task in self._tasks.values():
            task.forget()
        self.close()
        self._found, self._probes = {}, {}
        self._client = self._connect()

    def _probe(self, addresses: list[str]) -> None:
        """Ask those that were not asked yet, and take the answers that have come; nobody is waited for."""
        for address in addresses:
            if address not in self._probes:
                key = f"labsys-probe-{secrets.token_hex(8)}"
                self._probes[address] = self._client.submit(
                    probe, str(self._lab.root), key=key, pure=False, workers=[address], priority=100
                )
        for address, future in list(self._probes.items()):
            if future.status == "pending" and address in addresses:
                continue
            del self._probes[address]
            if future.status == "finished":
                self._found[address] = future.result(timeout=_CONNECT_S)
            elif future.status == "error":
                self._found[address] = Found("", str(future.exception(timeout=_CONNECT_S)))
            if address in self._found and self._found[address] != self._wanted:
                _LOG.warning("%s is given no jobs: %s", address, self._found[address].against(self._wanted))

    @property
    def _wanted(self) -> Found:
        return Found(labsys.__version__, self._lab.uuid)


class _Task:
    """One job at work in the cluster."""

    ends_at_once = False

    def __init__(self, future: Any, has_workers: Callable[[], bool]) -> None:
        self.stage, self.progress = "", 0.0
        self.returned: int | None = None
        self.last: dict[str, Any] = {}
        self.is_closed = False
        self._future, self._has_workers = future, has_workers
        self._is_forgotten = False

    def forget(self) -> None:
        """The scheduler that knew it has gone."""
        self._is_forgotten = True

    def is_over(self) -> bool:
        status: str = "lost" if self._is_forgotten else self._future.status
        if status == "pending" and self._has_workers():
            return False
        try:
            self._hear_end(status)
        except TimeoutError:
            return False  # what holds the result does not answer just now; Dask makes it again where it has died
        except (OSError, CancelledError) as error:
            self.last = {"broken": f"the cluster gave it up: {error!r}"}
        return True

    def _hear_end(self, status: str) -> None:
        if status == "finished":
            self._take(self._future.result(timeout=_CONNECT_S))
            return
        why = self._future.exception(timeout=_CONNECT_S) if status == "error" else f"it is {status}, without a worker"
        self._future.cancel()
        self.last = {"broken": f"the cluster gave it up: {why}"}

    def _take(self, word: Mapping[str, Any]) -> None:
        self.returned = word["returned"]
        self.last = dict(word["last"])

    def pause(self) -> None:
        """Nobody can pause what works in a cluster; it takes nothing from this machine's cameras."""

    def go_on(self) -> None:
        """It never stood still."""

    def kill(self) -> None:
        """Take it from the queue; where it is at work, it sees in the rows that it has been given up."""
        with suppress(Exception):  # the scheduler may be gone, and the task with it
            self._future.cancel()

    def close(self) -> None:
        self.is_closed = True
        self._future.release()


def check_address(address: str, lab: Lab) -> None:
    """InputError where jobs would go to other machines without TLS, or with a database that only this one has."""
    scheme, _, rest = address.rpartition("://")
    host = rest.rpartition(":")[0].strip("[]") or rest
    if _is_here(host):
        return
    if scheme != "tls":
        raise InputError(
            "Dask runs whatever it is sent: beyond this machine it needs TLS",
            where=address,
            remedy="Give scheduler and workers certificates (`distributed.comm.tls` in Dask's settings), and tls://…",
        )
    if "://" not in str(lab.database) or str(lab.database).startswith("sqlite"):
        raise InputError(
            "other machines cannot share a SQLite file",
            where=str(lab.database),
            remedy="Set `database` in labsys.toml to a PostgreSQL URL that every machine reaches",
        )


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def import_distributed() -> Any:
    """The library (InputError where it is not installed)."""
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise InputError(
            "Dask is not installed", remedy="pip install 'labsys[cluster]', here and where the Dask workers run"
        ) from error
    return distributed
