"""A machine-vision camera that is unplugged, against a library that a test plays: nothing hangs, and it says why."""

from __future__ import annotations

import gc
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labsys.capture.device import CameraDriver, DriverError, Failure, Mode
from labsys.capture.driver import DriverKind
from labsys.capture.drivers import genicam
from labsys.capture.drivers.genicam import GenicamDriver
from labsys.capture.node_setup import NodeSetup
from labsys.capture.part_writer import WriterPlan
from labsys.capture.status import Command, Count, WorkerState, make_numbers, map_numbers
from labsys.capture.worker import _Worker
from labsys.capture.worker_plan import WorkerPlan

PORT = "4711"
MODE = Mode("MJPG", 64, 48, 50.0)
SETUP = NodeSetup((("ExposureTime", 800.0, True),))


class GenericException(Exception):  # noqa: N818
    """As the library's own is called."""


class _Library:
    """One camera, as pypylon shows it, and its node map; `broken` are the calls that fail."""

    GrabStrategy_OneByOne = TimeoutHandling_Return = 0

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.plugged = True
        self.read_only: set[str] = set()
        self.told_gone: Callable[[], None] = lambda: None
        self.values = {"Width": "64", "Height": "48", "ExposureTime": "800", "AcquisitionFrameRate": "50.0"}
        self.TlFactory = SimpleNamespace(GetInstance=lambda: self)
        self.MaxNumBuffer = SimpleNamespace(SetValue=lambda _: None)

    def _call(self, name: str) -> None:
        if name in self.broken:
            raise GenericException(f"{name} failed : file.cpp")

    def __getattr__(self, name: str) -> Any:
        if name not in ("Open", "Close", "StartGrabbing", "StopGrabbing"):
            raise AttributeError(name)
        return lambda *_: self._call(name)

    def EnumerateDevices(self) -> list[Any]:
        self._call("EnumerateDevices")
        told = {"GetSerialNumber": PORT, "GetFriendlyName": "it", "GetModelName": "m", "GetDeviceClass": "usb"}
        return [SimpleNamespace(**{k: lambda v=v: v for k, v in told.items()})] if self.plugged else []

    def CreateDevice(self, _: Any) -> None:
        self._call("CreateDevice")

    def InstantCamera(self, _: Any) -> _Library:
        return self

    def IsGrabbing(self) -> bool:
        return True

    def IsCameraDeviceRemoved(self) -> bool:
        self._call("IsCameraDeviceRemoved")
        if not self.plugged:
            self.told_gone()
        return not self.plugged

    def RetrieveResult(self, *_: int) -> Any:
        return _Unreadable() if "Array" in self.broken else SimpleNamespace(IsValid=lambda: False)

    def GetNodeMap(self) -> Any:
        return SimpleNamespace(GetNode=lambda name: _Node(self, name))


class _Unreadable:
    def IsValid(self) -> bool:
        return True

    def GrabSucceeded(self) -> bool:
        return True

    def Release(self) -> None:
        pass

    @property
    def Array(self) -> None:
        raise GenericException("Array failed : file.cpp")


class _Node:
    def __init__(self, library: _Library, name: str) -> None:
        self.library, self.name = library, name

    def ToString(self) -> str:
        self.library._call("ToString")
        return self.library.values[self.name]

    def FromString(self, text: str) -> None:
        self.library.values[self.name] = text


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Library]:
    """In the place of pypylon, which no test process loads."""
    played = _Library()
    module = SimpleNamespace(
        GenericException=GenericException,
        IsReadable=lambda node: node.name in played.values,
        IsWritable=lambda node: node.name in played.values.keys() - played.read_only,
    )
    monkeypatch.setattr(genicam, "_import_pylon", lambda: played)
    monkeypatch.setattr(genicam, "_import_genicam", lambda: module)
    yield played
    gc.unfreeze()
    gc.enable()


