"""From a recording's parts to a take: the same steps after a clean stop and after a crash, each safe to repeat.

Parts of one camera are joined into raw/CAMERA.mkv and .fts, rows are held against packets, clocks are fitted, and the
take appears with one rename. What is judged here is judged from files alone, so that a recovery says what a stop says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labsys.capture.device import StampSource
from labsys.capture.losses import Losses, Window, account
from labsys.capture.manifest import measure_clock_step_s, measure_sleep_s, ran_to_its_end
from labsys.capture.parts import UNMATCHED, foresee_parts, join_parts, read_events, read_parts
from labsys.capture.stream import NS, Recorded
from labsys.capture.sync_quality import SyncQuality, judge_sync, pulse_times
from labsys.capture.verdict import TakeVerdict, judge_take
from labsys.core.arrays import FloatArray
from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.core.frame_clock import FrameClock
from labsys.storage.atomic import write_json_atomic, write_text_atomic
from labsys.storage.recordings import (
    Recording,
    as_take_file,
    load_manifest,
    publish_recording,
    save_manifest,
)
from labsys.storage.sidecar import Rows, is_bad, stamp_source
from labsys.storage.takes import CameraFile, Take, TakeFile

_TIMESTAMPS = "files/timestamps.csv"
_ASLEEP_S = 0.1  # two clocks are read one after the other
_GRAVE_EVENTS = {
    "disk_full": "the disk was full",
    "disk_failed": "the disk failed",
    "lost": "{camera} was lost: {why}",
    "frozen": "{camera} froze: {why}",
    "died": "the process of {camera} died",
    UNMATCHED: "{camera}: {why}",
}
_NOTED_EVENTS = {
    "trigger_exit_failed": "{camera} was left waiting for pulses: {why}",
    "close_failed": "a file of {camera} could not be ended: {why}",
}


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a recording is worth."""

    recorded: Mapping[str, Recorded]
    losses: Mapping[str, Losses]
    sync: SyncQuality
    verdict: TakeVerdict


@dataclass(frozen=True, eq=False)
class FinishedTake:
    """What a recording became."""

    take: Take
    assessment: Assessment


def assess_recording(recording: Recording) -> Assessment:
    """Judge a recording before its parts are joined, as it will be judged then (InputError: a damaged sidecar)."""
    manifest = load_manifest(recording.folder)
    recorded = {
        camera: _as_recorded(camera, manifest, *foresee_parts(recording.raw, camera)) for camera in _cameras(manifest)
    }
    return _assess(recorded, manifest, cut_short=False)


def finish_recording(recording: Recording, *, status: str = "") -> FinishedTake:
    """Make the take. status: what the manifest says in place of complete or degraded, such as recovered.

    Raises:
        InputError: nothing was stored, a sidecar is none, or the disk has no room; what was recorded is still there.
    """
    try:
        return _finish(recording, status)
    except OSError as error:
        raise InputError(
            f"the take cannot be finished: {error.strerror or error}",
            where=str(recording.folder),
            remedy="Make room on the disk, then run 'labsys recover'",
        ) from error


def _finish(recording: Recording, status: str) -> FinishedTake:
    manifest = load_manifest(recording.folder)
    if not manifest:
        raise InputError("was cut short before it began", where=str(recording.folder))
    for camera in _cameras(manifest):
        join_parts(recording.raw, camera, manifest["cameras"][camera])
    recorded = {camera: _read(recording.raw, camera, manifest) for camera in _cameras(manifest)}
    found = _assess(recorded, manifest, cut_short=status == "recovered" and not ran_to_its_end(manifest))
    if not any(f.stored for f in found.losses.values()):
        raise InputError(
            "holds no frames that fit their timestamps",
            where=str(recording.folder),
            remedy=f"What was recorded is kept in {recording.raw}, for a person to look at",
        )
    _write_timestamps(recording.folder / _TIMESTAMPS, found, manifest)
    report = {**describe(found), "clock_set_by_s": round(measure_clock_step_s(manifest), 3)}
    write_json_atomic(recording.folder / "report.json", report)
    degraded = any(f.lost or f.n_corrupt for f in found.losses.values())
    ended = status or ("degraded" if degraded else "complete")
    history = [*manifest.get("history", []), {"status": ended, "at": utc_now()}]
    save_manifest(recording, {**manifest, "status": ended, "history": history})
    take = _make_take(recording, manifest, found)
    publish_recording(recording, take)
    return FinishedTake(take, found)


