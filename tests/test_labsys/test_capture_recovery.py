"""Unfinished recordings: nobody's is touched while it is written, each is finished by itself, none is thrown away."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labsys.capture import parts
from labsys.capture.bench import run_bench
from labsys.capture.device import DriverError, Failure
from labsys.capture.parts import UNMATCHED
from labsys.capture.recorder import RecordRequest, record_take
from labsys.capture.recover import clear_unrecorded, recover_recordings
from labsys.capture.trigger import NoTrigger
from labsys.capture.watcher import RecorderState, Watcher
from labsys.core.errors import ConcurrencyError, InputError
from labsys.core.session import Trial, TrialKind, TrialName
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.lab import Lab, take_folder
from labsys.storage.recordings import (
    Recording,
    begin_recording,
    discard_recording,
    find_recordings,
    save_manifest,
    take_over,
)
from labsys.storage.sidecar import ROW, read_sidecar, write_sidecar
from labsys.storage.takes import has_take, verify_take
from labsys.storage.trials import save_trial, trial_codes
from labsys.storage.unrecorded import MARK, clear_abandoned
from tests.test_labsys.recorded_scene import make_trial, read_manifest, rig_document, start_recording, write_rig
from tests.test_labsys.test_capture_parts import _full
from tests.test_labsys.test_capture_recorder import _wait, _worker_of

CUT_SHORT = "the recording was cut short"
HOLDER = """
import sys
from pathlib import Path
from labsys.storage.locks import hold_file
with hold_file(Path(sys.argv[1]), what="it", alone=False):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a recording as a camera's process does."""
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def cut_short(lab: Lab, trial: str, *, n_parts: int = 1, n_frames: int = 30) -> Recording:
    """A recording whose recorder is gone: parts of one camera, and a manifest that knows no end."""
    name = TrialName("S01", "2026-11-22", trial)
    save_trial(lab, Trial(uuid="", name=name, kind=TrialKind.RUN, recorded_at="2026-11-22T10:00:00.000Z"))
    with begin_recording(take_folder(lab, name)) as recording:
        for number in range(1, n_parts + 1):
            _write_part(recording.raw / f"camA.part{number}.mkv", number, n_frames)
        save_manifest(recording, _manifest())
    return recording


def _write_part(path: Path, number: int, n_frames: int) -> None:
    video = JpegVideo(path, size_px=(64, 48), rate_hz=100.0)
    rows = np.zeros(n_frames, dtype=ROW)
    for i in range(n_frames):
        picture = b"\xff\xd8" + bytes(100 + i) + b"\xff\xd9"
        video.write(picture, i / 100)
        rows[i]["bytes"], rows[i]["seq"] = len(picture), i
        rows[i]["t_ns"] = rows[i]["t_host_ns"] = number * 1_000_000_000 + i * 10_000_000
    video.close()
    write_sidecar(path.with_suffix(".fts"), rows)


def _manifest() -> dict[str, Any]:
    return {
        "rig": "virtual", "rolling": False, "v_max_mps": 7, "grade_cap": "A", "clocks": {"start": {}},
        "window": {"from_ns": 1_000_000_000, "until_ns": 0}, "n_pulses": None,
        "cameras": {"camA": {"size_px": [64, 48], "rate_hz": 100.0}},
    }  # fmt: skip


def test_a_recording_that_a_camera_still_writes_is_left_alone(tmp_path: Path) -> None:
    """Its recorder is gone; the camera's process writes what it has still in memory."""
    lab, _ = make_trial(tmp_path / "lab")
    recording = cut_short(lab, "run2")
    before = sorted(p.name for p in recording.raw.iterdir())
    with _held_elsewhere(recording.lock) as holder:
        (found,) = recover_recordings(lab)
        assert (found.why, found.finished, found.failed) == ("is being recorded", None, False)
        assert sorted(p.name for p in recording.raw.iterdir()) == before
        holder.kill()
        holder.wait()
        (found,) = recover_recordings(lab)
    assert found.finished is not None, found.why
    assert find_recordings(lab) == []
    take = take_folder(lab, TrialName("S01", "2026-11-22", "run2"))
    assert not (take / "RECORDING").exists()


