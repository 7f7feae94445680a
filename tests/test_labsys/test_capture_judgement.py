"""What is a reason to repeat a take, what to end it early, and what frames count: by what the take itself did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labsys.capture.device import StampSource
from labsys.capture.finalise import assess_recording, finish_recording
from labsys.capture.losses import Window, account
from labsys.capture.manifest import read_clocks
from labsys.capture.status import WorkerState
from labsys.capture.stopping import find_reason_to_stop
from labsys.capture.stream import Recorded
from labsys.capture.sync_quality import judge_sync
from labsys.capture.verdict import Advice, TakeVerdict, judge_take
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.lab import take_folder
from labsys.storage.recordings import begin_recording, save_manifest
from labsys.storage.sidecar import ROW, Rows, pack_flags, write_sidecar
from tests.test_labsys.recorded_scene import make_trial, rig_document, write_rig

PERIOD_NS = 10_000_000
JPEG = b"\xff\xd8" + bytes(200) + b"\xff\xd9"
EVENTS = ({"event": "begin", "at_ns": 0, "fence": [0, 0]},)


def _rows(n: int, *, hosts: Any = (), lost: Any = ()) -> Rows:
    """(n,) rows of a camera of 100 frames a second; hosts: whose time is the host's, 4 ms late. lost: not there."""
    rows = np.zeros(n, dtype=ROW)
    rows["seq"] = 1 + np.arange(n)
    rows["t_ns"] = PERIOD_NS * (1 + np.arange(n))
    rows["flags"] = pack_flags(bad=0, source=StampSource.KERNEL_SOE, lost_before=0)
    hosts = list(hosts)
    rows["flags"][hosts] = pack_flags(bad=0, source=StampSource.HOST, lost_before=0)
    rows["t_ns"][hosts] += 4_000_000
    return np.delete(rows, list(lost))


