"""Who asks to be forgotten: the name at once, recordings hidden at once and removed in time; and what stays is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.begun_edits import finish_begun
from api.erasure import KEPT
from api.indexing.index import index_subject
from api.jobs.worker import Worker
from api.key_store import KeyStore
from api.work import film
from labsys.core.errors import InputError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialName
from labsys.storage.atomic import hash_file
from labsys.storage.documents import save_document
from labsys.storage.erased_recordings import remove_erased
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import CameraFile, load_take
from labsys.storage.trial_bin import delete_trial, list_bin
from tests.test_api.audited import audited
from tests.test_api.cli_answer import Run

API = "/api/v1"
NAME = TrialName("S01", "2026-11-01", "run1")
IDENTITY = f"{API}/subjects/S01/identity"
VIDEO = f"subjects/{NAME}/take/raw/cam0.mkv"
PAIR = "subject=S01&pre=2026-11-01/run1&post=2026-12-13/run1"


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key store of its own."""
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))


@pytest.fixture
def filmed(lab: Lab) -> Path:
    """A take of S01 that has a video, indexed."""
    video = lab.root / VIDEO
    video.parent.mkdir()
    video.write_bytes(b"a face")
    take = replace(
        load_take(lab, NAME), cameras={"cam0": CameraFile("raw/cam0.mkv", hash_file(video), (2, 2), 1, 100.0)}
    )
    save_document(take_folder(lab, NAME) / "take.json", take)
    assert index_subject(lab, "S01").problems == ()
    return video


@pytest.mark.slow
def test_recordings_of_an_erased_subject_are_hidden_and_say_until_when(client: TestClient, filmed: Path) -> None:
    client.put(IDENTITY, json={"name": "Ada Example"})
    assert client.get(f"{API}/files/{VIDEO}").content == b"a face"
    assert client.get(f"{API}/trials/{NAME}/playback").json()["film"]["state"] == "none"
    said = client.delete(IDENTITY).json()
    assert said["known"] is False
    removed_after = datetime.fromisoformat(said["recordings_removed_after"])
    assert timedelta(days=29) < removed_after - datetime.now(UTC) <= timedelta(days=30)
    assert any("audit" in what for what in said["kept"])
    day = said["recordings_removed_after"][:10]
    refused = client.get(f"{API}/files/{VIDEO}")
    assert (refused.status_code, refused.json()["type"]) == (404, "urn:labsys:problem:erased")
    assert day in refused.json()["detail"]
    for address in (f"{API}/trials/{NAME}/playback", f"{API}/compare/film?{PAIR}"):
        told = client.get(address).json()
        told = told.get("film", told)
        assert (told["state"], day in told["reason"]) == ("impossible", True)
    assert VIDEO not in client.get(f"{API}/trials/{NAME}/files").text + client.get(f"/trials/{NAME}").text
    for address in (f"{API}/trials/{NAME}/playback/film", f"{API}/compare/film/video?{PAIR}"):
        assert client.get(address).json()["type"] == "urn:labsys:problem:erased"
    assert client.post(f"{API}/trials/{NAME}/playback/film").status_code == 409
    assert f"removed after {day}" in client.get("/subjects/S01").text
    assert client.get(f"{API}/trials/{NAME}/metrics").json()["metrics"], "numbers stay under the code"
    actions = [e["action"] for e in client.get(f"{API}/audit").json()["items"]]
    assert actions == ["identity.write", "export", "subject.erase", "identity.erase"]


@pytest.mark.slow
def test_film_that_was_asked_for_before_the_erasure_is_not_made(client: TestClient, lab: Lab, filmed: Path) -> None:
    client.delete(IDENTITY)
    with pytest.raises(InputError, match="asked to be erased"):
        film(lab, NAME, {}, SilentProgress())


@pytest.mark.slow
def test_links_to_an_erased_subject_open_nothing(client: TestClient) -> None:
    asked = {"subject": "S01", "expires_at": (datetime.now(UTC) + timedelta(days=7)).isoformat()}
    made = client.post(f"{API}/links", json=asked).json()
    by_link = {"Authorization": f"Bearer {made['token']}"}
    assert client.get(f"{API}/subjects/S01", headers=by_link).status_code == 200
    client.delete(IDENTITY)
    assert client.get(f"{API}/subjects/S01", headers=by_link).status_code == 401


def test_lost_key_alone_hides_no_recording(client: TestClient, filmed: Path) -> None:
    said = client.delete(f"{IDENTITY}?recordings=kept").json()
    assert (said["known"], said["recordings_removed_after"]) == (False, None)
    assert client.get(f"{API}/files/{VIDEO}").content == b"a face"


def test_erasure_that_is_cut_short_after_the_key_went_is_in_the_audit(
    client: TestClient, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(session: Any, actor: Any, keys: KeyStore, subject: Any) -> None:
        keys.destroy_key(subject.id)
        raise InputError("the disk is gone")

    database = client.app.state.database  # type: ignore[attr-defined]
    client.put(IDENTITY, json={"name": "Ada Example"})
    with monkeypatch.context() as broken:
        broken.setattr("api.erasure.erase_identity", fail)
        assert client.delete(IDENTITY).status_code == 422
    (what,) = finish_begun(lab, database)
    assert what.startswith("subject.erase S01: recordings are removed after")
    assert client.delete(IDENTITY).status_code == 200
    assert finish_begun(lab, database) == []
    assert len(audited(lab, "subject.erase")) == 2, "each try once"


def test_who_erases_is_told_where_the_key_may_lie_in_another_store(
    client: TestClient, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.delete(f"{API}/subjects/S02/identity").json()["kept"] == list(KEPT), "nothing was known"
    client.put(IDENTITY, json={"name": "Ada Example"})
    held = KeyStore.of(lab)
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "another user's"))
    first, *others = client.delete(IDENTITY).json()["kept"]
    assert ("was not in this key store" in first, others) == (True, list(KEPT))
    subject_id = client.get(f"{API}/subjects/S01").json()["uuid"]
    assert held.has_key(subject_id)
    monkeypatch.setenv("LABSYS_KEYS", str(tmp_path / "keys"))  # as it says
    client.delete(IDENTITY)
    assert not held.has_key(subject_id)


