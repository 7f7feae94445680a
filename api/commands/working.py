"""`labsys worker`: do the jobs that wait in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import LabOption, QuietOption, Terminal
from labsys.core.errors import InputError

if TYPE_CHECKING:
    from api.jobs.cluster import ClusterExecutor
    from api.jobs.executor import WorkerSettings
    from labsys.storage.lab import Lab


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("worker")(work)


def work(
    slots: Annotated[int | None, typer.Option("--slots", min=1, help="Jobs at the same time; 1 if not given.")] = None,
    gpu: Annotated[int | None, typer.Option("--gpu", min=0, help="Graphics cards that jobs may ask for.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Have the workers of this Dask scheduler do them."),
    ] = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when no job is left that fits.")] = False,
    lab: LabOption = None,
    quiet: QuietOption = False,
) -> None:
    """Do the jobs that were submitted to the service, each in a process of its own; Ctrl-C stops, jobs are kept.

    With --scheduler the work is done by `dask worker` processes, on this machine or others; their threads are the
    slots, and their resource GPU says how many graphics cards each has.

    \b
    Example: labsys worker --slots 2 --gpu 1
    Example: labsys worker --scheduler tls://lab-server:8786
    """
    from signal import SIGTERM, signal

    from api.database.connection import open_database
    from api.jobs.local import LocalExecutor
    from api.jobs.queue import Slots
    from api.jobs.worker import Worker, WorkerSettings

    terminal = Terminal(lab, as_json=False, quiet=quiet)
    settings = WorkerSettings(Slots(slots or 1, gpu or 0))
    folder = terminal.open_lab()
    executor = _cluster(folder, settings, scheduler, slots, gpu) if scheduler is not None else LocalExecutor(settings)
    free = executor.free(())
    if until_idle and free.cpu == 0:
        raise InputError(
            "the Dask scheduler has no worker that is fit for this lab",
            where=scheduler or "",
            remedy="Start `dask worker` with this version of labsys and the lab at the same path; or omit --until-idle",
        )
    database = open_database(folder)
    worker = Worker(folder, database, settings, executor)
    signal(SIGTERM, lambda *_: worker.stop())
    terminal.say(f"worker {worker.name}: {free.cpu} slots, {free.gpu} graphics cards now (Ctrl-C stops)")
    try:
        worker.run(until_idle=until_idle)
    except KeyboardInterrupt:
        terminal.say("stopped; jobs at work are queued again")
    finally:
        executor.close()
        database.close()


def _cluster(lab: Lab, settings: WorkerSettings, address: str, slots: int | None, gpu: int | None) -> ClusterExecutor:
    from api.jobs.cluster import ClusterExecutor

    if slots is not None or gpu is not None:
        raise InputError(
            "--slots and --gpu belong to the Dask workers",
            remedy='Start those with `dask worker ADDRESS --nthreads 2 --resources "GPU=1"`',
        )
    return ClusterExecutor(lab, settings, address)


@contextmanager
def working_beside(lab: Lab, slots: int) -> Iterator[None]:
    """A worker in a thread while the block runs; none where it has no slots."""
    import threading

    from api.database.connection import open_database
    from api.jobs.queue import Slots
    from api.jobs.worker import Worker, WorkerSettings

    if slots == 0:
        yield
        return
    database = open_database(lab)
    worker = Worker(lab, database, WorkerSettings(Slots(slots)))
    thread = threading.Thread(target=worker.run, name="labsys worker", daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()
        database.close()
