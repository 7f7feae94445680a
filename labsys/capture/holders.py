"""Who holds a device file: programs of this user, or of everybody where this process may look."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def find_holders(node: Path) -> list[str]:
    """Names and process numbers of other programs that have a file open, such as "zoom (4711)"; those that this user
    may not look into are left out."""
    wanted, found = str(node.resolve()), list[str]()
    for process in sorted(_PROC.glob("[0-9]*"), key=lambda p: int(p.name)):
        if process.name == str(os.getpid()):
            continue
        with suppress(OSError):
            if any(str(link.readlink()) == wanted for link in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
    return found
