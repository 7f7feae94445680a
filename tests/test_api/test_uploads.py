"""Uploads come whole or not at all, become a recording and its results; the client of labsys does it all."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.backup import backup_lab
from api.client import LabClient, ServiceError
from api.errors import RefusedError
from api.jobs.queue import Slots
from api.jobs.worker import Worker, WorkerSettings
from api.schemas.jobs import JobNew
from api.schemas.uploads import RecordingNew, UploadedFile
from api.settings import ServiceSettings
from api.uploads import Incoming, find_upload, receiving
from api.work import do_job
from labsys.core.errors import InputError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.storage.erasures import begin_erasure
from labsys.storage.lab import Lab, open_lab
from labsys.storage.takes import has_take, load_take, verify_take
from tests.test_api.conftest import BASE, HERE
from tests.test_api.import_scene import Scene

API = "/api/v1"
CONTENT = b"bytes of a camera " * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
URL = f"{API}/uploads/{SHA256}"


def _left(lab: Lab) -> list[Path]:
    folder = lab.root / ".uploads.partial"
    return sorted(folder.iterdir()) if folder.exists() else []


@pytest.mark.slow
def test_a_file_comes_whole_or_not_at_all(client: TestClient, lab: Lab, tmp_path: Path) -> None:
    assert client.get(URL).status_code == 404
    for wrong in (CONTENT[:-1], CONTENT + b"x", b""):
        answer = client.put(URL, content=wrong)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:labsys:problem:other-content")
        assert _left(lab) == []
    for _ in range(2):  # the second time nothing happens
        assert client.put(URL, content=CONTENT).json() == {"sha256": SHA256, "size_bytes": len(CONTENT)}
    assert [p.name for p in _left(lab)] == [SHA256]
    assert client.get(URL).json()["size_bytes"] == len(CONTENT)
    events = [e["object"] for e in client.get(f"{API}/audit?action=upload").json()["items"]]
    assert events == [f"{SHA256} {len(CONTENT)} bytes"]
    backup_lab(lab, tmp_path / "backup")
    assert not list((tmp_path / "backup").rglob(SHA256))
    old = time.time() - 2 * 86_400
    os.utime(_left(lab)[0], (old, old))
    other = b"another"
    assert client.put(f"{API}/uploads/{hashlib.sha256(other).hexdigest()}", content=other).status_code == 200
    assert len(_left(lab)) == 1  # what nobody used for a day is gone
    assert client.get(URL).status_code == 404


@pytest.mark.parametrize("name", ["../../etc/passwd", "%2e%2e/x", SHA256.upper(), SHA256[:-1], f"{SHA256}/../x"])
def test_no_name_of_a_client_becomes_a_path(name: str, client: TestClient, lab: Lab) -> None:
    assert client.put(f"{API}/uploads/{name}", content=CONTENT).status_code in (404, 405, 422)
    assert _left(lab) == []


def test_oversized_file_is_refused_however_it_comes(lab: Lab) -> None:
    settings = ServiceSettings(max_upload_bytes=len(CONTENT) - 1, max_body_bytes=1024)
    with TestClient(create_app(lab, settings), base_url=BASE, client=HERE) as client:

        def unannounced() -> Iterator[bytes]:
            yield CONTENT[:5000]
            yield CONTENT[5000:]

        assert client.put(URL, content=CONTENT).status_code == 413
        assert client.put(URL, content=unannounced()).status_code == 413
        assert _left(lab) == []
        small = CONTENT[:2000]  # more than a body may hold, and less than a file
        assert client.put(f"{API}/uploads/{hashlib.sha256(small).hexdigest()}", content=small).status_code == 200
        assert client.post(f"{API}/recordings", content=CONTENT).status_code == 413


def test_full_disk_is_said_before_anything_is_written(
    client: TestClient, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.uploads._RESERVE_BYTES", 1 << 60)
    answer = client.put(URL, content=CONTENT)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:labsys:problem:no-room")
    assert _left(lab) == []


def test_disk_that_fills_meanwhile_is_said(client: TestClient, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    written, usage = [0], shutil.disk_usage(lab.root)
    with monkeypatch.context() as patched:
        patched.setattr("api.uploads._LOOK_EVERY_BYTES", 3000)
        free = (1 << 30) + 7000
        patched.setattr("api.uploads.shutil.disk_usage", lambda _: usage._replace(free=free - written[0]))
        with pytest.raises(RefusedError, match="no room") as refused:
            _receive(lab, written)
    assert (refused.value.status, written[0], _left(lab)) == (413, 9000, [])
    with monkeypatch.context() as patched:
        patched.setattr(Incoming, "finish", _find_disk_full)
        answer = client.put(URL, content=CONTENT)
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:labsys:problem:no-room")
        assert _left(lab) == []
    assert client.put(URL, content=CONTENT).status_code == 200


def _receive(lab: Lab, written: list[int]) -> None:
    with receiving(lab, SHA256, 0) as incoming:
        for begin in range(0, len(CONTENT), 1000):
            incoming.write(CONTENT[begin : begin + 1000])
            written[0] = incoming.size_bytes


def _find_disk_full(*_: object) -> str:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_takes_long_in_an_upload_holds_nobody_up(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, in_threads = Incoming.finish, []

    def note(name: str) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        in_threads.append(name)

    def finish_noted(self: Incoming) -> str:
        note("finish")
        return finish(self)

    monkeypatch.setattr(Incoming, "finish", finish_noted)
    monkeypatch.setattr("api.uploads.sync_folder", lambda _: note("sync_folder"))
    monkeypatch.setattr("api.routes.uploads.remove_unused_uploads", lambda *_: note("remove_old"))
    assert client.put(URL, content=CONTENT).status_code == 200
    assert in_threads == ["remove_old", "finish", "sync_folder"]


def test_recording_that_cannot_be_made_is_refused_at_once(client: TestClient, lab: Lab) -> None:
    body = {"subject": "S03", "session": "2026-11-22", "trial": "run1", "kind": "run"}

    def post(**more: object) -> tuple[int, str]:
        answer = client.post(f"{API}/recordings", json=body | more)
        return answer.status_code, answer.json()["type"].removeprefix("urn:labsys:problem:")

    assert post(markers={"sha256": SHA256, "name": "run.trc"}) == (422, "not-uploaded")
    for name in ("../../run.trc", "/etc/passwd", "a/b.trc", "run", "run.trc/..", "x\\y.trc"):
        assert post(markers={"sha256": SHA256, "name": name})[0] == 422
    assert post(videos={"../cam": {"sha256": SHA256, "name": "cam.mp4"}})[0] == 422
    assert post(world_axes="forward=+q")[0] == 422
    assert post(subject="S01", session="2026-11-01") == (409, "exists")
    begin_erasure(lab, "S02", keep_days=7)
    assert post(subject="S02", session="2026-12-24") == (422, "invalid-input")
    assert client.post(f"{API}/jobs", json={"kind": "import", "target": "S01/2026-11-01/run1"}).status_code == 422
    assert client.get(f"{API}/jobs").json()["items"] == []
    assert JobNew.model_validate({"kind": "process", "target": "S01/2026-11-01/run1"})


@pytest.mark.parametrize("name", ["evil.zip", "run.trc"])
def test_archive_or_rubbish_leaves_nothing_in_the_lab(name: str, client: TestClient, lab: Lab) -> None:
    client.put(URL, content=CONTENT)
    recording = RecordingNew(
        subject="S03",
        session="2026-11-22",
        trial="run1",
        kind=TrialKind.RUN,
        markers=UploadedFile(sha256=SHA256, name=name),
    )
    said = {"kind": "import", "target": "S03/2026-11-22/run1", "parameters": recording.model_dump(mode="json")}
    with pytest.raises(InputError):
        do_job({**said, "lab": str(lab.root), "database": lab.database, "attempt": 1}, SilentProgress())
    assert not (lab.root / "subjects" / "S03").exists()
    assert [p.name for p in _left(lab)] == [SHA256]


def _standing(http: TestClient, scene: Scene) -> RecordingNew:
    """Files that came in, of a trial that no results are asked of."""
    client = LabClient(http)
    return RecordingNew(
        subject="S01",
        session="2026-11-22",
        trial="static1",
        kind=TrialKind.STATIC,
        rate_hz=100.0,
        landmarks2d={f"cam_{i}": client.upload(scene.folder / f"cam{i}.h5") for i in range(4)},
        calibration=client.upload(scene.calibration),
        process=False,
    )


@pytest.mark.slow
def test_take_of_another_job_is_not_taken_for_ones_own(
    new_lab: Path, scene: Scene, open_client: Callable[[Lab], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = open_lab(new_lab)
    http = open_client(lab)
    recording = _standing(http, scene)
    body = recording.model_dump(mode="json")
    first = http.post(f"{API}/recordings", json=body)
    assert first.status_code == 202
    second = http.post(f"{API}/recordings", json=body)
    assert (second.status_code, second.json()["type"]) == (409, "urn:labsys:problem:exists")
    assert first.json()["id"] in second.text
    said = {"kind": "import", "target": "S01/2026-11-22/static1", "parameters": body, "lab": str(lab.root)}
    said |= {"database": lab.database}
    with monkeypatch.context() as patched:  # the process dies once the take is there, before it is in the index
        patched.setattr("api.jobs.importing.index_subject", _die)
        with pytest.raises(KeyboardInterrupt):
            do_job({**said, "id": "a", "attempt": 1}, SilentProgress())
    assert has_take(lab, TrialName("S01", "2026-11-22", "static1"))
    url = f"{API}/trials/S01/2026-11-22/static1"
    assert http.get(url).status_code == 404
    do_job({**said, "id": "a", "attempt": 2}, SilentProgress())
    assert http.get(url).status_code == 200
    with pytest.raises(InputError, match="has a recording already"):
        do_job({**said, "id": "b", "attempt": 2}, SilentProgress())


def test_worker_removes_what_nobody_used_and_no_import_needs(client: TestClient, lab: Lab) -> None:
    other = b"another"
    for content in (CONTENT, other):
        client.put(f"{API}/uploads/{hashlib.sha256(content).hexdigest()}", content=content)
    body = {"subject": "S03", "session": "2026-11-22", "trial": "run1", "kind": "run"}
    job = client.post(f"{API}/recordings", json=body | {"markers": {"sha256": SHA256, "name": "run.trc"}}).json()["id"]
    old = time.time() - 2 * 86_400
    for path in _left(lab):
        os.utime(path, (old, old))
    # No slot for the import: it goes on waiting.
    work = Worker(lab, client.app.state.database, WorkerSettings(Slots(0)))  # type: ignore[attr-defined]
    work.run(until_idle=True)
    assert [path.name for path in _left(lab)] == [SHA256]
    third = b"third"
    client.put(f"{API}/uploads/{hashlib.sha256(third).hexdigest()}", content=third)
    assert lab.root / ".uploads.partial" / SHA256 in _left(lab)
    client.delete(f"{API}/jobs/{job}")
    assert client.get(f"{API}/jobs/{job}").json()["state"] == "cancelled"
    work = Worker(lab, client.app.state.database, WorkerSettings(Slots(0)))  # type: ignore[attr-defined]
    work.run(until_idle=True)
    assert [path.name for path in _left(lab)] == [hashlib.sha256(third).hexdigest()]


def _die(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_client_uploads_watches_and_reads_the_result(
    new_lab: Path, scene: Scene, open_client: Callable[[Lab], TestClient]
) -> None:
    lab = open_lab(new_lab)
    http = open_client(lab)
    client = LabClient(http)
    tracks = {f"cam_{i}": client.upload(scene.folder / f"cam{i}.h5") for i in range(4)}
    assert client.upload(scene.folder / "cam0.h5") == tracks["cam_0"]
    recording = RecordingNew(
        subject="S01",
        session="2026-11-22",
        trial="static1",
        kind=TrialKind.STATIC,
        rate_hz=100.0,
        landmarks2d=tracks,
        calibration=client.upload(scene.calibration),
    )
    job = client.send_recording(recording)
    assert (job.kind, job.target, job.state) == ("import", "S01/2026-11-22/static1", "queued")
    Worker(lab, http.app.state.database).run(until_idle=True)  # type: ignore[attr-defined]
    seen = list(client.watch(job.id))
    assert seen[-1].state == "done", seen[-1].error
    assert (seen[-1].progress, seen[-1].attempts) == (1.0, 1)
    assert seen[-1].outcome is not None
    name = TrialName("S01", "2026-11-22", "static1")
    assert has_take(lab, name)
    verify_take(lab, name)
    assert set(load_take(lab, name).landmarks2d) == set(tracks)
    (trial,) = client.trials(subject="S01")
    assert (trial.kind, trial.current_run) == ("static", seen[-1].outcome["run"])
    assert [s.code for s in client.subjects()] == ["S01"]
    assert all(find_upload(lab, file.sha256) for file in tracks.values())
    # A second attempt, after a crash between import and result, makes the same results and no second take.
    parameters = recording.model_dump(mode="json")
    again = {"kind": "import", "target": str(name), "parameters": parameters, "id": job.id, "attempt": 2}
    made = do_job({**again, "lab": str(lab.root), "database": lab.database}, SilentProgress())
    assert (made["run"], made["new"]) == (trial.current_run, False)
    with pytest.raises(ServiceError, match="has a take already") as refused:
        client.send_recording(recording)
    assert (refused.value.status, refused.value.kind) == (409, "urn:labsys:problem:exists")
