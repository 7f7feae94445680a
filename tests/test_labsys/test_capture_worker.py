"""A camera's process and the crew that keeps it: stamps that lie, cameras that freeze, processes that hang or end."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labsys.capture.bench import run_bench
from labsys.capture.child_process import end_child
from labsys.capture.crew import CameraWorker, Crew
from labsys.capture.device import Frame, FrameFlag, StampSource
from labsys.capture.drivers.virtual import VirtualDriver, open_virtual_trigger
from labsys.capture.part_writer import FrameQueue
from labsys.capture.recorder import RecordRequest, record_take
from labsys.capture.status import Command, Count, WorkerState, make_numbers, map_numbers
from labsys.capture.worker import _Worker
from labsys.storage.lab import take_folder
from tests.test_labsys.recorded_scene import make_trial, rig_document, write_rig

PERIOD_NS = 10_000_000
JPEG = b"\xff\xd8" + bytes(200) + b"\xff\xd9"


def _worker(folder: Path) -> tuple[_Worker, Any, Any]:
    make_numbers(folder / "numbers")
    counts, commands = map_numbers(folder / "numbers")
    worker = _Worker.__new__(_Worker)
    worker._counts, worker._commands = counts, commands
    worker._last_seq, worker._last_ns = -1, 0
    return worker, counts, commands


def test_one_repeated_stamp_costs_the_next_frame_nothing(tmp_path: Path) -> None:
    """Two frames were taken at one waking: the host's time of the first is later than the stamp of the second."""
    worker, counts, _ = _worker(tmp_path)
    plan: Any = SimpleNamespace(rate_hz=100.0)
    driver: Any = SimpleNamespace(release=lambda _: None)
    writer: Any = SimpleNamespace()
    worker._plan, worker._driver, worker._writer, worker._rest_s = plan, driver, writer, 0.015
    worker._spare_ns, worker._spare_every_ns = 0, 0
    now_ns, times_ns = 10 * PERIOD_NS, list[int]()
    for seq, t_ns in enumerate((PERIOD_NS, PERIOD_NS, 3 * PERIOD_NS, 4 * PERIOD_NS)):
        worker._handle(Frame(seq, t_ns, now_ns, memoryview(JPEG), 0, StampSource.KERNEL_SOE, FrameFlag.NONE))
        times_ns.append(worker._last_ns)
    assert times_ns == [PERIOD_NS, 2 * PERIOD_NS, 3 * PERIOD_NS, 4 * PERIOD_NS]
    assert counts[Count.HOST_STAMPS] == 1
    assert worker._rest_s == 0.0
    worker._handle(Frame(9, PERIOD_NS, now_ns, memoryview(JPEG), 0, StampSource.KERNEL_SOE, FrameFlag.NONE))
    assert worker._last_ns == now_ns, "one that does not wait is stamped when it was taken"


@pytest.mark.parametrize("first_ns", [PERIOD_NS, 0])
def test_one_stamp_from_the_future_does_not_end_the_take(tmp_path: Path, first_ns: int) -> None:
    """All that followed lay before it, was given the time after it, and so came after the end of the take."""
    worker, counts, commands = _worker(tmp_path)
    worker._plan, worker._rest_s, kept = SimpleNamespace(rate_hz=100.0), 0.015, list[int]()  # type: ignore[assignment]
    worker._keep = lambda _, t_ns, *__: kept.append(t_ns)  # type: ignore[method-assign]
    worker._pass_by = worker._finish = lambda *_: None  # type: ignore[method-assign]
    commands[Command.FROM_NS], commands[Command.UNTIL_NS] = PERIOD_NS // 2, 10 * PERIOD_NS
    stamps_ns = [first_ns, 3600 * 10**9, *(i * PERIOD_NS for i in range(3, 8))]
    for seq, t_ns in enumerate(stamps_ns):
        worker._handle(Frame(seq, t_ns, (seq + 1) * PERIOD_NS + 1, memoryview(JPEG), 0, StampSource.KERNEL_SOE))
    assert kept == pytest.approx([i * PERIOD_NS for i in range(1, 8)], abs=2)
    assert counts[Count.HOST_STAMPS] == 1 + (first_ns == 0)


def test_a_frozen_camera_is_lost_until_it_gives_a_frame_again(tmp_path: Path) -> None:
    """The rig's policy asks how many cameras are left."""
    worker, counts, commands = _worker(tmp_path)
    said, driver = list[Any](), SimpleNamespace(stop=lambda: None, start=lambda _: None, release=lambda _: None)
    worker._plan, worker._driver = SimpleNamespace(n_buffers=4, rate_hz=100.0), driver  # type: ignore[assignment]
    worker._queue, worker._rest_s = FrameQueue(most_frames=9, most_bytes=1 << 20), 0.0
    worker._begun, worker._lost_before, worker._tell = True, 0, lambda *a, **_: said.append(a)  # type: ignore[method-assign]
    commands[Command.FROM_NS], counts[Count.STATE] = 1, WorkerState.RECORDING
    worker._restart()
    assert (said, counts[Count.STATE]) == ([("frozen",)], WorkerState.FAULT)
    worker._handle(Frame(0, PERIOD_NS, PERIOD_NS, memoryview(JPEG), 0, StampSource.KERNEL_SOE))
    assert counts[Count.STATE] == WorkerState.RECORDING


