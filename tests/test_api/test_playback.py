"""A trial moment by moment over HTTP: what there is, its arrays, and its film."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.database.tables import FileRow
from api.jobs.queue import JobState
from api.queries import find_trial
from api.settings import ServiceSettings
from labsys.core.errors import MissingPartError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialName
from labsys.core.skeleton import LABSYS_RUN_37, Side, find_bones, side_of
from labsys.storage.film_layout import Panel
from labsys.storage.films import BlurredFaces, Faces, Film, FilmedCamera, StagedFilm, film_video, trial_film_key
from labsys.storage.lab import Lab
from labsys.storage.results import LANDMARKS3D_FILE, read_landmarks3d
from labsys.storage.runs import current_run, run_file
from labsys.storage.takes import CameraFile, Take, load_take
from pipelines.playback.film import make_film
from tests.test_api.conftest import BASE, HERE
from tests.test_api.page_text import read_page

API = "/api/v1"
NAME = TrialName("S01", "2026-11-01", "run1")
PLAYBACK = f"{API}/trials/{NAME}/playback"


def _floats(client: TestClient, array: dict[str, object]) -> np.ndarray:
    answer = client.get(str(array["href"]))
    assert answer.headers["content-type"] == "application/octet-stream"
    again = client.get(str(array["href"]), headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    return np.frombuffer(answer.content, dtype="<f4").reshape(array["shape"])  # type: ignore[call-overload, no-any-return]


def test_arrays_are_those_of_the_run(client: TestClient, lab: Lab) -> None:
    document = client.get(PLAYBACK).json()
    landmarks = read_landmarks3d(run_file(lab, NAME, str(current_run(lab, NAME)), LANDMARKS3D_FILE))
    assert document["landmarks"] == list(landmarks.landmarks)
    assert document["rate_hz"] == pytest.approx(100.0)
    np.testing.assert_array_equal(_floats(client, document["skeleton"]), landmarks.xyz_m.astype("<f4"))
    angles = _floats(client, document["angle_values"])
    assert [(a["id"], a["side"], a["unit"]) for a in document["angles"]] == [
        ("hip_flexion", "left", "deg"),
        ("hip_flexion", "right", "deg"),
    ]
    expected = 10.0 + 20.0 * np.sin(2 * np.pi * np.arange(200) / 100.0 / 0.72)
    np.testing.assert_allclose(angles, [expected, expected], atol=1e-4)
    assert len(document["strides"]) == 56
    assert document["film"]["state"] == "impossible"
    assert "no videos" in document["film"]["reason"]
    assert client.get(f"{PLAYBACK}/film").status_code == 404
    assert client.post(f"{PLAYBACK}/film").status_code == 409


@pytest.fixture
def filmed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Take:
    """The fabricated trial, as if its take had a video."""
    take = Take(100.0, cameras={"cam0": CameraFile("raw/cam0.mkv", "ab" * 32, (320, 240), 10, 100.0)})
    for module in ("api.playback", "api.routes.playback"):
        monkeypatch.setattr(f"{module}.load_take", lambda *_: take)
    assert load_take(lab, NAME).cameras == {}
    return take


@pytest.mark.slow
def test_film_is_asked_for_once_and_streamed_when_it_is_there(client: TestClient, lab: Lab, filmed: Take) -> None:
    assert client.get(PLAYBACK).json()["film"]["state"] == "none"
    job = client.post(f"{PLAYBACK}/film")
    assert (job.status_code, job.json()["kind"], job.json()["target"]) == (202, "film", str(NAME))
    assert client.post(f"{PLAYBACK}/film").json()["id"] == job.json()["id"]
    film = client.get(PLAYBACK).json()["film"]
    assert (film["state"], film["job"]) == ("making", job.json()["id"])
    assert client.delete(f"{API}/jobs/{job.json()['id']}").json()["state"] == JobState.CANCELLED
    assert client.get(PLAYBACK).json()["film"]["state"] == "none"

    key = trial_film_key(filmed, str(current_run(lab, NAME)))
    staged = StagedFilm(lab, NAME, key)
    staged.video.write_bytes(bytes(range(100)))
    xy_px = np.arange(40.0).reshape(10, 2, 2)
    camera = FilmedCamera("cam0", Panel(0, 0, 320, 240), ("RGT", "RLFE"))
    staged.finish(Film(key, 100.0, 10, (320, 248), 240, (camera,)), xy_px)
    film = client.get(PLAYBACK).json()["film"]
    assert film["state"] == "ready"
    assert film["number"] == {"top": 240, "bits": 20, "block_px": 8}
    assert film["panels"][0]["bones"] == [[0, 1]]
    assert film["panels"][0]["sides"] == ["right", "right"]
    np.testing.assert_array_equal(_floats(client, film["landmarks"]), xy_px)
    part = client.get(film["href"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert part.headers["content-type"] == "video/mp4"
    assert part.headers["etag"] == f'"{key}"'
    # Asked for anew each time: of an erased subject no browser shows a film from what it kept.
    assert part.headers["cache-control"] == "private, no-cache"
    assert client.get(film["href"], headers={"If-None-Match": f'"{key}"'}).status_code == 304
    assert client.get(film["href"], headers={"Range": "bytes=100-"}).status_code == 416
    assert client.post(f"{PLAYBACK}/film").status_code == 409
    # Somebody makes room: a film that lacks a file is none, and can be made again.
    film_video(lab, NAME, key).unlink()
    assert client.get(f"{PLAYBACK}/film").status_code == 404
    assert client.post(f"{PLAYBACK}/film").status_code == 202
    again = StagedFilm(lab, NAME, key)
    again.video.write_bytes(b"again")
    again.finish(Film(key, 100.0, 10, (320, 248), 240, (camera,)), xy_px)
    assert client.get(film["href"]).content == b"again"


@pytest.mark.slow
def test_who_comes_by_a_link_sees_blurred_films_and_no_recording(client: TestClient, lab: Lab, filmed: Take) -> None:
    made = client.post(f"{API}/links", json={"subject": "S01", "expires_at": _in_a_week()}).json()
    link = {"Authorization": f"Bearer {made['token']}"}
    _save_film(lab, filmed, Faces.SHOWN, b"with a face", None)
    assert client.get(f"{PLAYBACK}/film").content == b"with a face"
    assert client.get(PLAYBACK, headers=link).json()["film"]["state"] == "none"
    for asked in ("film", "film?faces=blurred", "landmarks"):
        assert client.get(f"{PLAYBACK}/{asked}", headers=link).status_code == 404
    for asked in ("", "/film", "/landmarks", "/film?v=0"):
        refused = client.get(f"{PLAYBACK}{asked}", params={"faces": "shown"}, headers=link)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:labsys:problem:faces-blurred")
    page = client.get(f"/trials/{NAME}", headers=link).text
    assert "faces=blurred" in page
    assert "faces=shown" not in page

    job = client.post(f"{PLAYBACK}/film?faces=blurred").json()
    assert client.get(PLAYBACK, headers=link).json()["film"]["state"] == "making"
    assert client.delete(f"{API}/jobs/{job['id']}").status_code == 200
    _save_film(lab, filmed, Faces.BLURRED, b"without", BlurredFaces(10, 3, 1))
    film = client.get(PLAYBACK, headers=link).json()["film"]
    assert (film["state"], film["faces"], film["blurred"]["not_found"]) == ("ready", "blurred", 3)
    assert film["blurred"]["cameras"] == {"cam0": 3}
    assert film["blurred"]["says"].startswith("Look before you share: in 3 of 10 pictures")
    assert client.get(film["href"], headers=link).content == b"without"
    assert client.get(PLAYBACK).json()["film"]["faces"] == "shown", "those who know the runner are shown faces"
    assert client.get(f"{PLAYBACK}/film").content == b"with a face"


@pytest.mark.slow
def test_recordings_are_not_given_out_where_faces_are_blurred(lab: Lab, client: TestClient) -> None:
    video, path = lab.root / "subjects" / str(NAME) / "take/raw/cam0.mkv", f"subjects/{NAME}/take/raw/cam0.mkv"
    video.parent.mkdir()
    video.write_bytes(b"a face")
    database = client.app.state.database  # type: ignore[attr-defined]
    with database.write() as session:
        trial = find_trial(session, NAME)
        session.add(FileRow(path=path, trial_id=trial.id, run=None, kind="video", size_bytes=6, sha256="ab" * 32))
    link = client.post(f"{API}/links", json={"subject": "S01", "expires_at": _in_a_week()}).json()
    with TestClient(create_app(lab, ServiceSettings(blur_faces=True)), base_url=BASE, client=HERE) as strict:
        _check_recordings(client, strict, path, {"Authorization": f"Bearer {link['token']}"})


def _check_recordings(client: TestClient, strict: TestClient, path: str, by_link: dict[str, str]) -> None:
    listed = f"{API}/trials/{NAME}/files"
    for asker, headers, given in ((client, {}, True), (client, by_link, False), (strict, {}, False)):
        assert asker.get(f"{API}/files/{path}", headers=headers).status_code == (200 if given else 403)
        assert (path in asker.get(listed, headers=headers).text) == given
        assert (path in asker.get(f"/trials/{NAME}", headers=headers).text) == given
        markers = f"{API}/files/subjects/{NAME}/take/files/markers.trc"
        assert asker.get(markers, headers=headers).status_code == 200, "numbers show no face"
        assert asker.get(f"{PLAYBACK}?faces=shown", headers=headers).status_code == (200 if given else 403)


@pytest.mark.slow
def test_what_a_link_shows_of_faces_is_said_before_it_is_handed_on(client: TestClient, lab: Lab, filmed: Take) -> None:
    database = client.app.state.database  # type: ignore[attr-defined]
    with database.write() as session:
        trial = find_trial(session, NAME)
        session.add(FileRow(path="x", trial_id=trial.id, run=None, kind="video", size_bytes=6, sha256="ab" * 32))
    asked = {"subject": "S01", "expires_at": _in_a_week()}
    made = client.post(f"{API}/links", json=asked).json()
    assert ([f["state"] for f in made["films"]], made["says"]) == (["none"], "")
    assert "not prepared yet" in client.get("/subjects/S01").text
    _save_film(lab, filmed, Faces.BLURRED, b"without", BlurredFaces(10, 3, 1))
    made = client.post(f"{API}/links", json=asked).json()
    assert made["says"].startswith("Look before you share: in 3 of 10 pictures no face was found; 2 are blurred widely")
    rows = read_page(client.get("/subjects/S01").text).all("tr")
    row = next(r for r in rows if any("faces=blurred" in a.attributes["href"] for a in r.all("a")))
    assert [cell.text for cell in row.all("td")][1:] == ["10", "3", "1"]
    by_link = {"Authorization": f"Bearer {made['token']}"}
    assert "Sharing" not in client.get("/subjects/S01", headers=by_link).text


def _in_a_week() -> str:
    return (datetime.now(UTC) + timedelta(days=7)).isoformat()


def _save_film(lab: Lab, take: Take, faces: Faces, video: bytes, blurred: BlurredFaces | None) -> None:
    staged = StagedFilm(lab, NAME, key := trial_film_key(take, str(current_run(lab, NAME)), faces))
    staged.video.write_bytes(video)
    camera = FilmedCamera("cam0", Panel(0, 0, 320, 240), ("RGT", "RLFE"), blurred)
    staged.finish(Film(key, 100.0, 10, (320, 248), 240, (camera,)), np.zeros((10, 2, 2)))


def test_bones_join_what_is_there() -> None:
    names = LABSYS_RUN_37.landmarks
    assert {frozenset((names[a], names[b])) for a, b in find_bones(names)} == {
        frozenset(b) for b in LABSYS_RUN_37.bones
    }
    assert find_bones(("LKnee", "Nose", "LHip")) == ((2, 0),)
    assert find_bones(("a", "b")) == ()
    assert [side_of(n) for n in ("RGT", "LHip", "L5", "Nose")] == [Side.RIGHT, Side.LEFT, Side.BOTH, Side.BOTH]


def test_unfinished_film_leaves_nothing(lab: Lab) -> None:
    staged = StagedFilm(lab, NAME, "0" * 32)
    folder = staged.video.parents[1]
    assert list(folder.iterdir()) != []
    staged.discard()
    assert list(folder.iterdir()) == []


def test_what_a_killed_job_left_goes_when_another_film_is_made_and_one_in_the_making_stays(lab: Lab) -> None:
    left, busy = StagedFilm(lab, NAME, "0" * 32), StagedFilm(lab, NAME, "1" * 32)
    os.utime(left.video.parent, times=(0, 0))
    StagedFilm(lab, NAME, "2" * 32).discard()
    assert (left.video.parent.exists(), busy.video.parent.exists()) == (False, True)
    busy.discard()


def test_film_of_no_camera_leaves_nothing(lab: Lab) -> None:
    staged = StagedFilm(lab, NAME, "0" * 32)
    with pytest.raises(MissingPartError, match="no camera can be shown"):
        make_film(staged, "0" * 32, [], rate_hz=1.0, notes=(), progress=SilentProgress())
    assert not staged.video.parent.exists()
