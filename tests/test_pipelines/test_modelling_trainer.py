"""The process that trains ends with the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_WITHIN_S = 20.0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell a process that its parent ended")
def test_a_training_ends_with_who_started_it_however_that_ends(tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    os.mkfifo(job)
    start = f"{sys.executable} -P -m pipelines.modelling.trainer {job} >&2 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", start], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        trainer = int(parent.stdout.readline())
        with job.open("w"):  # the trainer reads its job, and waits for more
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            until = time.monotonic() + _WITHIN_S
            while Path(f"/proc/{trainer}").exists() and not _is_dead(trainer) and time.monotonic() < until:
                time.sleep(0.05)
            ended = _is_dead(trainer)
    assert ended


def _is_dead(process: int) -> bool:
    """Gone, or waiting to be noticed by a parent."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] == "Z"