BEGINNER = """
import sys, time
from pathlib import Path
from labsys.core.session import Trial, TrialKind, TrialName
from labsys.storage.lab import open_lab, take_folder
from labsys.storage.recordings import begin_calibration_take, begin_recording
from labsys.storage.trials import begin_trial

lab, name = open_lab(Path(sys.argv[1])), TrialName.parse(sys.argv[2])
with (
    begin_trial(lab, Trial(uuid="", name=name, kind=TrialKind.RUN, recorded_at="2026-11-22T10:00:00.000Z")),
    begin_calibration_take(lab, "virtual") as board,
):
    if sys.argv[3] == "opening":
        held = [begin_recording(target) for target in (take_folder(lab, name), board)]
        [one.__enter__() for one in held]
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["begun", "opening"])
def test_what_was_killed_before_its_first_frame_is_gone_with_the_next_recovery(tmp_path: Path, moment: str) -> None:
    lab, name = make_trial(tmp_path / "lab")
    new = TrialName(name.subject, name.session, "run2")
    stated = sorted(trial_codes(lab, name.subject, name.session))
    words = [sys.executable, "-c", BEGINNER, str(lab.root), str(new), moment]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as beginner:
        assert beginner.stdout is not None
        assert beginner.stdout.readline() == "begun\n"
        assert not any(found.changed for found in recover_recordings(lab)), "it still opens its cameras"
        assert new.trial in trial_codes(lab, name.subject, name.session)
        beginner.kill()
    assert new.trial in trial_codes(lab, name.subject, name.session), "a kill leaves it"
    found = recover_recordings(lab)
    assert sorted(f.recording.target.parts[-3] for f in found) == ["2026-11-22", "calibrations"]
    assert all(f.changed and not f.failed and "removed" in f.why for f in found)
    assert list(trial_codes(lab, name.subject, name.session)) == stated, "a trial that somebody stated stays"
    assert list((lab.root / "calibrations").iterdir()) == []
    assert recover_recordings(lab) == []


def test_what_was_begun_and_recorded_is_never_removed(tmp_path: Path) -> None:
    """A kill after the take was made, or while it waits to be recovered, leaves the mark alone behind."""
    lab, _ = make_trial(tmp_path / "lab")
    recording = cut_short(lab, "run2")
    mark = recording.target.with_name(MARK)
    mark.touch()
    assert clear_unrecorded(lab) == []
    assert mark.exists()
    (found,) = recover_recordings(lab)
    assert found.finished is not None
    assert recording.target.is_dir()
    assert not mark.exists()
    (stated,) = (lab.root / "subjects").glob("*/*/run1")
    assert not clear_abandoned(stated), "nobody began it for a recording"


def test_whoever_finishes_a_recording_is_alone(tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    recording = cut_short(lab, "run2")
    with take_over(recording):
        assert [r.why for r in recover_recordings(lab)] == ["is being recorded"]
        with pytest.raises(ConcurrencyError, match="held by another process"), take_over(recording):
            pass
    with pytest.raises(ConcurrencyError, match="cut short here"), begin_recording(recording.target):
        pass
    recover_recordings(lab)
    with pytest.raises(ConcurrencyError, match="finished or removed meanwhile"), take_over(recording):
        pass


def test_a_recording_without_room_waits_and_the_others_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    stuck = cut_short(lab, "run2", n_parts=2)
    cut_short(lab, "run3")
    (cut_short(lab, "run4").folder / "manifest.json").write_text("{")
    empty = cut_short(lab, "run5", n_frames=0)
    kept = {p.name: p.read_bytes() for p in stuck.raw.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(parts.shutil, "disk_usage", _full)
        found = {r.recording.what[-4:]: r for r in recover_recordings(lab)}
    assert "not enough room to join the parts of camA" in found["run2"].why
    assert "labsys recover" in found["run2"].why
    assert {trial: r.failed for trial, r in found.items()} == {"run2": True, "run3": False, "run4": True, "run5": False}
    assert {p.name: p.read_bytes() for p in stuck.raw.iterdir()} == kept
    assert found["run3"].finished is not None
    assert found["run5"].why == "no frame had been stored; removed"
    assert not empty.folder.exists()
    found = {r.recording.what[-4:]: r for r in recover_recordings(lab)}
    assert found["run2"].finished is not None, found["run2"].why
    verify_take(lab, TrialName("S01", "2026-11-22", "run2"))
    assert found["run4"].failed, "what cannot be read is for a person"


def test_a_take_that_only_waited_for_room_is_not_said_to_be_cut_short(tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    ended = {"window": {"from_ns": 995_000_000, "until_ns": 1_295_000_001}}
    for trial, history, told in (("run2", ["recording", "stopped"], ()), ("run3", ["recording"], (CUT_SHORT,))):
        save_manifest(
            cut_short(lab, trial), {**_manifest(), **ended, "history": [{"status": h, "at": ""} for h in history]}
        )
        found = recover_recordings(lab)[-1]
        assert found.finished is not None, found.why
        assert found.finished.assessment.verdict.reasons == told
        assert found.finished.assessment.losses["camA"].due == 30


def test_pictures_that_fit_no_row_are_not_thrown_away_however_often_one_asks(tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    recording = cut_short(lab, "run2")
    part = recording.raw / "camA.part1.fts"
    rows = np.array(read_sidecar(part))
    rows["bytes"] += 3
    write_sidecar(part, rows)
    pictures = part.with_suffix(".mkv").read_bytes()
    for _ in range(3):
        (found,) = recover_recordings(lab)
        assert found.failed, found.why
        assert "holds no frames that fit their timestamps" in found.why
        assert (recording.raw / UNMATCHED / "camA.part1.mkv").read_bytes() == pictures
    with pytest.raises(InputError, match="holds frames and is not thrown away"):
        discard_recording(recording)


def test_frames_are_not_thrown_away(tmp_path: Path) -> None:
    lab, _ = make_trial(tmp_path / "lab")
    recording = cut_short(lab, "run2")
    with pytest.raises(InputError, match="holds frames and is not thrown away"):
        discard_recording(recording)
    assert (recording.subject, recording.what) == ("S01", "S01/2026-11-22/run2")


class _Interrupts(Watcher):
    """Ctrl-C at one moment: as an exception, or as the terminal passes it on."""

    def __init__(self, at: RecorderState, stop: threading.Event | None = None) -> None:
        self._at, self._stop = at, stop

    def changed(self, state: RecorderState) -> None:
        if state is not self._at:
            return
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop.set()


class _Refuses(NoTrigger):
    """A trigger box that is configured and then does not begin."""

    def configure(self, train: Any) -> None:
        """Nothing."""

    def start(self, n_pulses: int = 0) -> None:
        raise DriverError(Failure.IO, "the trigger box refuses")


@pytest.mark.slow
def test_what_fails_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    lab, name = make_trial(tmp_path / "lab")
    take, stop = take_folder(lab, name), threading.Event()
    rig = write_rig(tmp_path / "rig.yaml", rig_document(cameras=1))
    triggered = write_rig(tmp_path / "triggered.yaml", rig_document(cameras=1, triggered=True))
    with run_bench(rig) as bench:
        for watcher, raised, told in (
            (_Interrupts(RecorderState.ARMED), KeyboardInterrupt, None),
            (_Interrupts(RecorderState.OPENING, stop), InputError, "stopped before the take began"),
        ):
            with pytest.raises(raised, match=told):
                record_take(RecordRequest(take, rig, 1.0), bench=bench.folder, watcher=watcher, stop=stop)
            assert not take.with_name(".take.recording").exists()
        stop.clear()
        watcher = _Interrupts(RecorderState.RECORDING, stop)
        with pytest.raises(InputError, match=r"nothing was recorded: camA stored nothing"):
            record_take(RecordRequest(take, rig, 1.0), bench=bench.folder, watcher=watcher, stop=stop)
        assert not take.with_name(".take.recording").exists()
    with run_bench(triggered) as bench, pytest.raises(DriverError, match="the trigger box refuses"):
        record_take(RecordRequest(take, triggered, 1.0), bench=bench.folder, trigger=_Refuses())
    assert not take.with_name(".take.recording").exists()
    assert not has_take(lab, name)


def test_a_disk_that_refuses_to_begin_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space that is set aside for every camera cannot be had."""
    lab, name = make_trial(tmp_path / "lab")
    rig = write_rig(tmp_path / "rig.yaml", rig_document(cameras=1))

    def refuse(*_: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("labsys.capture.recorder.hold_reserve", refuse)
    with pytest.raises(InputError, match="cannot be recorded: No space left on device") as caught:
        record_take(RecordRequest(take_folder(lab, name), rig, 1.0), bench=tmp_path)
    assert "Make room" in caught.value.remedy
    assert not take_folder(lab, name).with_name(".take.recording").exists()


@pytest.mark.slow
def test_a_recorder_killed_while_its_cameras_write_is_not_recovered_under_them(tmp_path: Path) -> None:
    """The camera's process is stopped, so that it is still there when its recorder is gone."""
    lab, name = make_trial(tmp_path / "lab")
    write_rig(tmp_path / "rig.yaml", rig_document(cameras=1))
    recorder = start_recording(lab, tmp_path / "rig.yaml", 30.0)
    raw = take_folder(lab, name).with_name(".take.recording") / "raw"
    _wait(lambda: (raw / "camA.part1.mkv").exists(), lab.root, recorder)
    time.sleep(0.5)
    camera = _worker_of(recorder.pid, "camA")
    os.kill(camera, signal.SIGSTOP)
    try:
        recorder.kill()
        recorder.wait()
        assert [r.why for r in recover_recordings(lab)] == ["is being recorded"]
        assert (raw / "camA.part1.mkv").exists()
    finally:
        os.kill(camera, signal.SIGCONT)
    _wait(lambda: "written" in (raw / "camA.events.jsonl").read_text(), lab.root)
    _wait(lambda: (found := recover_recordings(lab)) == [] or found[0].finished is not None, lab.root)
    assert read_manifest(take_folder(lab, name))["status"] == "recovered"


ORPHAN = """
import os, subprocess, sys, pickle
code = "import sys, time; from labsys.capture.child_process import serve; time.sleep(0.5); serve(print)"
child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
child.stdin.write(pickle.dumps((os.getpid(), ("lives on",))))
child.stdin.close()
"""


@pytest.mark.slow
def test_a_process_whose_starter_is_gone_before_it_can_ask_ends_at_once() -> None:
    """Its starter ends half a second before the child asks to be told: the pipe ends with the child."""
    told = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == ("", ""), "it had all that it needs to say something"
