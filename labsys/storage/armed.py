"""Whether cameras of a lab are about to record, or record, on this machine: jobs wait meanwhile.

Who checks or records holds a file of its own, LAB/.armed-MACHINE-…; the system lets go of it however its holder ends.
Other machines' jobs take nothing from these cameras and go on.
"""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock, is_held


@contextmanager
def arming(lab: Lab) -> Iterator[None]:
    """Let jobs of this machine wait while the block runs."""
    for left in _files(lab):
        if not is_held(left):
            left.unlink(missing_ok=True)  # of one that was killed
    mine = lab.root / f"{_prefix()}{os.getpid()}-{secrets.token_hex(4)}"
    with hold_lock(mine, what="the cameras", wait=True):
        yield


def is_armed(lab: Lab) -> bool:
    """Whether somebody on this machine checks or records with cameras of this lab just now."""
    return any(is_held(path) for path in _files(lab))


def _files(lab: Lab) -> list[Path]:
    return sorted(lab.root.glob(f"{_prefix()}*"))


def _prefix() -> str:
    return f".armed-{platform.node() or 'here'}-"
