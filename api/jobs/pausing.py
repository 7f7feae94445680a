"""How a job's process is paused: what its worker says to it, and what it must not hold while it stands still."""

from __future__ import annotations

import os
import signal
import threading
import time

PAUSE = b"pause\n"
# Held while a job writes to the database: stopped then, it would keep everybody else from writing.
HOLDING_DATABASE = threading.Lock()
_PAUSES_S = list[float]()


def stand_still() -> None:
    """Stop this process with all that it has started, until it is let go on; not while it holds the database."""
    with HOLDING_DATABASE:
        began_s = time.monotonic()
        os.killpg(0, signal.SIGSTOP)
        _PAUSES_S.append(time.monotonic() - began_s)


def stood_still_s() -> float:
    """How long this process has stood still, s: that is none of the time that its work takes."""
    return sum(_PAUSES_S)
