"""The network's own process: `python -m pipelines.pose.worker JOB.json`. Messages go to stdout, all else to stderr."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TextIO

from labsys.capture.memory import keep_freed_memory
from labsys.capture.priority import die_with_parent
from labsys.core.errors import LabsysError
from labsys.storage.documents import load_document
from pipelines.pose.dlc import load_network
from pipelines.pose.job import Kind, PoseJob, failure, message
from pipelines.pose.network import Loader
from pipelines.pose.shares import search


def work(job_file: Path, load: Loader, out: TextIO) -> int:
    """Do a job and tell how it goes; returns the exit code."""

    one_line = Lock()

    def tell(line: str) -> None:
        with one_line:
            out.write(line)
            out.flush()

    try:
        job = load_document(job_file, PoseJob)
        began = time.perf_counter()
        network = load(job)
        tell(message(Kind.READY, device=network.device, versions=network.versions, load_s=_since(began)))
        began = time.perf_counter()
        searched = search(
            job,
            network,
            say=lambda text: tell(message(Kind.NOTE, text=text)),
            advance=lambda camera, n: tell(message(Kind.FRAMES, camera=camera, n=n)),
        )
    except LabsysError as error:
        tell(failure(error))
        return error.exit_code
    seconds = {"seconds": _since(began), "network_s": round(searched.network_s, 3)}
    tell(message(Kind.DONE, batch_size=searched.batch_size, **seconds))
    return 0


def main(arguments: Sequence[str], load: Loader = load_network) -> int:
    """Do the job of a file; what libraries print goes to stderr, so that messages stay readable."""
    keep_freed_memory()  # layers come and go by tens of megabytes: their pages would be faults for every batch
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with out:
        return work(Path(arguments[0]), load, out)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


if __name__ == "__main__":
    # By force: it may stand still when what started it goes, since jobs are paused while cameras record.
    die_with_parent(os.getppid(), by=signal.SIGKILL)
    raise SystemExit(main(sys.argv[1:]))
