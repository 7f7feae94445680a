"""The restore drill: a backup in an empty folder gives equal answers, is whole or not there, and holds no keys."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.access.audit import TERMINAL, Actor
from api.access.keys import KeyRequest, make_key
from api.access.reads import note_read
from api.access.roles import Role
from api.backup import DATABASE, FOLDER, MANIFEST, backup_lab
from api.database.connection import open_database
from api.restore import restore_lab
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.atomic import hash_file
from labsys.storage.lab import Lab, open_lab
from labsys.storage.runs import current_run, verify_run
from labsys.storage.trial_bin import delete_trial, list_bin
from tests.test_api.audited import audited
from tests.test_api.cli_answer import Run
from tests.test_api.every_url import every_url

pytestmark = pytest.mark.slow

API = "/api/v1"
WHO = {"name": "Zaphod Q. Beeblebrox", "record_number": "MRN-4711-42", "contact": "zaphod@heart-of-gold.example"}
URL = f"{API}/subjects/S01/identity"
OTHER = f"{API}/subjects/S02/identity"


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key store of its own."""
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


def test_restored_lab_answers_as_the_one_that_was_backed_up(
    any_lab: Lab, tmp_path: Path, open_client: Callable[[Lab], TestClient]
) -> None:
    client = open_client(any_lab)
    client.patch(f"{API}/trials/S01/2026-12-13/run1", json={"excluded": True, "exclusion_reason": "Shoe came off"})
    client.put(URL, json=WHO)
    job = client.post(f"{API}/jobs", json={"kind": "process", "target": "S02/2026-11-03/walk1"}).json()["id"]
    # Every page and noun; of the trends one of twenty, as they all ask the same question.
    urls = [u for i, u in enumerate(every_url(client)) if "/trend" not in u or i % 20 == 0]
    owned = [f"{API}/jobs/{job}", f"{API}/jobs", URL]
    before = {url: _answer(client, url) for url in (*urls, *owned)}
    assert sum(status == 200 for status, _, _ in before.values()) > 80
    backup_lab(any_lab, tmp_path / "backup")
    files = [f["path"] for f in client.get(f"{API}/trials/S01/2026-11-01/run1/files").json()["items"]]
    contents = {path: _answer(client, f"{API}/files/{path}") for path in files}
    client.__exit__(None, None, None)
    shutil.rmtree(any_lab.root)  # nothing may be read from where it was

    again = open_client(restore_lab(tmp_path / "backup", tmp_path / "restored").lab)
    assert {url: _answer(again, url) for url in before} == before
    assert {path: _answer(again, f"{API}/files/{path}") for path in files} == contents
    actions = [e["action"] for e in again.get(f"{API}/audit?limit=1000").json()["items"]]
    assert {"identity.write", "job.submit", "restore"} <= set(actions)


def test_backup_of_a_file_is_restored_into_a_server_and_back(
    lab: Lab, postgresql_url: str, tmp_path: Path, open_client: Callable[[Lab], TestClient]
) -> None:
    client = open_client(lab)
    client.put(URL, json=WHO)
    with client.app.state.database.write() as session:  # type: ignore[attr-defined]
        _, token = make_key(session, TERMINAL, KeyRequest(Role.ADMIN))
    bearer = {"Authorization": f"Bearer {token.show()}"}
    asked = (f"{API}/keys", f"{API}/sessions", f"{API}/tables/trial_metrics?limit=100000")
    before = [client.get(url, headers=bearer).content for url in asked]
    backup_lab(lab, tmp_path / "backup")
    served = restore_lab(tmp_path / "backup", tmp_path / "served", database=postgresql_url).lab
    assert served.database == postgresql_url
    assert not list(served.root.glob("*.db*"))
    on_server = open_client(served)
    assert [on_server.get(url, headers=bearer).content for url in asked] == before
    assert on_server.get(URL, headers=bearer).json()["name"] == WHO["name"]
    with pytest.raises(InputError, match="holds something already"):
        restore_lab(tmp_path / "backup", tmp_path / "third", database=postgresql_url)
    assert not (tmp_path / "third").exists()
    backup_lab(served, tmp_path / "backup2")
    back = open_client(restore_lab(tmp_path / "backup2", tmp_path / "back").lab)
    assert [back.get(url, headers=bearer).content for url in asked] == before


