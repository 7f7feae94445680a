"""Recording virtual cameras: every exposure that their own log knows is stored or lost for a reason that is told."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labsys.capture.bench import run_bench
from labsys.capture.drivers.virtual import open_virtual_trigger
from labsys.capture.finalise import describe
from labsys.capture.recorder import RecordRequest, record_take
from labsys.capture.recover import recover_recordings
from labsys.capture.verdict import Advice
from labsys.capture.virtual_camera import Fate
from labsys.core.frame_clock import FrameStamps, fit_clock
from labsys.storage.lab import take_folder
from labsys.storage.recordings import find_recordings
from labsys.storage.takes import load_take, verify_take
from labsys.storage.video import read_gray_frames
from tests.test_labsys.recorded_scene import (
    DELIVERED,
    Witness,
    make_trial,
    read_due,
    read_manifest,
    read_stored,
    rig_document,
    start_recording,
    write_rig,
)

NS = 1_000_000_000


@pytest.mark.slow
def test_every_frame_of_faulty_cameras_is_stored_or_lost_for_a_reason(tmp_path: Path) -> None:
    behaviour = {
        "camA": {"ppm": 50, "phase_ms": 5, "drop_p": 0.03, "kdrop_p": 0.03, "corrupt_p": 0.02, "jitter_us": 500},
        "camB": {"ppm": -50, "phase_ms": 17, "stall_p": 0.02},
        "camC": {"phase_ms": 9},
        "camD": {"ppm": 20},
    }
    lab, name = make_trial(tmp_path / "lab")
    rig = write_rig(tmp_path / "rig.yaml", rig_document(cameras=4, behaviour=behaviour))
    take = take_folder(lab, name)
    with run_bench(rig) as bench:
        witness = Witness(
            {
                0.7: lambda: bench.fault("unplug", "camB"),
                1.0: lambda: bench.fault("freeze", "camC"),
                1.6: lambda: bench.fault("replug", "camB"),
            }
        )
        finished = record_take(RecordRequest(take, rig, 4.0), bench=bench.folder, watcher=witness)
        manifest = read_manifest(take)
        due = {camera: read_due(bench.folder, camera, manifest["window"]) for camera in behaviour}
    losses = finished.assessment.losses
    for camera, exposed in due.items():
        stored, found = read_stored(take, camera), losses[camera]
        sound = ~stored.bad
        apart = found.ticks - stored.barcodes
        assert np.unique(apart[sound]).size == 1, "ticks count what the pictures show"
        assert found.ticks.size == found.stored == stored.barcodes.size
        by_tick = {int(e["tick"]): e for e in exposed}
        shown = [by_tick[int(b)] for b in stored.barcodes[sound]]
        assert [int(e["stamp_ns"]) for e in shown] == stored.rows["t_ns"][sound].tolist(), "stamps are the camera's own"
    a, told = losses["camA"], Counter(int(f) for f in due["camA"]["fate"])
    # Of a frame that was lost at the take's very edge nobody knows its stamp's jitter, so nor on which side it lay.
    unsure = [e for e in due["camA"] if min(e["stamp_ns"] - manifest["window"]["from_ns"],
                                            manifest["window"]["until_ns"] - e["stamp_ns"]) < 4_000_000]  # fmt: skip
    edge = sum(int(e["fate"]) not in DELIVERED for e in unsure)
    assert a.in_camera == pytest.approx(told[Fate.LOST_IN_CAMERA], abs=edge)
    assert a.in_kernel == pytest.approx(told[Fate.LOST_IN_KERNEL] + told[Fate.NO_BUFFER], abs=edge)
    assert a.n_corrupt == told[Fate.CORRUPT] == read_stored(take, "camA").kinds.count("bad")
    assert a.stored + a.lost == a.due == pytest.approx(len(due["camA"]), abs=edge)
    for camera in ("camB", "camC"):
        found, window = losses[camera], manifest["window"]
        assert found.outage > 0
        ticks = (window["until_ns"] - window["from_ns"]) / NS / found.period_s
        assert found.due == pytest.approx(ticks, abs=1), "the outage counts"
    delivered = sum(int(f) in DELIVERED for f in due["camB"]["fate"])
    assert delivered - losses["camB"].stored <= 2, "at most two frames beyond the outage itself"
    assert losses["camD"].lost == sum(int(f) not in DELIVERED for f in due["camD"]["fate"])
    _tells_what_happened(finished.assessment.verdict.reasons)
    assert finished.assessment.verdict.advice is Advice.REPEAT
    assert witness.judgement is not None
    assert describe(witness.judgement) == describe(finished.assessment), "told at once, and the same when finished"
    assert load_take(lab, name) == finished.take
    verify_take(lab, name)
    assert sum(1 for _ in read_gray_frames(take / "raw/camA.mkv")) == a.stored, "damaged pictures reach no decoder"
    assert read_manifest(take)["status"] == "degraded"
    assert [h["status"] for h in read_manifest(take)["history"]] == ["recording", "stopped", "degraded"]


def _tells_what_happened(reasons: tuple[str, ...]) -> None:
    said = "; ".join(reasons)
    assert "camB was lost: the camera was unplugged" in said
    assert "camC froze" in said
    assert "camA lost" in said


@pytest.mark.slow
def test_triggered_cameras_show_one_instant_and_free_ones_keep_their_clock(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    behaviour = {"camB": {"latency_ms": 5, "miss_p": 0.08}}
    rig = write_rig(tmp_path / "rig.yaml", rig_document(triggered=True, behaviour=behaviour))
    take = take_folder(lab, name)
    with run_bench(rig) as bench, open_virtual_trigger(bench.folder) as trigger:
        finished = record_take(RecordRequest(take, rig, 2.0), bench=bench.folder, trigger=trigger)
        n_pulses = read_manifest(take)["n_pulses"]
    one, other = read_stored(take, "camA"), read_stored(take, "camB")
    for stored, losses in ((one, finished.assessment.losses["camA"]), (other, finished.assessment.losses["camB"])):
        assert stored.ticks.tolist() == stored.barcodes.tolist(), "a frame's number is that of its pulse"
        assert losses.due == n_pulses == losses.stored + losses.lost
        assert losses.surplus == 0
    lost = finished.assessment.losses["camB"]
    assert lost.lost == lost.in_camera + lost.in_kernel > 0
    times = [line.split(",") for line in (take / "files/timestamps.csv").read_text().splitlines()[1:]]
    at = {camera: {line[2]: line[1] for line in times if line[0] == camera} for camera in ("camA", "camB")}
    both = at["camA"].keys() & at["camB"].keys()
    assert both
    assert all(at["camA"][k] == at["camB"][k] for k in both), "one pulse is one moment"


def test_a_free_running_clock_is_found_within_a_fifth_of_a_millisecond() -> None:
    """A minute at 120 fps of one camera, by the law of its crystal: ±50 ppm, jitter, stalls, losses of both kinds."""
    for seed, ppm in enumerate((50.0, -50.0, 12.0)):
        rng = np.random.default_rng(seed)
        tick = np.flatnonzero(rng.random(7200) > 0.005)
        true_s = rng.uniform(0, 1 / 120) + tick / 120 * (1 + ppm * 1e-6)
        late_s = rng.exponential(0.0005, tick.size) + 0.02 * (rng.random(tick.size) < 0.005)
        stamps_s = np.maximum.accumulate(true_s + 0.003 + late_s)
        clock = fit_clock(FrameStamps(stamps_s, tick, np.ones(tick.size, np.bool_)), where="camA")
        error_s = np.abs(clock.times_s - true_s - 0.003)
        assert np.quantile(error_s, 0.99) < 0.0002


@pytest.mark.slow
def test_a_killed_recorder_leaves_a_take_that_recovery_finishes_once(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    rig = tmp_path / "rig.yaml"
    write_rig(rig, rig_document())
    recorder = start_recording(lab, rig, 30.0)
    raw = take_folder(lab, name).with_name(".take.recording") / "raw"
    _wait(lambda: all((raw / f"cam{c}.part1.mkv").exists() for c in "AB"), lab.root, recorder)
    time.sleep(1.0)
    assert recover_recordings(lab)[0].why == "is being recorded"
    recorder.send_signal(signal.SIGKILL)
    recorder.wait()
    _wait(lambda: all("written" in (raw / f"cam{c}.events.jsonl").read_text() for c in "AB"), lab.root)
    (found,) = recover_recordings(lab)
    assert found.finished is not None, found.why
    assert found.finished.assessment.verdict.advice is Advice.REPEAT
    assert "the recording was cut short" in found.finished.assessment.verdict.reasons
    assert read_manifest(take_folder(lab, name))["status"] == "recovered"
    for camera in ("camA", "camB"):
        stored = read_stored(take_folder(lab, name), camera)
        assert stored.barcodes.size > 20
        assert (np.diff(stored.barcodes) == np.diff(found.finished.assessment.losses[camera].ticks)).all()
    verify_take(lab, name)
    before = (take_folder(lab, name) / "take.json").read_bytes()
    assert recover_recordings(lab) == []
    assert find_recordings(lab) == []
    assert (take_folder(lab, name) / "take.json").read_bytes() == before


@pytest.mark.slow
def test_a_full_disk_ends_the_take_and_a_killed_camera_process_goes_on(tmp_path: Path) -> None:
    """The limit on a file's size stands in for a disk that is full; camera processes are killed as well."""
    lab, name = make_trial(tmp_path / "lab")
    rig = tmp_path / "rig.yaml"
    write_rig(rig, rig_document())
    recorder = start_recording(lab, rig, 60.0, limit_bytes=5_000_000)
    recording = take_folder(lab, name).with_name(".take.recording")
    _wait(lambda: (recording / "raw/camB.part1.fts").exists(), lab.root, recorder)
    time.sleep(0.5)
    os.kill(_worker_of(recorder.pid, "camB"), signal.SIGKILL)
    assert recorder.wait() == 3, (lab.root / "said.err").read_text()
    assert "REPEAT" in (lab.root / "said.out").read_text()
    report = read_manifest(take_folder(lab, name))
    assert report["status"] == "degraded"
    take = load_take(lab, name)
    said = " ".join(take.notes)
    assert "the disk was full" in said
    assert "the process of camB died" in said
    for camera in ("camA", "camB"):
        stored = read_stored(take_folder(lab, name), camera)
        assert (np.diff(stored.barcodes) > 0).all()
    verify_take(lab, name)


def _wait(true: Callable[[], bool], lab: Path, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something is true; the test's own limit of time is the only one."""
    while not true():
        if process is not None and process.poll() is not None:
            pytest.fail((lab / "said.err").read_text())
        time.sleep(0.05)


def _worker_of(parent: int, camera: str) -> int:
    """The process of one camera: the child of the recorder that holds the camera's sidecar open."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"PPid:\t{parent}\n" not in (folder / "status").read_text():
                continue
            held = [str(link.readlink()) for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        if any(f"{camera}.part" in path for path in held):
            return int(folder.name)
    raise AssertionError(f"no process of {camera}")
