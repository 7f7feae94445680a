"""Who a subject is: encrypted, apart, written down when read, and gone for good once its key is destroyed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.backup import backup_lab
from api.key_store import KeyStore, LockedError
from api.restore import restore_lab
from labsys.core.errors import InputError
from labsys.storage.lab import Lab

API = "/api/v1"
WHO = {"name": "Zaphod Q. Beeblebrox", "record_number": "MRN-4711-42", "contact": "zaphod@heart-of-gold.example"}
URL = f"{API}/subjects/S01/identity"


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key store of its own."""
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))
    return tmp_path / "keys"


def _bytes_below(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_written_read_and_written_down(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert client.get(URL).json()["known"] is False
    assert client.put(URL, json=WHO).status_code == 200
    answer = client.get(URL)
    assert answer.json() == {"subject": "S01", "known": True, **WHO}
    assert answer.headers["cache-control"] == "no-store"
    events = client.get(f"{API}/audit").json()["items"]
    assert [e["action"] for e in events] == ["identity.read", "identity.write", "identity.read"]
    said = caplog.text + str(events) + client.get(f"{API}/subjects/S01").text + client.get("/subjects/S01").text
    assert not any(value in said for value in WHO.values())
    refused = client.put(URL, json={"name": WHO["name"] + "\x00"})
    assert refused.status_code == 422
    assert WHO["name"] not in refused.text


def test_lies_nowhere_in_plain_text(client: TestClient, lab: Lab, keys: Path) -> None:
    client.put(URL, json=WHO)
    for value in WHO.values():
        assert value.encode() not in _bytes_below(lab.root) + _bytes_below(keys)
    assert {p.stat().st_mode & 0o077 for p in (keys / lab.uuid).iterdir()} == {0}
    assert (keys / lab.uuid).stat().st_mode & 0o077 == 0


def test_row_of_another_subject_cannot_be_passed_off(client: TestClient) -> None:
    client.put(URL, json=WHO)
    client.put(f"{API}/subjects/S02/identity", json={"name": "Somebody Else"})
    with client.app.state.database.write() as session:  # type: ignore[attr-defined]
        session.connection().exec_driver_sql(
            "UPDATE subject_identity SET sealed = (SELECT sealed FROM subject_identity i JOIN subject s "
            "ON s.id = i.subject_id WHERE s.code = 'S01')"
        )
    assert client.get(f"{API}/subjects/S02/identity").status_code == 409
    assert client.get(URL).json()["name"] == WHO["name"]


@pytest.mark.slow
def test_erased_identity_is_read_from_no_backup(
    client: TestClient, lab: Lab, keys: Path, tmp_path: Path, open_client: Callable[[Lab], TestClient]
) -> None:
    client.put(URL, json=WHO)
    client.put(f"{API}/subjects/S02/identity", json={"name": "Somebody Else"})
    backup_lab(lab, tmp_path / "backup")
    copy = restore_lab(tmp_path / "backup", tmp_path / "restored").lab
    assert open_client(copy).get(URL).json()["name"] == WHO["name"]  # with the key store it can be read
    assert client.delete(URL).json()["known"] is False
    assert client.get(URL).json()["known"] is False
    restored = open_client(copy)
    assert restored.get(URL).status_code == 409
    assert restored.get(URL).json()["type"] == "urn:labsys:problem:locked"
    assert restored.get(f"{API}/subjects/S02/identity").json()["name"] == "Somebody Else"
    assert len(list((keys / lab.uuid).iterdir())) == 2  # the lab's key, and that of S02
    shutil.rmtree(keys)
    assert restored.get(f"{API}/subjects/S02/identity").status_code == 409
    assert restored.get(f"{API}/subjects/S02").status_code == 200


def test_identity_whose_key_is_not_here_is_not_overwritten(
    client: TestClient, lab: Lab, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put(URL, json=WHO)
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "empty"))
    client.put(f"{API}/subjects/S02/identity", json={"name": "Somebody Else"})
    refused = client.put(URL, json={"name": "Another"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:labsys:problem:locked")
    assert "erasing" in refused.json()["remedy"]
    monkeypatch.setenv("LABSYS_KEYS", str(keys))
    assert client.get(URL).json() == {"subject": "S01", "known": True, **WHO}
    assert client.put(f"{API}/subjects/S02/identity", json={"name": "Another"}).status_code == 409
    (keys / lab.uuid / "lab.key").rename(tmp_path / "lab.key")  # lost, with the keys of subjects still there
    kept = {p.name: p.read_bytes() for p in (keys / lab.uuid).iterdir()}
    assert client.put(URL, json={"name": "Another"}).status_code == 409
    with pytest.raises(LockedError, match=r"lab\.key"):
        KeyStore.of(lab).make_key("0190f0f0-0000-7000-8000-000000000000")
    assert {p.name: p.read_bytes() for p in (keys / lab.uuid).iterdir()} == kept
    (tmp_path / "lab.key").rename(keys / lab.uuid / "lab.key")
    assert client.get(URL).json()["name"] == WHO["name"]
    assert client.delete(f"{API}/subjects/S02/identity").status_code == 200
    assert client.put(f"{API}/subjects/S02/identity", json={"name": "Another"}).status_code == 200


def test_destroyed_key_is_overwritten_on_the_disk_before_its_name_goes(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, synced = KeyStore.of(lab), []
    store.make_key("a")
    path = store.folder / "a.key"
    before, inode = path.read_bytes(), path.stat().st_ino
    real = os.fsync

    def note(descriptor: int) -> None:
        status = os.fstat(descriptor)
        if path.exists() and status.st_ino == inode:
            synced.append(path.read_bytes())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    store.destroy_key("a")
    assert [(len(content), content != before) for content in synced] == [(len(before), True)]
    assert not path.exists()


def test_key_store_inside_the_lab_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABSYS_KEYS", str(lab.root / "keys"))
    with pytest.raises(InputError, match="backups"):
        KeyStore.of(lab)