def test_restore_into_a_server_that_fails_leaves_its_database_empty(
    lab: Lab, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup_lab(lab, tmp_path / "backup")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labsys.storage.atomic.sync_tree", full)
    with pytest.raises(InputError, match="No space left"):
        restore_lab(tmp_path / "backup", tmp_path / "served", database=postgresql_url)
    monkeypatch.undo()
    assert restore_lab(tmp_path / "backup", tmp_path / "served", database=postgresql_url).index.runs == 6
    # A full one is refused before anything is copied.
    monkeypatch.setattr("api.restore.copy_back", lambda *_, **__: pytest.fail("copied"))
    with pytest.raises(InputError, match="holds something already"):
        restore_lab(tmp_path / "backup", tmp_path / "third", database=postgresql_url)


@pytest.mark.usefixtures("cheap_hashes")
def test_restore_ends_logins_and_links_and_says_who_is_let_in(
    lab: Lab, tmp_path: Path, open_client: Callable[[Lab], TestClient]
) -> None:
    client = open_client(lab)
    password = "four words that go together"
    csrf = client.post(f"{API}/access/setup", json={"name": "mk", "password": password}).json()["csrf_token"]
    client.headers["X-CSRF-Token"] = csrf
    until = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    link = client.post(f"{API}/links", json={"subject": "S01", "expires_at": until}).json()["token"]
    key = client.post(f"{API}/keys", json={"role": "admin"}).json()["token"]
    cookies = client.cookies
    backup_lab(lab, tmp_path / "backup")
    restored = restore_lab(tmp_path / "backup", tmp_path / "restored")
    assert (restored.access.users, restored.access.keys) == (1, 1)
    again = open_client(restored.lab)
    again.cookies = cookies
    assert again.get(f"{API}/subjects").status_code == 401
    again.cookies.clear()
    assert again.post(f"{API}/access/link", json={"token": link}).status_code in (401, 403, 404)
    assert again.get(f"{API}/subjects", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_who_was_erased_is_read_from_no_backup(
    lab: Lab, keys: Path, tmp_path: Path, open_client: Callable[[Lab], TestClient]
) -> None:
    client = open_client(lab)
    client.put(URL, json=WHO)
    client.put(OTHER, json={"name": "Trillian Astra"})
    client.delete(OTHER)  # before the backup
    secrets = [p.read_bytes() for p in (keys / lab.uuid).iterdir()]
    backup_lab(lab, tmp_path / "backup")
    held = b"".join(p.read_bytes() for p in (tmp_path / "backup").rglob("*") if p.is_file())
    assert len(secrets) == 2  # the lab's, and that of S01
    assert not any(secret in held for secret in (*secrets, *(v.encode() for v in WHO.values()), b"Trillian"))
    client.delete(URL)  # after it
    restored = open_client(restore_lab(tmp_path / "backup", tmp_path / "restored").lab)
    assert restored.get(URL).status_code == 409
    assert restored.get(URL).json()["type"] == "urn:labsys:problem:locked"
    assert restored.get(OTHER).json()["known"] is False
    assert restored.get(f"{API}/subjects/S01").status_code == 200


def test_backup_that_was_cut_short_is_not_there(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "backups" / "today"
    # Killed in the middle of the files, and just before the name appears.
    for moment in ("labsys.storage.folder_copy.copy_hashed", "api.backup.save_document"):
        assert _killed_at(moment, lab, out) == 9
        assert not out.exists()
        left = [p for p in out.parent.iterdir() if p.is_dir()]
        assert left
        for folder in left:
            assert folder.name.startswith(".")
            with pytest.raises(InputError, match="no whole backup"):
                restore_lab(folder, tmp_path / "restored")
    assert backup_lab(lab, out).lab == lab.uuid
    assert (out / MANIFEST).is_file()


def test_an_error_in_the_middle_leaves_nothing(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (lab.root / "models" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="link"):
        backup_lab(lab, tmp_path / "out" / "backup")
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_overwritten_and_every_hash_is_compared(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "backup"
    made = backup_lab(lab, out)
    with pytest.raises(InputError, match="not overwritten"):
        backup_lab(lab, out)
    with pytest.raises(InputError, match="inside the lab"):
        backup_lab(lab, lab.root / "bin" / "backup")
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not empty"):
        restore_lab(out, full)
    assert [p.name for p in full.iterdir()] == ["thesis.txt"]

    path = next(p for p in made.files if p.endswith("metrics.parquet"))
    kept = (out / FOLDER / path).read_bytes()
    for damaged in (kept[:-1] + bytes([kept[-1] ^ 1]), kept[:-5]):
        (out / FOLDER / path).write_bytes(damaged)
        with pytest.raises(InputError, match="differs"):
            restore_lab(out, tmp_path / "restored")
    (out / FOLDER / path).unlink()
    with pytest.raises(InputError, match="cannot be copied"):
        restore_lab(out, tmp_path / "restored")
    (out / FOLDER / path).write_bytes(kept)
    rows = (out / DATABASE).read_bytes()
    (out / DATABASE).write_bytes(rows + b"\0")
    with pytest.raises(InputError, match="differs"):
        restore_lab(out, tmp_path / "restored")
    (out / DATABASE).write_bytes(rows)
    manifest = json.loads((out / MANIFEST).read_text())
    strange = manifest | {"files": {"../outside.txt": manifest["files"][path]}}
    (out / MANIFEST).write_text(json.dumps(strange))
    with pytest.raises(InputError, match="outside the lab"):
        restore_lab(out, tmp_path / "restored")
    (out / MANIFEST).write_text(json.dumps(manifest))
    assert not (tmp_path / "restored").exists()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert restore_lab(out, tmp_path / "restored").index.runs == 6


def test_what_changes_meanwhile_is_in_the_backup(lab: Lab, tmp_path: Path) -> None:
    trial, other = (lab.root / f"subjects/S01/2026-12-13/{name}" for name in ("run1", "run2"))
    (trial / "derived").mkdir()
    (trial / "derived" / "browser.mp4").write_bytes(b"made again on request")
    (lab.root / "bin" / ".lock").touch()

    class Meddling:
        """Works in the lab between the passes."""

        passes = 0

        def stage(self, name: str, total: int) -> None:
            self.passes += 1
            if self.passes == 2:
                (trial / "trial.json").write_text((trial / "trial.json").read_text() + "\n")
                other.rename(lab.root / "bin" / "20261213T100000Z_S01_2026-12-13_run2")
            if self.passes == 4:  # the first that finds what the one before left
                (lab.root / "bin" / "note.txt").write_text("late")

        def advance(self, steps: int = 1) -> None:
            """Nobody looks."""

    made = backup_lab(lab, tmp_path / "backup", progress=Meddling())
    folder = tmp_path / "backup" / FOLDER
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == set(made.files)
    assert {path: f.sha256 for path, f in made.files.items()} == {p: hash_file(lab.root / p) for p in made.files}
    assert not any("derived" in p or "labsys.db" in p or "/." in p for p in found)
    assert any(p.startswith("bin/2026") for p in found)
    assert not any("2026-12-13/run2" in p for p in found)
    everything = {p.relative_to(lab.root).as_posix() for p in lab.root.rglob("*") if p.is_file()}
    assert everything - found == {
        *("bin/.lock", "subjects/S01/2026-12-13/run1/derived/browser.mp4"),
        # Comes in after the last look.
        "bin/note.txt",
        *(p.name for p in lab.root.glob("labsys.db*")),
    }


class _During:
    """Does something in the lab once a pass has listed its files; `only` names the pass, None stands for every one."""

    def __init__(self, work: Callable[[], object], only: int | None) -> None:
        self.passes, self._work, self._only = 0, work, only

    def stage(self, name: str, total: int) -> None:
        self.passes += 1
        if self._only in (None, self.passes):
            self._work()

    def advance(self, steps: int = 1) -> None:
        """Nobody looks."""


@pytest.mark.parametrize("change", ["delete", "run"])
def test_what_moves_during_the_last_pass_is_in_the_backup(
    change: str, lab: Lab, tmp_path: Path, save_another_run: Callable[..., str]
) -> None:
    name = TrialName("S01", "2026-12-13", "run1")

    def move() -> None:
        if change == "delete":
            delete_trial(lab, name, reason="Shoe came off")
        else:
            save_another_run(lab, name, started_at="2026-12-14T10:00:00.000Z", rule="foot-z-v2")

    during = _During(move, only=3)
    made = backup_lab(lab, tmp_path / "backup", progress=during)
    assert during.passes == 5
    there = {p.relative_to(lab.root).as_posix() for p in lab.root.rglob("*") if p.is_file()}
    assert {p for p in there if "/." not in p and not p.startswith(("labsys.db", "."))} == set(made.files)
    restored = open_lab(restore_lab(tmp_path / "backup", tmp_path / "restored").lab.root)
    if change == "delete":
        assert [e.name for e in list_bin(restored)] == [name]
    else:
        run = current_run(restored, name)
        assert run is not None
        assert run == current_run(lab, name)
        verify_run(restored, name, run)


def test_what_was_read_while_the_folder_was_copied_is_in_the_backup(lab: Lab, tmp_path: Path) -> None:
    database = open_database(lab)

    class Reading:
        """Somebody looks while the first pass goes on."""

        def stage(self, name: str, total: int) -> None:
            note_read(database, Actor("viewer"), "read", name)

        def advance(self, steps: int = 1) -> None:
            """Nobody looks."""

    backup_lab(lab, tmp_path / "backup", progress=Reading())
    database.close()
    restored = restore_lab(tmp_path / "backup", tmp_path / "restored").lab
    assert len(audited(restored, "read")) == 2, "those of the passes beside work"


def test_folder_that_never_rests_is_refused_and_a_recording_at_work_is_not(lab: Lab, tmp_path: Path) -> None:
    note, count = lab.root / "bin" / "note.txt", itertools.count()
    note.write_text("")
    with pytest.raises(InputError, match="changed during each of 10 passes"):
        backup_lab(lab, tmp_path / "backup", progress=_During(lambda: note.write_text("x" * next(count)), only=None))
    assert not (tmp_path / "backup").exists()
    recording = lab.root / "subjects/S01/2026-12-13/run1/.take.recording"
    recording.mkdir()

    def record() -> None:
        number = next(count)
        (recording / "cam.mkv").write_text("x" * number)
        (recording / f"part{number}").touch()

    assert backup_lab(lab, tmp_path / "backup", progress=_During(record, only=None)).lab == lab.uuid


def test_commands(labsys: Run, new_lab: Path, tmp_path: Path) -> None:
    assert labsys("subject", "add", "S01").code == 0
    told = labsys("db", "backup", "--out", tmp_path / "backup", "--json").json
    assert told["files"] > 10
    assert told["size_bytes"] > 10_000
    assert labsys("db", "backup", "--out", tmp_path / "backup").code == 2
    assert labsys("db", "restore", tmp_path / "backup", "--to", new_lab).code == 2
    assert labsys("db", "restore", tmp_path, "--to", tmp_path / "x").code == 2
    assert labsys("db", "restore", tmp_path / "backup", "--to", tmp_path / "x").code == 0
    assert labsys("subject", "list", "--lab", tmp_path / "x", "--json").json["subjects"][0]["code"] == "S01"
    assert open_lab(tmp_path / "x").uuid == open_lab(new_lab).uuid


def _answer(client: TestClient, url: str) -> tuple[int, bytes, str | None]:
    answer = client.get(url)
    assert answer.status_code < 500, f"{url}: {answer.text}"
    return answer.status_code, answer.content, answer.headers.get("etag")


def _killed_at(moment: str, lab: Lab, out: Path) -> int:
    """Exit code of a backup whose process dies at its third file, or wherever else `moment` is called."""
    module, _, name = moment.rpartition(".")
    code = f"""
import os, sys, itertools
from pathlib import Path
import {module} as place
from api.backup import backup_lab
from labsys.storage.lab import open_lab
real, calls = place.{name}, itertools.count()
def dying(*args, **kwargs):
    if next(calls) >= ({name!r} == "copy_hashed") * 3:
        os._exit(9)
    return real(*args, **kwargs)
place.{name} = dying
backup_lab(open_lab(Path({str(lab.root)!r})), Path({str(out)!r}))
"""
    return subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode
