"""Public recordings: fetched once, by hash, from their publisher; used where they lie; never believed blindly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from api.cli import main
from labsys.core.errors import InputError, MissingPartError
from labsys.core.landmarks import Landmarks3D
from labsys.core.progress import SilentProgress
from labsys.storage.exchange.trc import write_trc
from pipelines.datasets.fetch import Whereabouts, fetch_data_set, locate_data_set
from pipelines.datasets.registry import DATASETS, POSE2SIM, DataSet
from pipelines.demonstration.recording import compare_published

FILES = {"a/one.txt": b"one\n", "two.txt": b"two\n"}


class _Server:
    """A publisher on this machine."""

    def __init__(self, folder: Path) -> None:
        asked: list[str] = []

        class Handler(SimpleHTTPRequestHandler):
            def log_request(self, *_: object) -> None:
                asked.append(self.path)

            def log_message(self, *_: object) -> None:
                return

        self.asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    for name, content in FILES.items():
        path = tmp_path / "published" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    running = _Server(tmp_path / "published")
    yield running
    running.stop()


@pytest.fixture
def data_set(tmp_path: Path, server: _Server, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LABSYS_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return _register(tmp_path / "table.txt", {name: f"{server.url}/{name}" for name in FILES})


def _register(table: Path, addresses: dict[str, str]) -> DataSet:
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    table.write_text("".join(f"from {name} {addresses[name]}\n{name} {sums[name]}\n" for name in FILES))
    return replace(POSE2SIM, name="small", folder="small", table=table)


def _fetch(data_set: DataSet) -> Path:
    return fetch_data_set(data_set, progress=SilentProgress())


@pytest.mark.slow
def test_what_is_fetched_once_is_not_fetched_again(data_set: DataSet, server: _Server) -> None:
    assert locate_data_set(data_set)[0] is Whereabouts.AWAY
    folder = _fetch(data_set)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert sorted(server.asked) == ["/a/one.txt", "/two.txt"]
    assert _fetch(data_set) == folder
    assert len(server.asked) == 2
    assert locate_data_set(data_set) == (Whereabouts.FETCHED, folder)
    (folder / "two.txt").write_text("damaged")
    _fetch(data_set)
    assert server.asked[2:] == ["/two.txt"]
    assert (folder / "two.txt").read_bytes() == FILES["two.txt"]


@pytest.mark.slow
def test_another_content_than_the_registered_one_is_refused(data_set: DataSet, tmp_path: Path) -> None:
    (tmp_path / "published/two.txt").write_text("changed by its publisher")
    with pytest.raises(InputError, match=r"two\.txt of public recording small was fetched with another content"):
        _fetch(data_set)
    assert not list((tmp_path / "cache").rglob("two.txt"))


@pytest.mark.slow
def test_without_internet_it_is_said_what_to_do_and_what_was_fetched_is_kept(
    data_set: DataSet, server: _Server, tmp_path: Path
) -> None:
    addresses = {"a/one.txt": data_set.address("a/one.txt"), "two.txt": "http://127.0.0.1:9/two.txt"}
    away = _register(tmp_path / "away.txt", addresses)
    with pytest.raises(MissingPartError, match=r"two\.txt cannot be fetched.*set LABSYS_DATA"):
        _fetch(away)
    _fetch(data_set)
    assert sorted(server.asked) == ["/a/one.txt", "/two.txt"]


def test_files_that_are_here_are_used_and_checked(
    data_set: DataSet, server: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABSYS_DATA", str(tmp_path))
    (tmp_path / "published").rename(tmp_path / "small")
    assert _fetch(data_set) == tmp_path / "small"
    assert server.asked == []
    (tmp_path / "small/two.txt").write_text("another")
    with pytest.raises(InputError, match=r"is not the registered file of public recording small .*two\.txt"):
        _fetch(data_set)
    (tmp_path / "small/two.txt").unlink()
    with pytest.raises(InputError, match="is missing of public recording small"):
        _fetch(data_set)


def test_every_registered_file_has_a_hash_and_an_address_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for data_set in DATASETS.values():
        files = data_set.files
        assert len(files) > 400
        assert all(len(sha256) == 64 and int(sha256, 16) for sha256 in files.values())
        assert len({data_set.address(path) for path in files}) == len(files)
        assert all(data_set.address(path).startswith("https://") for path in files)
    with pytest.raises(SystemExit) as left:
        main(["demo", "--datasets", "--json"])
    assert left.value.code == 0
    (told,) = json.loads(capsys.readouterr().out)["datasets"]
    assert (told["name"], told["licence"]) == ("pose2sim", "BSD-3-Clause")


def test_published_points_stand_beside_ours(tmp_path: Path) -> None:
    times_s = np.arange(10) / 50.0
    ours = np.random.default_rng(0).normal(size=(10, 3, 3))
    found = Landmarks3D.from_positions(("A", "B", "C"), times_s, ours)
    theirs = ours.copy()
    theirs[:, 1] += [0.02, 0.0, 0.0]
    theirs[:5, 2] = np.nan
    write_trc(tmp_path / "p.trc", Landmarks3D.from_positions(("A", "B", "C"), times_s, theirs))
    a, b, c, every = compare_published(found, tmp_path / "p.trc")
    assert (a.close, b.close, c.close) == (1.0, 0.0, 0.5)
    assert b.median_m == pytest.approx(0.02, abs=1e-6)
    assert (every.landmark, every.cells) == ("all", 30)
    assert every.close == pytest.approx(0.5)
    with pytest.raises(InputError, match="lack C"):
        compare_published(Landmarks3D.from_positions(("A", "B"), times_s, ours[:, :2]), tmp_path / "p.trc")


@pytest.mark.real_data
@pytest.mark.slow
def test_the_demo_of_the_recording(public_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every registered hash is that of the real file, and 99 % of what was published comes out again."""
    with pytest.raises(SystemExit) as left:
        main(["demo", "--dataset", "pose2sim", "--out", str(tmp_path / "demo"), "--json"])
    assert left.value.code == 0
    document = json.loads(capsys.readouterr().out)
    every = document["published"][-1]
    assert every["landmark"] == "all"
    assert every["cells"] == 2100
    assert every["close"] >= 0.99
    assert every["median_m"] < 1e-5
    assert document["show"]["tier"] == "T1"