def describe(found: Assessment) -> dict[str, Any]:
    """An assessment as JSON, times in ms, lengths in mm."""
    sync = found.sync
    return {
        "verdict": found.verdict.advice.value,
        "reasons": list(found.verdict.reasons),
        "grade": sync.grade,
        "grade_rests_on": list(sync.reasons),
        "timing_ms": _number(1000 * sync.timing_s),
        "error_mm_at_task_speed": _number(1000 * sync.error_m),
        "skew_ms": _number(1000 * sync.skew_s),
        "cameras": {name: _describe_camera(found, name) for name in found.losses},
    }


def _describe_camera(found: Assessment, name: str) -> dict[str, Any]:
    losses, clock = found.losses[name], found.sync.cameras.get(name)
    counts = {
        "due": losses.due,
        "stored": losses.stored,
        "lost_in_camera": losses.in_camera,
        "lost_in_kernel": losses.in_kernel,
        "lost_in_recorder": losses.in_recorder,
        "lost_to_disk": losses.to_disk,
        "lost_in_outage": losses.outage,
        "corrupt": losses.n_corrupt,
        "unsure_beside_losses": losses.n_unsure,
        "longest_gap": losses.gaps[0][1] if losses.gaps else 0,
        "slower_than_asked": losses.slow,
        "frames_beyond_pulses": losses.surplus,
    }
    return counts if clock is None else counts | {key: _number(value) for key, value in asdict(clock).items()}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _cameras(manifest: Mapping[str, Any]) -> list[str]:
    return list(manifest["cameras"])


def _assess(recorded: Mapping[str, Recorded], manifest: Mapping[str, Any], *, cut_short: bool) -> Assessment:
    pulses = manifest.get("n_pulses")
    window = Window(int(manifest["window"]["from_ns"]), _until(manifest, recorded), pulses)
    losses = account(recorded, window)
    sync = judge_sync(
        recorded,
        losses,
        n_pulses=pulses,
        rolling=bool(manifest["rolling"]),
        v_max_mps=float(manifest["v_max_mps"]),
        cap=str(manifest["grade_cap"]),
    )
    happened = _name_happenings(recorded, _GRAVE_EVENTS)
    if "stopped_because" in manifest:
        happened.append(f"stopped early: {manifest['stopped_because']}")
    if (asleep_s := measure_sleep_s(manifest)) > _ASLEEP_S:
        happened.append(f"the machine slept for {asleep_s:.1f} s")
    verdict = judge_take(
        losses,
        sync,
        happened=happened,
        noted=_name_happenings(recorded, _NOTED_EVENTS),
        cut_short=cut_short,
        lasted_s=_measure_length(window, losses),
        step_s=float(manifest.get("step_s", 0.0)),
    )
    return Assessment(recorded, losses, sync, verdict)


def _measure_length(window: Window, losses: Mapping[str, Losses]) -> float:
    """How long the take is, s: of pulses by their number, since cameras wait on after the last one."""
    if window.n_pulses is None:
        return max(window.until_ns - window.from_ns, 0) / NS
    return max((f.due * f.period_s for f in losses.values()), default=0.0)


def _until(manifest: Mapping[str, Any], recorded: Mapping[str, Recorded]) -> int:
    """When the take ended: as the recorder said, or with the last frame of any camera where it did not live to say."""
    if "stop" in manifest["clocks"] or ran_to_its_end(manifest):
        return int(manifest["window"]["until_ns"])
    return max((int(r.rows["t_ns"][-1]) + 1 for r in recorded.values() if r.rows.size), default=0)


