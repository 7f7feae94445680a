"""What a recording says of itself: the rig as it was set, the machine, and how each camera's process fared."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Mapping
from typing import Any

from labsys import __version__
from labsys.capture.crew import CameraWorker
from labsys.capture.rig import Rig
from labsys.capture.status import Count
from labsys.core.clock import utc_now

_STOPPED = "stopped"


def describe_rig(rig: Rig, workers: Mapping[str, CameraWorker]) -> dict[str, Any]:
    """The manifest as it begins: who records with what, and what each camera told when it was open."""
    return {
        "schema_version": 1,
        "uuid": str(uuid.uuid4()),
        "status": "recording",
        "history": [{"status": "recording", "at": utc_now()}],
        "labsys": __version__,
        "host": platform.node(),
        "kernel": platform.release(),
        "rig": rig.name,
        "clocks": {"start": read_clocks()},
        "rolling": rig.is_rolling,
        "v_max_mps": rig.task.v_max_mps,
        "grade_cap": rig.grade_cap,
        "cameras": {name: _describe_camera(rig, name, workers[name]) for name in rig.cameras},
    }


def note_stop(manifest: dict[str, Any], until_ns: int, n_pulses: int | None) -> None:
    """The recorder itself ended the take, then and after so many pulses."""
    manifest["window"]["until_ns"] = until_ns
    manifest["n_pulses"] = n_pulses
    manifest["history"].append({"status": _STOPPED, "at": utc_now()})


def ran_to_its_end(manifest: Mapping[str, Any]) -> bool:
    """Whether the recorder ended the take itself: what failed later, such as room to join its parts, cost no frame."""
    return any(entry["status"] == _STOPPED for entry in manifest.get("history", []))


def _describe_camera(rig: Rig, camera: str, worker: CameraWorker) -> dict[str, Any]:
    mode = rig.stream_of(camera)
    return {
        "port": worker.plan.port,
        "size_px": [mode.width, mode.height],
        "rate_hz": worker.plan.rate_hz,
        "fourcc": mode.fourcc,
        **worker.told,
    }


def describe_worker(worker: CameraWorker) -> dict[str, Any]:
    """What a camera's process was granted and needed."""
    counts = worker.counts
    return {
        "priority": int(counts[Count.PRIORITY]),
        "cpu_s": counts[Count.CPU_US] / 1e6,
        "most_waiting": int(counts[Count.MOST_WAITING]),
        "latest_dequeue_ms": counts[Count.DEQUEUE_LATE_US] / 1e3,
    }


def read_clocks() -> dict[str, int]:
    """The monotonic clock beside the one that people read, and the one that goes on while the machine sleeps, where
    the system has it; two of these show what happened to them meanwhile."""
    clocks = {"monotonic_ns": time.monotonic_ns(), "realtime_ns": time.time_ns()}
    if hasattr(time, "CLOCK_BOOTTIME"):
        clocks["boottime_ns"] = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return clocks


def measure_sleep_s(manifest: Mapping[str, Any]) -> float:
    """How long the machine slept while it recorded: no other clock of the take saw it. 0 where nobody can say."""
    return _gain_s(manifest, "boottime_ns", over="monotonic_ns")


def measure_clock_step_s(manifest: Mapping[str, Any]) -> float:
    """By how much the clock that people read was set while it recorded; 0 where nobody can say."""
    asleep_s = measure_sleep_s(manifest)
    return _gain_s(manifest, "realtime_ns", over="monotonic_ns") - asleep_s


def _gain_s(manifest: Mapping[str, Any], clock: str, *, over: str) -> float:
    start, stop = (manifest["clocks"].get(when, {}) for when in ("start", "stop"))
    if not all(name in read for name in (clock, over) for read in (start, stop)):
        return 0.0
    return float(stop[clock] - start[clock] - stop[over] + start[over]) / 1e9
