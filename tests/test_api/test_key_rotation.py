"""The key of the lab is exchanged: names stay readable wherever that is cut short, and what is erased stays erased."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from api.backup import backup_lab
from api.database.connection import open_database
from api.database.tables_owned import AuditRow
from api.key_store import KeyStore, LockedError
from api.restore import restore_lab
from labsys.core.errors import InputError
from labsys.storage.lab import Lab
from tests.test_api.cli_answer import make_runner

# Stops as a killed process does, before one of the steps that the system sees.
_KILLED = """
import os, sys
from pathlib import Path
from api.key_store import KeyStore
left = int(sys.argv[2])
def counted(real):
    def step(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*arguments, **named)
    return step
os.fsync, Path.replace, Path.unlink = counted(os.fsync), counted(Path.replace), counted(Path.unlink)
KeyStore(Path(sys.argv[1])).rotate()
"""


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key store of its own."""
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


def _killed_rotations(folder: Path) -> Iterator[int]:
    """Cut a rotation of the keys in a folder short at every step, until one comes to its end."""
    for steps in range(200):
        yield steps
        ended = subprocess.run([sys.executable, "-c", _KILLED, folder, str(steps)], check=False).returncode
        if ended == 0:
            return
        assert ended == 9
    raise AssertionError("a rotation does not end")


def test_wherever_a_rotation_is_killed_every_key_is_there(lab: Lab) -> None:
    store = KeyStore.of(lab)
    made = {name: store.make_key(name) for name in ("a", "b")}
    first, kills = (store.folder / "lab.key").read_bytes(), 0
    for _ in _killed_rotations(store.folder):
        kills += 1
        assert {name: store.key_of(name) for name in made} == made
        assert {p.stat().st_mode & 0o077 for p in store.folder.iterdir()} == {0}
    assert kills > 20
    assert {name: store.key_of(name) for name in made} == made
    assert {p.name for p in store.folder.iterdir()} == {"lab.key", "a.key", "b.key"}
    assert (store.folder / "lab.key").read_bytes() != first


@pytest.mark.parametrize("steps", range(0, 24, 3))
def test_subject_erased_after_a_killed_rotation_stays_erased(lab: Lab, steps: int) -> None:
    store = KeyStore.of(lab)
    kept, _ = store.make_key("a"), store.make_key("b")
    subprocess.run([sys.executable, "-c", _KILLED, store.folder, str(steps)], check=False)
    store.destroy_key("b")
    assert not [p.name for p in store.folder.iterdir() if p.name.startswith((".", "b."))]  # no copy of it either
    store.rotate()
    assert (store.key_of("a"), store.key_of("b")) == (kept, None)
    assert {p.name for p in store.folder.iterdir()} == {"lab.key", "a.key"}


def test_old_key_opens_nothing_and_is_overwritten(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore.of(lab)
    store.make_key("a")
    path = store.folder / "lab.key"
    first, inode, synced = path.read_bytes(), path.stat().st_ino, list[bytes]()
    real = os.fsync

    def note(descriptor: int) -> None:
        if os.fstat(descriptor).st_ino == inode:
            synced.append((store.folder / "old.key").read_bytes())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store.rotate()
    assert [(len(content), content != first) for content in synced] == [(32, True)]
    path.write_bytes(first)
    with pytest.raises(LockedError):
        store.key_of("a")


def test_nothing_is_rotated_where_a_key_cannot_be_read(lab: Lab) -> None:
    store = KeyStore.of(lab)
    with pytest.raises(LockedError, match=r"lab\.key"):
        store.rotate()
    store.make_key("a")
    (store.folder / "b.key").write_bytes((store.folder / "a.key").read_bytes())
    before = {p.name: p.read_bytes() for p in store.folder.iterdir()}
    with pytest.raises(LockedError, match="another subject"):
        store.rotate()
    assert {p.name: p.read_bytes() for p in store.folder.iterdir()} == before


def test_reader_whom_a_rotation_overtakes_between_two_files_finds_the_key(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = KeyStore.of(lab)
    made = store.make_key("a")
    lab_key, next_key, real = store.folder / "lab.key", store.folder / "next.key", Path.read_bytes
    lab_key.replace(next_key)  # as it lies between the last two renames

    def overtaken(path: Path) -> bytes:
        try:
            return real(path)
        finally:
            if path == lab_key and next_key.exists():
                next_key.replace(lab_key)

    monkeypatch.setattr(Path, "read_bytes", overtaken)
    assert store.key_of("a") == made
    assert not next_key.exists()


def test_another_user_than_the_owner_of_the_keys_rotates_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    store = KeyStore.of(lab)
    store.make_key("a")
    before = {p.name: p.read_bytes() for p in store.folder.iterdir()}
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.raises(InputError, match="another user"):
        store.rotate()
    assert {p.name: p.read_bytes() for p in store.folder.iterdir()} == before


def test_command_is_audited_and_a_running_service_goes_on(
    any_lab: Lab, tmp_path: Path, open_client: Callable[[Lab], TestClient], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    url, who = "/api/v1/subjects/S01/identity", {"name": "Zaphod Q. Beeblebrox"}
    client = open_client(any_lab)
    assert client.put(url, json=who).status_code == 200
    backup_lab(any_lab, tmp_path / "backup")
    monkeypatch.setattr("api.commands.terminal.Terminal.open_lab", lambda _: any_lab)
    answer = make_runner(capsys)("key", "rotate", "--json")
    assert (answer.code, answer.json["wrapped"]) == (0, 1), answer.err
    assert client.get(url).json()["name"] == who["name"]
    restored = open_client(restore_lab(tmp_path / "backup", tmp_path / "restored").lab)
    assert restored.get(url).json()["name"] == who["name"]
    database = open_database(any_lab)
    with database.read() as session:
        noted = session.scalars(select(AuditRow.object).where(AuditRow.action == "key.rotate").order_by(AuditRow.id))
        assert list(noted) == ["begun", "done: 1 keys of subjects"]
    database.close()
