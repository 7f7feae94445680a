"""A trial moment by moment over HTTP: what there is, its arrays, and its film."""

from __future__ import annotations

import os

import numpy as np
import pytest
from starlette.testclient import TestClient

from api.jobs.queue import JobState
from labsys.core.errors import MissingPartError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialName
from labsys.core.skeleton import LABSYS_RUN_37, Side, find_bones, side_of
from labsys.storage.film_layout import Panel
from labsys.storage.films import Film, FilmedCamera, StagedFilm, film_video, trial_film_key
from labsys.storage.lab import Lab
from labsys.storage.results import LANDMARKS3D_FILE, read_landmarks3d
from labsys.storage.runs import current_run, run_file
from labsys.storage.takes import CameraFile, Take, load_take
from pipelines.playback.film import make_film

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
    assert "immutable" in part.headers["cache-control"]
    assert client.get(f"{PLAYBACK}/film?v=another").headers["cache-control"] == "private, no-cache"
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
