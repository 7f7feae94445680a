"""Neither SIGKILL nor a crash at any write to the disk shows half a run, and asking again gives the undisturbed one."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labsys.core.session import Session, Subject, Trial, TrialKind, TrialName
from labsys.storage.lab import create_lab, open_lab, trial_folder
from labsys.storage.runs import current_run, list_runs, verify_run
from labsys.storage.sessions import save_session
from labsys.storage.subjects import save_subject
from labsys.storage.trials import save_trial

NAME = TrialName("S01", "2026-11-22", "run1")
RUN = "r0123456789ab"


def _make_trial(root: Path) -> None:
    lab = create_lab(root)
    save_subject(lab, Subject(uuid="", code="S01"))
    save_session(lab, Session(uuid="", subject="S01", session="2026-11-22", captured_at=""))
    save_trial(lab, Trial(uuid="", name=NAME, kind=TrialKind.RUN, recorded_at=""))


_WRITER = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    from labsys.core.provenance import Provenance
    from labsys.core.session import TrialName
    from labsys.storage.lab import open_lab
    from labsys.storage.runs import RunRecord, is_complete, open_run, settle_run

    NAME, RUN = TrialName("S01", "2026-11-22", "run1"), "r0123456789ab"
    PROVENANCE = Provenance("0.1.0", 1, {}, {}, "", "", "", "2026-11-22T10:00:00Z", {})

    def write_slowly(path, content, pause_s):
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as stream:
            for start in range(0, len(content), 256):
                stream.write(content[start : start + 256])
                stream.flush()
                if pause_s:
                    time.sleep(pause_s)

    def process(root, pause_s):
        lab = open_lab(Path(root))
        if is_complete(lab, NAME, RUN):
            settle_run(lab, NAME, RUN)
            return
        with open_run(lab, NAME, RUN) as run:
            for i in range(4):
                if not run.has(f"stage{i}"):
                    files = [f"stage{i}/{c}.bin" for c in "ab"]
                    for f in files:
                        write_slowly(run.folder / f, (f * 200).encode(), pause_s)
                    run.complete(f"stage{i}", files)
            run.finish(RunRecord(RUN, PROVENANCE))
    """
)

_KILLED = _WRITER + 'print("ready", flush=True); process(sys.argv[1], 0.002)\n'

# Every call that changes the disk is a point at which a machine may lose power.
_CRASHING = _WRITER + textwrap.dedent(
    """
    def crash_at(n):
        count = 0

        def counted(call):
            def wrapper(*args, **kwargs):
                nonlocal count
                count += 1
                if count == n:
                    os._exit(9)
                return call(*args, **kwargs)
            return wrapper

        for name in ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir", "open"):
            setattr(os, name, counted(getattr(os, name)))

    for arguments in sys.stdin:
        root, n = arguments.split()
        child = os.fork()
        if child == 0:
            crash_at(int(n))
            process(root, 0.0)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """
)


def _check_visible(root: Path) -> None:
    """Whatever a reader sees is a whole run or none."""
    lab = open_lab(root)
    runs = list_runs(lab, NAME)
    for record in runs:
        assert len(record.files) == 8
        verify_run(lab, NAME, record.run)
    assert current_run(lab, NAME) == (RUN if runs else None)


def _visible_files(root: Path) -> dict[str, bytes]:
    folder = trial_folder(open_lab(root), NAME)
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files if p.name != "trial.json"}


def _run_writer(root: Path) -> subprocess.Popen[str]:
    writer = subprocess.Popen([sys.executable, "-c", _KILLED, str(root)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def _finish_writer(root: Path) -> float:
    """Let the writer finish; returns how long it took, s."""
    with _run_writer(root) as writer:
        started = time.monotonic()
        assert writer.wait() == 0
    return time.monotonic() - started


@pytest.mark.slow
def test_sigkill_at_random_moments_leaves_no_trace_after_asking_again(tmp_path: Path) -> None:
    _make_trial(tmp_path / "fresh")
    shutil.copytree(tmp_path / "fresh", tmp_path / "undisturbed")
    duration_s = _finish_writer(tmp_path / "undisturbed")
    expected = _visible_files(tmp_path / "undisturbed")
    assert len(expected) == 10
    chance = random.Random(20261122)
    n_killed = n_tried = 0
    while n_killed < 10:
        n_tried += 1
        assert n_tried <= 30, "the writer always finishes before the kill"
        root = tmp_path / f"lab{n_tried}"
        shutil.copytree(tmp_path / "fresh", root)
        with _run_writer(root) as writer:
            time.sleep(duration_s * (n_killed + chance.random()) / 10)
            writer.send_signal(signal.SIGKILL)
        if writer.returncode != -signal.SIGKILL:
            duration_s *= 0.8  # the machine is faster now than when it was measured: kill earlier
            continue
        n_killed += 1
        _check_visible(root)
        _finish_writer(root)
        assert _visible_files(root) == expected


@pytest.fixture
def process_until() -> Iterator[Callable[[Path, int], int]]:
    """Process a lab and crash at the n-th call that touches the disk; returns 9 if it crashed, 0 if it finished."""
    command = [sys.executable, "-c", _CRASHING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crasher:
        assert crasher.stdin is not None
        assert crasher.stdout is not None
        ask, answers = crasher.stdin, crasher.stdout

        def process(root: Path, n: int) -> int:
            ask.write(f"{root} {n}\n")
            ask.flush()
            return int(answers.readline())

        yield process


@pytest.mark.slow
def test_a_crash_at_any_write_leaves_no_trace_after_asking_again(
    tmp_path: Path, process_until: Callable[[Path, int], int]
) -> None:
    never = 10**6
    _make_trial(tmp_path / "fresh")
    shutil.copytree(tmp_path / "fresh", tmp_path / "undisturbed")
    assert process_until(tmp_path / "undisturbed", never) == 0
    expected = _visible_files(tmp_path / "undisturbed")
    n, status = 0, 9
    while status == 9:
        n += 1
        root = tmp_path / f"lab{n}"
        shutil.copytree(tmp_path / "fresh", root)
        status = process_until(root, n)
        _check_visible(root)
        assert process_until(root, never) == 0
        assert _visible_files(root) == expected, f"crash at call {n}"
    assert status == 0
    assert n > 60