def test_gaps_before_the_take_are_no_losses_of_it(tmp_path: Path) -> None:
    worker, counts, commands = _worker(tmp_path)
    for seq, begun in ((1, 0), (11, 0), (12, 15), (15, 15), (20, 15), (30, 15)):
        commands[Command.FROM_NS], commands[Command.UNTIL_NS] = begun, 25 * bool(begun)
        frame = Frame(seq, seq, seq, memoryview(b""), 0, StampSource.KERNEL_SOE, FrameFlag.NONE)
        worker._watch(frame, seq, FrameFlag.NONE)
    assert counts[Count.SEQ_GAPS] == 9 + 2 + 4 + 9
    assert counts[Count.GAPS_IN_TAKE] == 2 + 4


@pytest.mark.parametrize(
    ("state", "silent_s", "hangs"),
    [
        (WorkerState.RECORDING, 0.5, False),
        (WorkerState.RECORDING, 60.0, True),
        (WorkerState.ARMED, 60.0, True),
        (WorkerState.STARTING, 60.0, False),
        (WorkerState.FAULT, 60.0, False),
        (WorkerState.DONE, 60.0, False),
    ],
)
def test_a_process_that_streams_and_says_nothing_hangs(
    tmp_path: Path, state: WorkerState, silent_s: float, hangs: bool
) -> None:
    make_numbers(tmp_path / "numbers")
    counts, commands = map_numbers(tmp_path / "numbers")
    counts[Count.STATE], counts[Count.HEARTBEAT_NS] = state, time.monotonic_ns() - round(silent_s * 1e9)
    plan: Any = None
    worker = CameraWorker(plan, counts, commands, tmp_path / "numbers", tmp_path / "mail")
    assert worker.hangs is hangs


class _StuckInTheKernel:
    """A process that SIGKILL does not end, as where a USB driver never comes back."""

    def __init__(self) -> None:
        self.killed = 0

    def poll(self) -> None:
        return None

    def kill(self) -> None:
        self.killed += 1

    def wait(self, timeout_s: float | None = None) -> int:
        assert timeout_s is not None, "waits for ever"
        raise subprocess.TimeoutExpired("camera", timeout_s)


def test_a_process_that_ends_at_once_is_not_started_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting one takes half a second of the processor, which the other cameras need."""
    make_numbers(tmp_path / "numbers")
    counts, commands = map_numbers(tmp_path / "numbers")
    ended: Any = SimpleNamespace(poll=lambda: -11)
    plan: Any = SimpleNamespace(writer=SimpleNamespace(raw=tmp_path))
    crew, started = Crew(write_rig(tmp_path / "rig.yaml", rig_document(cameras=1)), None), list[str]()
    worker = CameraWorker(plan, counts, commands, tmp_path / "numbers", tmp_path / "mail", ended)
    crew.workers["camA"], counts[Count.OPENED] = worker, 1
    monkeypatch.setattr("labsys.capture.crew.start_child", lambda *_: started.append("again") or ended)
    crew.revive()
    assert started == ["again"], "one whose camera was open is started at once"
    for _ in range(5):
        crew.revive()
    assert started == ["again"]
    worker.spawned_s -= 2.0
    crew.revive()
    assert started == ["again"] * 2
    assert (tmp_path / "camA.events.jsonl").read_text().count("died") == 2
    crew.leave()


def test_a_process_that_cannot_be_ended_does_not_hold_up_the_take(tmp_path: Path) -> None:
    make_numbers(tmp_path / "numbers")
    counts, commands = map_numbers(tmp_path / "numbers")
    counts[Count.STATE], counts[Count.HEARTBEAT_NS] = WorkerState.RECORDING, time.monotonic_ns() - 60 * 10**9
    stuck: Any = _StuckInTheKernel()
    plan: Any = None
    crew = Crew(write_rig(tmp_path / "rig.yaml", rig_document(cameras=1)), None)
    crew.workers["camA"] = CameraWorker(plan, counts, commands, tmp_path / "numbers", tmp_path / "mail", stuck)
    crew.revive()
    assert (stuck.killed, crew.workers["camA"].process) == (1, stuck), "nobody else opens its camera meanwhile"
    end_child(stuck, wait_s=0.0)
    assert stuck.killed == 2
    crew.leave()


@pytest.mark.slow
def test_a_triggered_camera_is_left_as_one_that_streams_by_itself(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    document = rig_document(cameras=1, triggered=True)
    document["defaults"]["trigger_enter"] = [{"control": "exposure_dynamic_framerate", "value": 1}]
    document["defaults"]["trigger_exit"] = [{"control": "exposure_dynamic_framerate", "value": 0}]
    rig = write_rig(tmp_path / "rig.yaml", document)
    take = take_folder(lab, name)
    with run_bench(rig) as bench:
        with open_virtual_trigger(bench.folder) as trigger:
            finished = record_take(RecordRequest(take, rig, 1.0), bench=bench.folder, trigger=trigger)
        driver = VirtualDriver(bench.folder)
        driver.open("port-A")
        controls = driver.read_controls()
        driver.close()
    assert finished.assessment.losses["camA"].stored > 20
    assert controls["exposure_dynamic_framerate"] == 0
    assert "trigger_exit_failed" not in (take / "raw/camA.events.jsonl").read_text()
    assert '"exposure_dynamic_framerate": 1' in (take / "raw/camA.events.jsonl").read_text(), (
        "as it was while recording"
    )
