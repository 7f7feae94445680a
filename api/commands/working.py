"""`labsys worker`: do the jobs that wait in the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import LabOption, QuietOption, Terminal

if TYPE_CHECKING:
    from labsys.storage.lab import Lab


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("worker")(work)


def work(
    slots: Annotated[int, typer.Option("--slots", min=1, help="Jobs at the same time.")] = 1,
    gpu: Annotated[int, typer.Option("--gpu", min=0, help="Graphics cards that jobs may ask for.")] = 0,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when no job is left that fits.")] = False,
    lab: LabOption = None,
    quiet: QuietOption = False,
) -> None:
    """Do the jobs that were submitted to the service, each in a process of its own; Ctrl-C stops, jobs are kept.

    \b
    Example: labsys worker --slots 2 --gpu 1
    """
    from signal import SIGTERM, signal

    from api.database import open_database
    from api.jobs.queue import Slots
    from api.jobs.worker import Worker, WorkerSettings

    terminal = Terminal(lab, as_json=False, quiet=quiet)
    folder = terminal.open_lab()
    database = open_database(folder)
    worker = Worker(folder, database, WorkerSettings(Slots(slots, gpu)))
    signal(SIGTERM, lambda *_: worker.stop())
    terminal.say(f"worker {worker.name}: {slots} slots, {gpu} graphics cards (Ctrl-C stops)")
    try:
        worker.run(until_idle=until_idle)
    except KeyboardInterrupt:
        terminal.say("stopped; jobs at work are queued again")
    finally:
        database.close()


@contextmanager
def working_beside(lab: Lab, slots: int) -> Iterator[None]:
    """A worker in a thread while the block runs; none where it has no slots."""
    import threading

    from api.database import open_database
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
