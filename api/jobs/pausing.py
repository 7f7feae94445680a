"""How a job's process is paused: what its worker says to it, and what it must not hold while it stands still."""

from __future__ import annotations

import threading

PAUSE = b"pause\n"
# Held while a job writes to the database: stopped then, it would keep everybody else from writing.
HOLDING_DATABASE = threading.Lock()
