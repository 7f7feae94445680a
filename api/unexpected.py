"""An error that nobody foresaw: its traceback goes into a file that stays, its one line to who asked."""

from __future__ import annotations

import sys
import tempfile
import traceback

from labsys.core.errors import LabsysError


def write_down(error: Exception) -> LabsysError:
    """The error as people are told of it; its traceback is in the file that it names, or on stderr without room."""
    lines = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="labsys-", suffix=".log", delete=False, encoding="utf-8") as log:
            log.write(lines)
    except OSError:
        sys.stderr.write(lines)
        return LabsysError(f"unexpected {type(error).__name__}: {error}", remedy="Look whether the disk has room")
    return LabsysError(f"unexpected {type(error).__name__}: {error}", remedy=f"The details are in {log.name}")
