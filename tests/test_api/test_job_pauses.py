"""How long a job stood still is known to it: none of that is what its work takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

_STANDS_STILL = """
import os, time
from api.jobs.pausing import stand_still, stood_still_s
os.setpgid(0, 0)
print("ready", flush=True)
stand_still()
stand_still()
print(stood_still_s(), flush=True)
"""


def test_a_job_knows_how_long_it_stood_still() -> None:
    with subprocess.Popen([sys.executable, "-c", _STANDS_STILL], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        began, goes_on = time.monotonic(), 0
        while goes_on < 2:
            os.waitid(os.P_PID, job.pid, os.WSTOPPED)
            time.sleep(0.3)
            job.send_signal(signal.SIGCONT)
            goes_on += 1
        told_s = float(job.stdout.readline())
        assert 0.6 <= told_s <= time.monotonic() - began
