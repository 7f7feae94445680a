"""Starting the network's process and following it; it ends with the work, whichever of the two fails."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labsys.core.errors import LabsysError
from labsys.storage.documents import save_document
from pipelines.pose.job import Kind, PoseJob, raise_failure

WORKER = (sys.executable, "-P", "-m", "pipelines.pose.worker")
_GOES_ON = "Start again: it goes on from there"
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
    told: dict[str, Any] = {}
    notes: list[str] = []
    for kind, values in follow_process([*command, str(job_file)], log, remedy=_GOES_ON):
        match kind:
            case Kind.READY:
                told |= values
                ready()
            case Kind.FRAMES:
                advance(values["camera"], values["n"])
            case Kind.NOTE:
                notes.append(values["text"])
            case _:
                told |= values
    return WorkDone(**told, notes=tuple(notes))


def follow_process(command: Sequence[str], log: Path, *, remedy: str = "") -> Iterator[tuple[Kind, dict[str, Any]]]:
    """What a process of labsys tells, message by message up to DONE; it ends with the iterator. stderr goes to `log`.

    Raises:
        LabsysError: whatever the process refused, as the error that it was there; or it died, with its last words.
    """
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, text=True, encoding="utf-8"
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                values = json.loads(line)
                kind = Kind(values.pop("kind"))
                if kind is Kind.FAILED:
                    raise_failure(values)
                yield kind, values
                if kind is Kind.DONE:
                    break
            else:
                kind = None
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_WITHIN_S)
        finally:
            process.kill()  # does nothing where it has ended
    if kind is None:
        raise LabsysError(_death(process.returncode, log), where=str(log), remedy=remedy)


def _death(code: int, log: Path) -> str:
    words = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    memory = "; the machine may have run out of memory" if code == -9 else ""
    return f"the network's process {how}{memory}" + (f": {words[-1]}" if words else "")
