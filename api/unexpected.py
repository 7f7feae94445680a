"""An error that nobody foresaw: its traceback goes into a file that stays, its one line to who asked."""

from __future__ import annotations

import sys
import tempfile
import traceback

from labsys.core.errors import LabsysError


def keep_traceback(error: BaseException) -> str:
    """Write the traceback into a file that stays and return its path; "" where there was no room: it is on stderr."""
    lines = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile("w", prefix="labsys-", suffix=".log", delete=False, encoding="utf-8") as log:
            log.write(lines)
    except OSError:
        sys.stderr.write(lines)
        return ""
    return log.name


def write_down(error: Exception) -> LabsysError:
    """The error as people are told of it, with the file that its traceback is in."""
    kept = keep_traceback(error)
    remedy = f"The details are in {kept}" if kept else "Look whether the disk has room"
    return LabsysError(f"unexpected {type(error).__name__}: {error}", remedy=remedy)