def _name_happenings(recorded: Mapping[str, Recorded], words: Mapping[str, str]) -> list[str]:
    said = dict[str, None]()
    for camera, found in recorded.items():
        for event in found.events:
            if event["event"] in words:
                said[words[event["event"]].format(camera=camera, why=event.get("why", ""))] = None
    return list(said)


def _read(raw: Path, camera: str, manifest: Mapping[str, Any]) -> Recorded:
    return _as_recorded(camera, manifest, read_parts(raw, camera), read_events(raw, camera))


def _as_recorded(
    camera: str, manifest: Mapping[str, Any], parts: Sequence[Rows], events: Sequence[Mapping[str, Any]]
) -> Recorded:
    return Recorded(camera, tuple(parts), tuple(events), 1.0 / float(manifest["cameras"][camera]["rate_hz"]))


def _write_timestamps(path: Path, found: Assessment, manifest: Mapping[str, Any]) -> None:
    """cam_id,frame_time,frame,kind: times of a trigger's pulses, else the driver's stamps; s from the take's start."""
    begin_s = int(manifest["window"]["from_ns"]) / NS
    pulses = manifest.get("n_pulses")
    at_s = None
    if pulses is not None and found.sync.clocks:
        n_pulses = 1 + max(int(f.ticks[-1]) for f in found.losses.values() if f.ticks.size)
        at_s = pulse_times(found.sync.clocks, found.losses, n_pulses)
    lines = ["cam_id,frame_time,frame,kind"]
    for camera, recorded in found.recorded.items():
        rows, ticks = recorded.rows, found.losses[camera].ticks
        times_s = _own_times(rows, found.sync.clocks.get(camera)) if at_s is None else at_s[ticks]
        kinds = np.select([is_bad(rows), found.losses[camera].unsure], ["bad", "unsure"], "real")
        lines += [
            f"{camera},{moment - begin_s:.9f},{tick},{kind}"
            for moment, tick, kind in zip(times_s, ticks, kinds, strict=True)
        ]
    write_text_atomic(path, "\n".join([*lines, ""]))


def _own_times(rows: Rows, clock: FrameClock | None) -> FloatArray:
    """(N,) s: the driver's stamps. One that was the host's for want of a better is that of the camera's clock, for
    which it did not count; where every stamp is the host's there is no clock, and nothing better.
    """
    stamped = stamp_source(rows) != StampSource.HOST
    times_s = rows["t_ns"] / NS
    return times_s if clock is None else np.where(stamped, times_s, clock.times_s)


def _make_take(recording: Recording, manifest: Mapping[str, Any], found: Assessment) -> Take:
    folder, cameras, files = recording.folder, dict[str, CameraFile](), dict[str, TakeFile]()
    for camera, losses in found.losses.items():
        if not losses.stored:
            continue
        path = f"raw/{camera}.mkv"
        width, height = manifest["cameras"][camera]["size_px"]
        rate_hz = 1.0 / losses.period_s
        video = as_take_file(folder, path)
        cameras[camera] = CameraFile(path, video.sha256, (width, height), losses.stored, rate_hz)
        files[f"sidecar-{camera}"] = as_take_file(folder, f"raw/{camera}.fts")
    files |= {"timestamps": as_take_file(folder, _TIMESTAMPS), "manifest": as_take_file(folder, "manifest.json")}
    files["report"] = as_take_file(folder, "report.json")
    files |= {role: as_take_file(folder, path) for role, path in manifest.get("kept", {}).items()}
    verdict = found.verdict
    notes = (f"sync grade {verdict.grade}", f"verdict {verdict.advice.value}", *verdict.reasons)
    return Take(
        rate_hz=float(np.median([c.rate_hz for c in cameras.values()])),
        cameras=cameras,
        files=files,
        calibration=str(manifest.get("calibration", "")),
        source=f"recorded with rig {manifest['rig']}",
        notes=notes,
    )
