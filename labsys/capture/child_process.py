"""Processes of the recorder: a fresh interpreter that imports one function, and nothing that its starter loaded.

multiprocessing would import the starter's main module again in every child (the whole terminal, or the test runner).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from labsys.capture.priority import die_with_parent


def start_child(entry: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Start `entry` ("package.module:function") with picklable arguments in a process that ends with this one."""
    module, _, function = entry.partition(":")
    code = f"from labsys.capture.child_process import serve; from {module} import {function} as f; serve(f)"
    child = subprocess.Popen([sys.executable, "-P", "-c", code], stdin=subprocess.PIPE)
    assert child.stdin is not None
    # A child that ended at once breaks the pipe; its exit code says so.
    with contextlib.suppress(BrokenPipeError), child.stdin:
        child.stdin.write(pickle.dumps((os.getpid(), arguments)))
    return child


def serve(function: Callable[..., Any]) -> None:
    """What the child runs: the function with the arguments that its starter sent."""
    parent, arguments = pickle.load(sys.stdin.buffer)
    die_with_parent(parent)
    function(*arguments)


def end_child(child: subprocess.Popen[bytes], *, wait_s: float) -> None:
    """Wait for a child that was told to end; end it by force where it does not.

    One that hangs in the kernel is gone only when that lets it go: it does nothing more, and is not waited for.
    """
    try:
        child.wait(wait_s)
    except subprocess.TimeoutExpired:
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(wait_s)
