"""Starting the network's process and following it; it ends with the work, whichever of the two fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labsys.core.errors import LabsysError
from labsys.storage.documents import save_document
from pipelines.pose.job import Kind, PoseJob, raise_failure

WORKER = (sys.executable, "-m", "pipelines.pose.worker")
_STOP_WITHIN_S = 10.0


@dataclass(frozen=True)
class WorkDone:
    """How a job went.

    Attributes:
        device, versions: where the network ran, and what ran it.
        load_s, seconds, network_s: wall time of loading, of all frames, and of that inside the network.
        batch_size: frames at once at the end. notes: what was worth telling.
    """

    device: str
    versions: dict[str, str]
    load_s: float
    seconds: float
    network_s: float
    batch_size: int
    notes: tuple[str, ...] = field(default=())


def run_job(
    job: PoseJob,
    folder: Path,
    *,
    ready: Callable[[], None],
    advance: Callable[[str, int], None],
    command: Sequence[str] = WORKER,
) -> WorkDone:
    """Do a job in a process of its own. Its job file and log are written into the folder.

    Raises:
        LabsysError: whatever the process refused, as the error that it was there; or it died, with its last words.
    """
    job_file, log = folder / "job.json", folder / "worker.log"
    save_document(job_file, job)
    start = [*command, str(job_file)]
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            start, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, text=True, encoding="utf-8"
        ) as process,
    ):
        try:
            done = _follow(process, ready, advance)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_WITHIN_S)
        finally:
            process.kill()  # does nothing where it has ended
    if done is None:
        raise LabsysError(_death(process.returncode, log), where=str(log), remedy="Start again: it goes on from there")
    return done


def _follow(
    process: subprocess.Popen[str], ready: Callable[[], None], advance: Callable[[str, int], None]
) -> WorkDone | None:
    told: dict[str, Any] = {}
    notes: list[str] = []
    for line in process.stdout or ():
        values = json.loads(line)
        match Kind(values.pop("kind")):
            case Kind.READY:
                told |= values
                ready()
            case Kind.FRAMES:
                advance(values["camera"], values["n"])
            case Kind.NOTE:
                notes.append(values["text"])
            case Kind.FAILED:
                raise_failure(values)
            case Kind.DONE:
                return WorkDone(**told, **values, notes=tuple(notes))
    return None


def _death(code: int, log: Path) -> str:
    words = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    memory = "; the machine may have run out of memory" if code == -9 else ""
    return f"the process that looks at the videos {how}{memory}" + (f": {words[-1]}" if words else "")