def _worker(folder: Path) -> _Worker:
    make_numbers(folder / "numbers")
    counts, commands = map_numbers(folder / "numbers")
    plan = WorkerPlan(
        camera="c0", port=PORT, driver=DriverKind.GENICAM, bench=None, mode=MODE, rate_hz=50.0, controls={},
        optional_controls=(), triggered=False, n_buffers=16, queue_s=1.0, priority="normal",
        writer=WriterPlan("c0", folder, (64, 48), 50.0, 2.0, folder / "reserve"), nodes=SETUP,
    )  # fmt: skip
    return _Worker(plan, counts, commands, folder / "mail")


def _run(worker: _Worker) -> None:
    """In a thread of its own, so that a process that would hang is a failure and not a wait."""
    running = threading.Thread(target=worker.run, daemon=True)
    running.start()
    running.join(10.0)
    writer_ended, worker._writer.ended = worker._writer.ended, True
    assert not running.is_alive()
    assert writer_ended, "the process would never have ended"


def _events(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (folder / "c0.events.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("broken", [set(), {"Close"}, {"ToString", "StopGrabbing", "Close"}])
def test_a_camera_that_stays_unplugged_ends_with_its_files_closed(
    tmp_path: Path, library: _Library, broken: set[str]
) -> None:
    worker = _worker(tmp_path)

    def gone() -> None:
        library.broken = broken
        worker._commands[Command.QUIT] = 1

    start = worker._driver.start

    def start_and_be_unplugged(n_buffers: int) -> None:
        start(n_buffers)
        library.plugged = False

    library.told_gone = gone
    worker._driver.start = start_and_be_unplugged  # type: ignore[method-assign]
    _run(worker)
    assert _events(tmp_path) == ["lost", "closed", "written"]
    assert worker._counts[Count.STATE] == WorkerState.FAULT


@pytest.mark.slow
@pytest.mark.parametrize("call", ["EnumerateDevices", "CreateDevice", "Open", "ToString", "StartGrabbing"])
def test_what_fails_while_a_camera_is_opened_is_told(tmp_path: Path, library: _Library, call: str) -> None:
    library.broken = {call, "Close"}
    _run(_worker(tmp_path))
    kind, told = pickle.loads((tmp_path / "mail").read_bytes())
    assert (kind, type(told)) == ("failed", DriverError)
    assert f"{call} failed" in str(told)
    assert _events(tmp_path) == ["closed", "written"]


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("ToString", lambda driver: driver.read_controls()),
        ("IsCameraDeviceRemoved", lambda driver: driver.next(0.0)),
        ("Array", lambda driver: driver.next(0.0)),
        ("StopGrabbing", lambda driver: driver.stop()),
    ],
)
def test_the_librarys_errors_are_a_drivers(library: _Library, call: str, use: Callable[[CameraDriver], Any]) -> None:
    driver = GenicamDriver(SETUP)
    driver.open(PORT)
    driver.configure(MODE, {}, triggered=False)
    driver.start(16)
    library.broken = {call, "Close"}
    with pytest.raises(DriverError, match=f"{call} failed"):
        use(driver)
    driver.close()
    with pytest.raises(DriverError, match="not open") as told:
        driver.read_controls()
    assert told.value.kind is Failure.IO


@pytest.mark.slow
def test_whatever_a_driver_raises_at_the_end_the_writer_ends(tmp_path: Path, library: _Library) -> None:
    worker = _worker(tmp_path)

    def fail() -> dict[str, int]:
        raise RuntimeError("nobody thought of this")

    worker._driver.read_controls = fail  # type: ignore[method-assign]
    worker._counts[Count.OPENED] = 1
    library.plugged, worker._commands[Command.QUIT] = False, 1
    with pytest.raises(RuntimeError, match="nobody thought"):
        worker.run()
    writer_ended, worker._writer.ended = worker._writer.ended, True
    assert writer_ended
    assert _events(tmp_path) == ["closed", "written"]


def test_an_optional_node_that_cannot_be_set_is_told_where_it_differs(library: _Library) -> None:
    driver = GenicamDriver(NodeSetup((("Gain", 6.0, False), ("Gamma", 1.0, False), ("NoSuchNode", 1, False))))
    library.values |= {"Gain": "2.0", "Gamma": "1.0"}
    library.read_only = {"Gain", "Gamma"}
    driver.open(PORT)
    assert driver.configure(MODE, {}, triggered=False).mismatches == ("Gain is 2.0, not 6.0",)