@pytest.mark.slow
def test_video_is_gone_after_the_day_and_the_lab_misses_nothing(client: TestClient, lab: Lab, filmed: Path) -> None:
    client.delete(f"{IDENTITY}?keep_days=0")
    before = {p for p in (lab.root / "subjects").rglob("*") if p.is_file()}
    assert remove_erased(lab, note=lambda _: None) == ["S01"]
    assert before - {p for p in (lab.root / "subjects").rglob("*") if p.is_file()} == {filmed}
    assert index_subject(lab, "S01").problems == ()
    assert client.get(f"{API}/files/{VIDEO}").status_code == 404
    assert "were removed on" in client.get("/subjects/S01").text
    assert client.get(f"{API}/trials/{NAME}/metrics").status_code == 200


@pytest.mark.slow
def test_worker_of_the_service_removes_what_is_due_by_itself(client: TestClient, lab: Lab, filmed: Path) -> None:
    database = client.app.state.database  # type: ignore[attr-defined]
    client.delete(f"{IDENTITY}?keep_days=1")
    Worker(lab, database).run(until_idle=True)
    assert filmed.exists()
    client.delete(f"{IDENTITY}?keep_days=0")
    Worker(lab, database).run(until_idle=True)
    assert not filmed.exists()
    assert client.get(f"{API}/files/{VIDEO}").status_code == 404
    events = client.get(f"{API}/audit?action=subject.erase.recordings").json()["items"]
    assert [(e["actor"], e["object"]) for e in events] == [("worker", "S01")]


@pytest.mark.slow
def test_worker_of_the_service_destroys_what_was_deleted_long_ago(client: TestClient, lab: Lab, filmed: Path) -> None:
    database = client.app.state.database  # type: ignore[attr-defined]
    old = delete_trial(lab, NAME, reason="wrong runner")
    young = delete_trial(lab, replace(NAME, session="2026-12-13"), reason="wrong runner")
    (entry,) = (lab.root / "bin").glob("*_S01_2026-11-01_run1/entry.json")
    long_ago = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    save_document(entry, replace(old, deleted_at=long_ago))
    Worker(lab, database).run(until_idle=True)
    assert list_bin(lab) == [young]
    assert list((lab.root / "bin").rglob("*.mkv")) == []
    (event,) = client.get(f"{API}/audit?action=trial.destroy").json()["items"]
    assert (event["actor"], event["object"]) == ("worker", f"{NAME}, deleted {long_ago}")


@pytest.mark.slow
def test_erased_in_the_terminal_and_removed_by_the_daily_purge(labsys: Run, new_lab: Path) -> None:
    assert labsys("subject", "add", "S01").code == 0
    refused = labsys("subject", "erase", "S01")
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert labsys("subject", "erase", "S9", "--yes").code == 2
    assert labsys("subject", "erase", "S01", "--cancel").code == 2
    said = labsys("subject", "erase", "S01", "--yes", "--json").json
    assert (said["removed_at"], len(said["kept"])) == ("", 4)
    assert said["remove_after"][:10] in labsys("subject", "show", "S01", "--json").json["erased"]
    assert labsys("trial", "purge", "--json").json == {"destroyed": [], "erased": []}
    assert labsys("subject", "erase", "S01", "--cancel").code == 0
    assert not (new_lab / "subjects/S01/erasure.json").exists()
    assert labsys("subject", "erase", "S01", "--yes", "--days", "0").code == 0
    assert labsys("trial", "purge", "--json").json == {"destroyed": [], "erased": ["S01"]}
    assert labsys("trial", "purge", "--json").json == {"destroyed": [], "erased": []}
    assert labsys("subject", "erase", "S01", "--cancel").code == 2


def test_purge_removes_recordings_though_a_deleted_trial_cannot_be_destroyed(labsys: Run, new_lab: Path) -> None:
    broken = new_lab / "bin/2026-01-01T000000000Z_S02_2026-01-01_run1/entry.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert labsys("subject", "add", "S01").code == 0
    assert labsys("subject", "erase", "S01", "--yes", "--days", "0").code == 0
    refused = labsys("trial", "purge")
    assert (refused.code, "entry.json" in refused.err) == (2, True)
    assert "were removed on" in labsys("subject", "show", "S01", "--json").json["erased"]


def test_worker_outlives_what_nobody_foresaw_in_cleaning(
    client: TestClient, lab: Lab, filmed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fall(*_: object) -> None:
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr("api.jobs.cleaning.destroy_due_trials", fall)
    client.delete(f"{IDENTITY}?keep_days=0")
    Worker(lab, client.app.state.database).run(until_idle=True)  # type: ignore[attr-defined]
    assert not filmed.exists(), "what comes after it was done"
    assert "nobody foresaw this" in caplog.text