def _judge(rows: Rows, *, rolling: bool = False, cap: str = "A") -> TakeVerdict:
    recorded = {"camA": Recorded("camA", (rows,), EVENTS, PERIOD_NS / 1e9)}
    losses = account(recorded, Window(PERIOD_NS // 2, int(rows["t_ns"][-1]) + 1))
    sync = judge_sync(recorded, losses, n_pulses=None, rolling=rolling, v_max_mps=7.0, cap=cap)
    return judge_take(losses, sync, happened=(), cut_short=False)


@pytest.mark.parametrize("cap", ["A", "C"])
def test_what_the_rig_is_is_no_reason_to_repeat(cap: str) -> None:
    """Every take of it would be the same: it is said, with the grade."""
    rolling = _judge(_rows(500), rolling=True, cap=cap)
    assert (rolling.advice, rolling.grade) == (Advice.KEEP_WITH_NOTES, "D")
    assert rolling.reasons == ("grade D: a rolling shutter",)
    opencv = _judge(_rows(500, hosts=range(500)), cap=cap)
    assert (opencv.advice, opencv.grade) == (Advice.KEEP_WITH_NOTES, "D")
    assert opencv.reasons == ("grade D: camA carries the host's time only",)


@pytest.mark.parametrize("rolling", [False, True])
def test_what_went_wrong_in_this_take_is_a_reason_to_repeat(rolling: bool) -> None:
    stood_still = _judge(_rows(500, hosts=range(400, 500)), rolling=rolling)
    assert (stood_still.advice, stood_still.grade) == (Advice.REPEAT, "D")
    assert stood_still.reasons[0] == "100 frames of camA carry the host's time only"
    lost = _judge(_rows(500, lost=range(100, 120)), rolling=rolling)
    assert (lost.advice, lost.grade) == (Advice.REPEAT, "D")
    assert lost.reasons[0].startswith("camA lost 20 frames")
    assert _judge(_rows(500)).advice is Advice.KEEP


@pytest.mark.parametrize(
    ("lasted_s", "advice", "reasons"),
    [
        (0.3, Advice.REPEAT, ("0.3 s of 5 s",)),
        (2.4, Advice.REPEAT, ("2.4 s of 5 s",)),
        (2.6, Advice.KEEP_WITH_NOTES, ("2.6 s of 5 s",)),
        (4.6, Advice.KEEP, ()),
        (7.0, Advice.KEEP, ()),
    ],
)
def test_a_take_much_shorter_than_its_step_is_repeated(lasted_s: float, advice: Advice, reasons: tuple[str]) -> None:
    rows = _rows(500)
    recorded = {"camA": Recorded("camA", (rows,), EVENTS, PERIOD_NS / 1e9)}
    losses = account(recorded, Window(PERIOD_NS // 2, int(rows["t_ns"][-1]) + 1))
    sync = judge_sync(recorded, losses, n_pulses=None, rolling=False, v_max_mps=7.0, cap="A")
    found = judge_take(losses, sync, happened=(), cut_short=False, lasted_s=lasted_s, step_s=5.0)
    assert (found.advice, found.reasons) == (advice, reasons)
    assert judge_take(losses, sync, happened=(), cut_short=False, lasted_s=lasted_s).advice is Advice.KEEP


def test_a_process_that_began_again_does_not_move_the_beginning() -> None:
    """The first second was lost before the first stored frame, which only the first beginning's fence tells."""
    first, again = _rows(300)[100:], _rows(100)
    again["t_ns"] += 400 * PERIOD_NS
    begun = {"event": "begin", "at_ns": 0, "fence": [0, 0]}
    anew = {"event": "begin", "at_ns": 400 * PERIOD_NS, "fence": [60, 400 * PERIOD_NS]}
    window = Window(PERIOD_NS // 2, int(again["t_ns"][-1]) + 1)
    losses = [
        account({"camA": Recorded("camA", (first, again), events, PERIOD_NS / 1e9)}, window)["camA"]
        for events in ((begun, anew), (begun,))
    ]
    assert losses[0].in_kernel == losses[1].in_kernel == 100
    assert losses[0].due == losses[1].due == 500


def test_a_process_that_died_before_its_first_row_leaves_a_part_without_any() -> None:
    rows, window = _rows(50), Window(PERIOD_NS // 2, 50 * PERIOD_NS + 1)
    found = account({"camA": Recorded("camA", (rows[:0], rows), EVENTS, PERIOD_NS / 1e9)}, window)["camA"]
    assert (found.due, found.stored) == (50, 50)


def test_a_take_that_ended_before_it_began_was_due_nothing() -> None:
    recorded = Recorded("camA", (), (), PERIOD_NS / 1e9)
    assert account({"camA": recorded}, Window(10 * PERIOD_NS, 3 * PERIOD_NS))["camA"].due == 0


@pytest.mark.parametrize("held", [100, 101])
def test_a_late_frame_beside_a_loss_is_no_measurement(held: int) -> None:
    """A frame of tick 100 that is 24 ms late before one the camera left out, or of tick 101, 14 ms late, after it: the
    stamps are the same."""
    rows = _rows(300, lost=[201 - held])
    rows["seq"] = np.arange(rows.size)
    rows["t_ns"][100] = PERIOD_NS * 101 + 24_000_000
    rows["t_ns"] = np.maximum.accumulate(rows["t_ns"])  # no stamp overtakes the one before
    recorded = {"camA": Recorded("camA", (rows,), EVENTS, PERIOD_NS / 1e9)}
    losses = account(recorded, Window(PERIOD_NS // 2, int(rows["t_ns"][-1]) + 1))
    found = losses["camA"]
    true_ticks = np.delete(np.arange(300), 201 - held)
    assert found.unsure[100]
    assert (found.ticks == true_ticks)[~found.unsure].all()
    assert (found.due, found.stored, found.in_camera) == (300, 299, 1)
    sync = judge_sync(recorded, losses, n_pulses=None, rolling=False, v_max_mps=7.0, cap="A")
    assert (sync.clocks["camA"].measured == ~found.unsure).all()
    said = judge_take(losses, sync, happened=(), cut_short=False).reasons
    assert any(f"{found.n_unsure} late frame" in reason and "beside a loss" in reason for reason in said)


@pytest.mark.parametrize(
    ("states", "policy", "free_bytes", "told"),
    [
        ("RRR", {}, 10**12, ""),
        ("RRF", {"min_cameras": 2}, 10**12, ""),
        ("RFF", {"min_cameras": 2}, 10**12, "1 of 3 cameras are left, policy.min_cameras is 2"),
        ("RRF", {"min_cameras": 1, "on_camera_loss": "stop"}, 10**12, "a camera was lost"),
        ("RRR", {}, 400_000, "the disk is nearly full"),
        ("RRR", {}, 40_000_000, "the disk is nearly full"),
    ],
)
def test_a_take_ends_early_for_a_reason(
    tmp_path: Path, states: str, policy: dict[str, Any], free_bytes: int, told: str
) -> None:
    document = rig_document(cameras=3, policy={"min_cameras": 1} | policy)
    rig = write_rig(tmp_path / "rig.yaml", document)
    found = [{"R": WorkerState.RECORDING, "F": WorkerState.FAULT}[letter] for letter in states]
    assert find_reason_to_stop(rig, states=found, free_bytes=free_bytes, bytes_per_s=10e6) == told


def test_times_of_the_host_do_not_stand_as_times_of_frames(tmp_path: Path) -> None:
    """A row without a stamp of its own gets the moment of the camera's clock; those with one keep it."""
    lab, name = make_trial(tmp_path / "lab")
    rows = _rows(300, hosts=range(100, 130))
    with begin_recording(take_folder(lab, name)) as recording:
        video = JpegVideo(recording.raw / "camA.part1.mkv", size_px=(64, 48), rate_hz=100.0)
        for i in range(rows.size):
            video.write(b"\xff\xd8" + bytes(100) + b"\xff\xd9", i / 100)
        video.close()
        rows["bytes"] = 104
        write_sidecar(recording.raw / "camA.part1.fts", rows)
        end_ns = int(rows["t_ns"][-1]) + 1
        save_manifest(recording, {
            "rig": "virtual", "rolling": False, "v_max_mps": 7, "grade_cap": "A", "clocks": {"stop": {}},
            "window": {"from_ns": 0, "until_ns": end_ns}, "n_pulses": None,
            "cameras": {"camA": {"size_px": [64, 48], "rate_hz": 100.0}},
        })  # fmt: skip
        finish_recording(recording)
    lines = (take_folder(lab, name) / "files/timestamps.csv").read_text().splitlines()[1:]
    times_s = np.array([float(line.split(",")[1]) for line in lines])
    assert np.abs(times_s - 0.01 * (1 + np.arange(300))).max() < 0.0005, "4 ms late they would bend the clock"


@pytest.mark.parametrize(
    ("beyond", "closed", "kept", "advice"),
    [(0, True, 300, "KEEP"), (0, False, 300, "KEEP"), (1, False, 299, "REPEAT"), (40, False, 260, "REPEAT")],
)
def test_the_verdict_before_joining_is_that_after_it(
    tmp_path: Path, beyond: int, closed: bool, kept: int, advice: str
) -> None:
    """Rows of a file that was cut short, whose pictures are gone, are no frames that are stored."""
    lab, name = make_trial(tmp_path / "lab")
    rows = _rows(300)
    rows["bytes"] = 104
    with begin_recording(take_folder(lab, name)) as recording:
        video = JpegVideo(recording.raw / "camA.part1.mkv", size_px=(64, 48), rate_hz=100.0)
        for i in range(rows.size - beyond):
            video.write(b"\xff\xd8" + bytes(100) + b"\xff\xd9", i / 100)
        cut = (recording.raw / "camA.part1.mkv").read_bytes()
        video.close()
        if not closed:
            (recording.raw / "camA.part1.mkv").write_bytes(cut)
        write_sidecar(recording.raw / "camA.part1.fts", rows)
        save_manifest(recording, {
            "rig": "virtual", "rolling": False, "v_max_mps": 7, "grade_cap": "A", "clocks": {"stop": {}},
            "window": {"from_ns": int(rows["t_ns"][0]), "until_ns": int(rows["t_ns"][-1]) + 5_000_000},
            "n_pulses": None,
            "cameras": {"camA": {"size_px": [64, 48], "rate_hz": 100.0}},
        })  # fmt: skip
        before = assess_recording(recording)
        after = finish_recording(recording).assessment
    assert before.verdict == after.verdict
    assert before.losses["camA"].stored == after.losses["camA"].stored == kept
    assert before.verdict.advice.value == advice


def _finish(folder: Path, clocks: Mapping[str, Any], events: Sequence[str] = ()) -> tuple[TakeVerdict, Path]:
    """A sound take of one camera, with these clocks and events; its verdict and folder."""
    lab, name = make_trial(folder / "lab")
    rows = _rows(300)
    rows["bytes"] = 104
    with begin_recording(take_folder(lab, name)) as recording:
        video = JpegVideo(recording.raw / "camA.part1.mkv", size_px=(64, 48), rate_hz=100.0)
        for i in range(rows.size):
            video.write(b"\xff\xd8" + bytes(100) + b"\xff\xd9", i / 100)
        video.close()
        write_sidecar(recording.raw / "camA.part1.fts", rows)
        lines = [json.dumps({"at_ns": 1, "event": event, "why": "it is gone"}) + "\n" for event in events]
        (recording.raw / "camA.events.jsonl").write_text("".join(lines), encoding="utf-8")
        save_manifest(recording, {
            "rig": "virtual", "rolling": False, "v_max_mps": 7, "grade_cap": "A", "clocks": clocks,
            "window": {"from_ns": int(rows["t_ns"][0]), "until_ns": int(rows["t_ns"][-1]) + 5_000_000},
            "n_pulses": None,
            "cameras": {"camA": {"size_px": [64, 48], "rate_hz": 100.0}},
        })  # fmt: skip
        verdict = finish_recording(recording).assessment.verdict
    return verdict, take_folder(lab, name)


@pytest.mark.parametrize(
    ("asleep_s", "set_s", "said"),
    [(0.0, 0.0, ()), (0.0, 3600.0, ()), (42.0, -7.0, ("the machine slept for 42.0 s",))],
)
def test_a_machine_that_slept_has_a_hole_that_no_stamp_shows(
    tmp_path: Path, asleep_s: float, set_s: float, said: tuple[str, ...]
) -> None:
    passed = {"monotonic_ns": 3.0, "boottime_ns": 3.0 + asleep_s, "realtime_ns": 3.0 + asleep_s + set_s}
    stop = {clock: round(seconds * 1e9) for clock, seconds in passed.items()}
    verdict, take = _finish(tmp_path, {"start": dict.fromkeys(passed, 0), "stop": stop})
    assert (verdict.advice.value, verdict.reasons) == ("REPEAT" if said else "KEEP", said)
    assert json.loads((take / "report.json").read_text(encoding="utf-8"))["clock_set_by_s"] == set_s
    assert set(read_clocks()) == set(passed)


def test_what_costs_no_frame_and_wants_to_be_known_is_a_note(tmp_path: Path) -> None:
    verdict, _ = _finish(tmp_path, {"stop": {}}, ["trigger_exit_failed", "close_failed", "closed"])
    assert (verdict.advice.value, verdict.reasons) == (
        "KEEP WITH NOTES",
        ("camA was left waiting for pulses: it is gone", "a file of camA could not be ended: it is gone"),
    )
