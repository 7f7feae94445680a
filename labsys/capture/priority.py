"""The right to be served first: real-time scheduling, else the best nice value, else nothing.

Recording must not wait for other work on the machine: with ordinary scheduling on a busy machine frames are lost, with
either of these none were (spec of capture, measured).
"""

from __future__ import annotations

import ctypes
import os
import signal
from enum import IntEnum
from typing import Literal

_PR_SET_PDEATHSIG = 1
_BEST_NICE = -20
Wish = Literal["realtime", "nice", "normal"]


class Priority(IntEnum):
    """What was granted."""

    NORMAL = 0
    NICE = 1
    REALTIME = 2


def raise_priority(wish: Wish, *, level: int = 10) -> Priority:
    """Ask for as much as is wished for, for this thread and those that it starts; returns what was granted."""
    if wish == "realtime" and _go_realtime(level):
        return Priority.REALTIME
    if wish != "normal" and _go_nice():
        return Priority.NICE
    return Priority.NORMAL


def _go_realtime(level: int) -> bool:
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(level))
    except PermissionError:
        return False
    return True


def _go_nice() -> bool:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _BEST_NICE)
    except PermissionError:
        return False
    return True


def die_with_parent(parent: int, *, by: signal.Signals = signal.SIGTERM) -> None:
    """Get a signal when the process `parent`, which started this one, ends, however it ends. Only Linux can.

    A parent that ended before the kernel was asked is not told of: then this process ends at once.
    """
    if hasattr(os, "sched_setscheduler"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, by, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)
