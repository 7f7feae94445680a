"""From a recording's parts to a take: the same steps after a clean stop and after a crash, each safe to repeat.

Parts of one camera are joined into raw/CAMERA.mkv and .fts, rows are held against packets, clocks are fitted, and the
take appears with one rename. What is judged here is judged from files alone, so that a recovery says what a stop says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labsys.capture.losses import NS, Losses, Recorded, Window, account
from labsys.capture.sync_quality import SyncQuality, judge_sync, pulse_times
from labsys.capture.verdict import TakeVerdict, judge_take
from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.storage.atomic import write_json_atomic, write_text_atomic
from labsys.storage.recordings import (
    Recording,
    as_take_file,
    load_manifest,
    publish_recording,
    save_manifest,
)
from labsys.storage.sidecar import Rows, is_bad, read_sidecar, write_sidecar
from labsys.storage.takes import CameraFile, Take, TakeFile
from labsys.storage.video import JpegVideo, read_pictures

_TIMESTAMPS = "files/timestamps.csv"
_GRAVE_EVENTS = {
    "disk_full": "the disk was full",
    "disk_failed": "the disk failed",
    "lost": "{camera} was lost: {why}",
    "frozen": "{camera} froze: {why}",
    "died": "the process of {camera} died",
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


def assess_recording(recording: Recording, *, cut_short: bool = False) -> Assessment:
    """Judge a recording from its sidecars and events (InputError: a damaged sidecar)."""
    manifest = load_manifest(recording.folder)
    return _assess(recording, manifest, cut_short=cut_short)


def finish_recording(recording: Recording, *, status: str = "") -> FinishedTake:
    """Make the take. status: what the manifest says in place of complete or degraded, such as recovered.

    Raises:
        InputError: nothing was stored, or a part is damaged in a way that cutting its end does not mend.
    """
    manifest = load_manifest(recording.folder)
    if not manifest:
        raise InputError("was cut short before it began", where=str(recording.folder))
    for camera in _cameras(manifest):
        _join_parts(recording.raw, camera, manifest["cameras"][camera])
    found = _assess(recording, manifest, cut_short=status == "recovered")
    if not any(f.stored for f in found.losses.values()):
        raise InputError("holds no frames", where=str(recording.folder))
    _write_timestamps(recording.folder / _TIMESTAMPS, found, manifest)
    report = describe(found)
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
        "longest_gap": losses.gaps[0][1] if losses.gaps else 0,
        "slower_than_asked": losses.slow,
        "frames_beyond_pulses": losses.surplus,
    }
    return counts if clock is None else counts | {key: _number(value) for key, value in asdict(clock).items()}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _cameras(manifest: Mapping[str, Any]) -> list[str]:
    return list(manifest["cameras"])


def _assess(recording: Recording, manifest: Mapping[str, Any], *, cut_short: bool) -> Assessment:
    recorded = {camera: _read(recording.raw, camera, manifest) for camera in _cameras(manifest)}
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
    happened = _name_happenings(recorded)
    cap = str(manifest["grade_cap"])
    return Assessment(
        recorded, losses, sync, judge_take(losses, sync, happened=happened, cut_short=cut_short, grade_cap=cap)
    )


def _until(manifest: Mapping[str, Any], recorded: Mapping[str, Recorded]) -> int:
    """When the take ended: as the recorder said, or with the last frame of any camera where it did not live to say."""
    if "stop" in manifest["clocks"]:
        return int(manifest["window"]["until_ns"])
    return max((int(r.rows["t_ns"][-1]) + 1 for r in recorded.values() if r.rows.size), default=0)


def _name_happenings(recorded: Mapping[str, Recorded]) -> list[str]:
    said = dict[str, None]()
    for camera, found in recorded.items():
        for event in found.events:
            if event["event"] in _GRAVE_EVENTS:
                said[_GRAVE_EVENTS[event["event"]].format(camera=camera, why=event.get("why", ""))] = None
    return list(said)


def _read(raw: Path, camera: str, manifest: Mapping[str, Any]) -> Recorded:
    joined = raw / f"{camera}.fts"
    starts = raw / f"{camera}.parts.json"
    if joined.exists() and starts.exists():
        rows = read_sidecar(joined)
        parts = [p for p in np.split(rows, json.loads(starts.read_text())) if p.size]
    else:
        parts = [read_sidecar(p) for p in _part_sidecars(raw, camera)]
    period_s = 1.0 / float(manifest["cameras"][camera]["rate_hz"])
    return Recorded(camera, tuple(parts), tuple(_read_events(raw / f"{camera}.events.jsonl")), period_s)


def _part_sidecars(raw: Path, camera: str) -> list[Path]:
    found = list(raw.glob(f"{camera}.part*.fts"))
    return sorted(found, key=lambda p: int(p.name.removeprefix(f"{camera}.part").removesuffix(".fts")))


def _read_events(path: Path) -> list[Mapping[str, Any]]:
    """All whole lines; the last may have been cut by a crash."""
    if not path.exists():
        return []
    events = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


def _join_parts(raw: Path, camera: str, facts: Mapping[str, Any]) -> None:
    """Make CAMERA.mkv and .fts of its parts. CAMERA.parts.json says where parts begin; once it stands, parts may go."""
    done = raw / f"{camera}.parts.json"
    sidecars = _part_sidecars(raw, camera)
    if not done.exists() and sidecars:
        rows = [_hold_together(sidecar) for sidecar in sidecars]
        video = raw / f"{camera}.mkv"
        if len(sidecars) == 1 and _is_closed(raw, camera) and rows[0].size == read_sidecar(sidecars[0]).size:
            _link(sidecars[0].with_suffix(".mkv"), video)
        else:
            _copy_parts(sidecars, rows, video, facts)
        write_sidecar(raw / f"{camera}.fts", np.concatenate(rows))
        write_text_atomic(done, json.dumps(np.cumsum([r.size for r in rows])[:-1].tolist()))
    for sidecar in sidecars:
        sidecar.with_suffix(".mkv").unlink(missing_ok=True)
        sidecar.unlink()


def _link(part: Path, video: Path) -> None:
    video.unlink(missing_ok=True)
    video.hardlink_to(part)


def _is_closed(raw: Path, camera: str) -> bool:
    events = {e["event"] for e in _read_events(raw / f"{camera}.events.jsonl")}
    return "written" in events and not events & {"disk_full", "disk_failed", "died"}


def _hold_together(sidecar: Path) -> Rows:
    """The rows whose packets are whole, up to the first that differs."""
    rows = read_sidecar(sidecar)
    video = sidecar.with_suffix(".mkv")
    if not video.exists() or not rows.size:
        return rows[:0]
    sizes = [len(picture) for picture in _pictures_or_none(video)]
    n = min(len(sizes), rows.size)
    differing = np.flatnonzero(np.asarray(sizes[:n]) != rows["bytes"][:n])
    return rows[: int(differing[0]) if differing.size else n]


def _pictures_or_none(video: Path) -> list[bytes]:
    try:
        return list(read_pictures(video))
    except InputError:
        return []  # killed before its header was whole: nothing is in it


def _copy_parts(sidecars: list[Path], rows: list[Rows], video: Path, facts: Mapping[str, Any]) -> None:
    temporary = video.with_name(f".{video.name}")
    temporary.unlink(missing_ok=True)
    kept = [(s, r) for s, r in zip(sidecars, rows, strict=True) if r.size]
    if not kept:
        return
    first_ns = int(kept[0][1]["t_ns"][0])
    width, height = facts["size_px"]
    out = JpegVideo(temporary, size_px=(width, height), rate_hz=float(facts["rate_hz"]))
    for sidecar, part in kept:
        for picture, row in zip(read_pictures(sidecar.with_suffix(".mkv")), part, strict=False):
            out.write(picture, (int(row["t_ns"]) - first_ns) / NS)
    out.close()
    temporary.replace(video)


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
        times_s = rows["t_ns"] / NS if at_s is None else at_s[ticks]
        kinds = ["bad" if bad else "real" for bad in is_bad(rows)]
        lines += [
            f"{camera},{moment - begin_s:.9f},{tick},{kind}"
            for moment, tick, kind in zip(times_s, ticks, kinds, strict=True)
        ]
    write_text_atomic(path, "\n".join([*lines, ""]))


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
