"""Folders that processes share: what one that was killed left is removed by the next, and what is in use never."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labsys.capture.memory import HeldFolder, make_memory_folder
from labsys.capture.preflight.run import _make_room

_HOLDS = """
import sys
from labsys.capture.preflight.run import _make_room
room = _make_room()
(room.__enter__() / "camA.part1.mkv").write_bytes(b"somebody")
print("ready", flush=True)
sys.stdin.read()
"""


def _age(folder: Path) -> None:
    os.utime(folder, (0, 0))


def test_pictures_of_a_check_that_was_killed_are_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    held = subprocess.Popen(
        [sys.executable, "-c", _HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    with held:
        assert held.stdout is not None
        assert held.stdout.readline() == "ready\n"
        (left,) = tmp_path.iterdir()
        _age(left)
        with _make_room() as room:
            assert (left / "camA.part1.mkv").exists(), "somebody else's check goes on"
        assert not room.exists()
        held.kill()
    with _make_room() as room:
        assert list(tmp_path.iterdir()) == [room]
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_a_moment_ago_and_what_is_no_folder_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "labsys-x-young").mkdir()
    (tmp_path / "elsewhere").mkdir()
    _age(tmp_path / "elsewhere")
    (tmp_path / "labsys-x-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "labsys-x-file").touch()
    folder = HeldFolder("labsys-x-", in_memory=False)
    folder.remove()
    folder.remove()
    assert {p.name for p in tmp_path.iterdir()} == {"labsys-x-young", "elsewhere", "labsys-x-link", "labsys-x-file"}


def test_memory_that_takes_no_folder_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/shm of a container may be there and take nothing."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    made, make = list[Path](), os.mkdir

    def refuse(path: str, mode: int = 0o777) -> None:
        made.append(Path(path))
        if Path(path).is_relative_to(tmp_path / "shm"):
            raise OSError(28, "No space left on device")
        make(path, mode)

    (tmp_path / "shm").mkdir()
    monkeypatch.setattr("labsys.capture.memory._FOLDER", tmp_path / "shm")
    monkeypatch.setattr("tempfile._os.mkdir", refuse)
    assert make_memory_folder("labsys-x-").parent == tmp_path / "temporary"
    assert [p.parent.name for p in made] == ["shm", "temporary"]
