"""What a camera's process and its supervisor tell each other while frames flow: numbers in a mapped file, no messages.

Each number has one writer and is read without a lock. The file can be read by anybody who knows its path, such as a
page that shows how a recording goes.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from pathlib import Path

from labsys.core.errors import InputError

Numbers = memoryview
_N_COUNTS, _N_COMMANDS = 32, 8
_BYTES = 8 * (_N_COUNTS + _N_COMMANDS)


class WorkerState(IntEnum):
    """Where a camera's process stands."""

    STARTING = 0
    ARMED = 1
    RECORDING = 2
    FAULT = 3
    DONE = 4
    DISK_FULL = 5


class Count(IntEnum):
    """What a camera's process tells."""

    STATE = 0
    SEEN = 1
    STORED = 2
    LOST_IN_QUEUE = 3
    LOST_TO_DISK = 4
    CORRUPT = 5
    WAITING = 6
    MOST_WAITING = 7
    BYTES = 8
    FIRST_NS = 9
    LAST_NS = 10
    PRIORITY = 11
    HEARTBEAT_NS = 12
    CPU_US = 13
    SEQ_GAPS = 14
    DEQUEUE_LATE_US = 15
    OPENED = 16
    PERIOD_NS = 17
    SEEN_DAMAGED = 18
    SEEN_BYTES = 19
    LARGEST_BYTES = 20
    HOST_STAMPS = 21
    GAPS_IN_TAKE = 22


class Command(IntEnum):
    """What the supervisor tells."""

    FROM_NS = 0
    UNTIL_NS = 1
    QUIT = 2


def make_numbers(path: Path) -> None:
    """A new file of numbers, all 0 (InputError: no room for it)."""
    try:
        path.write_bytes(bytes(_BYTES))
    except OSError as error:
        raise InputError(
            f"no place for what processes tell each other: {error.strerror or error}",
            where=str(path.parent),
            remedy="Make room there (in a container: a larger --shm-size)",
        ) from error


def map_numbers(path: Path) -> tuple[Numbers, Numbers]:
    """Counts and commands of one camera, shared with whoever maps the file too."""
    with path.open("r+b") as file:
        numbers = memoryview(mmap.mmap(file.fileno(), _BYTES)).cast("q")
    return numbers[:_N_COUNTS], numbers[_N_COUNTS:]
