"""A camera that does not answer: who waits is told which, may stop waiting, and is told what to do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from labsys.capture.crew import Crew
from labsys.capture.recorder import RecordRequest, check_request
from labsys.capture.status import WorkerState
from labsys.capture.studio import Studio
from labsys.capture.uvc import UvcRig
from labsys.capture.wall import CameraWall
from labsys.core.errors import InputError
from tests.test_labsys.recorded_scene import rig_document, write_rig


class _Silent:
    """A camera's process that opens its camera and never comes back, until it is killed."""

    def __init__(self) -> None:
        self.killed = False

    def poll(self) -> int | None:
        return -9 if self.killed else None

    def kill(self) -> None:
        self.killed = True

    def wait(self, timeout_s: float | None = None) -> int:
        return -9


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UvcRig:
    """One camera, whose process never answers."""
    monkeypatch.setattr("labsys.capture.crew.start_child", lambda *_: _Silent())
    return write_rig(tmp_path / "rig.yaml", rig_document(cameras=1))


def test_who_waits_for_a_camera_is_told_which_and_then_what_to_do(
    rig: UvcRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labsys.capture.crew._OPEN_S", 0.1)
    told = list[tuple[str, float]]()
    crew = Crew(rig, None)

    def note(camera: str, waited_s: float) -> None:
        told.append((camera, waited_s))

    with pytest.raises(InputError, match=r"camA did not open within 0.1 s.*Plug camA into the port port-A again"):
        crew.hire(tmp_path, {"camA": tmp_path}, tmp_path, waiting=note)
    assert {camera for camera, _ in told} == {"camA"}
    assert 0.0 < told[0][1] < told[-1][1] <= 0.1
    crew.dismiss()
    crew.leave()


def test_who_stops_need_not_wait_for_a_camera(rig: UvcRig, tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise InputError("was stopped before the take began")

    crew, began_s = Crew(rig, None), time.monotonic()
    with pytest.raises(InputError, match="was stopped"):
        crew.hire(tmp_path, {"camA": tmp_path}, tmp_path, waiting=stop)
    assert time.monotonic() - began_s < 10.0, "not the minute that a camera has"
    crew.dismiss()
    crew.leave()


def test_a_camera_of_the_wall_that_does_not_answer_is_opened_anew(
    rig: UvcRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labsys.capture.wall._ANSWERS_S", 0.05)
    monkeypatch.setattr("labsys.capture.wall._AGAIN_S", 0.05)
    with CameraWall(Studio(rig, None, None), tmp_path) as wall:
        (first,) = wall.look()
        assert (first.state, first.error) == (WorkerState.STARTING, None)
        silent: Any = wall._crew.workers["camA"].process
        time.sleep(0.06)
        (given_up,) = wall.look()
        assert given_up.error is not None
        assert given_up.error.what.startswith("has not answered for ")
        assert "Plug camA into the port port-A again" in given_up.error.remedy
        assert silent.killed
        time.sleep(0.06)
        wall.look()
        anew: Any = wall._crew.workers["camA"].process
        assert anew is not silent
        assert not anew.killed


def test_a_wall_that_cannot_be_opened_leaves_nothing_behind(
    rig: UvcRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The station tries again every two seconds: what each try left would hold the cameras against the next."""
    told = list[str]()

    def fail(*_: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(Crew, "start", fail)
    monkeypatch.setattr(Crew, "dismiss", lambda _: told.append("dismissed"))
    wall = CameraWall(Studio(rig, None, None), tmp_path)
    with pytest.raises(OSError, match="temporarily"), wall:
        pass
    assert told == ["dismissed"]
    assert not wall._room.exists()


def test_a_disk_that_does_not_say_what_it_has_left_is_refused_by_name(
    rig: UvcRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shutil.disk_usage", fail)
    with pytest.raises(InputError, match="does not say how much it has left: Input/output error"):
        check_request(RecordRequest(tmp_path / "take", rig, 1.0))
