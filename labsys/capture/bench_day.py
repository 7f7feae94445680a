"""The first day at a real rig: what a computer can measure by itself, and the list of what a person has to try.

Results go to RIG.bench.json beside the rig file. What a person wrote under `by_hand` is kept when it is measured again.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labsys.capture.finalise import describe
from labsys.capture.preflight.run import run_preflight
from labsys.capture.recorder import RecordRequest, record_take
from labsys.capture.studio import Studio
from labsys.core.clock import utc_now
from labsys.storage.atomic import read_json, write_json_atomic
from labsys.storage.recordings import load_manifest

BY_HAND: Mapping[str, str] = {
    "frame_late_by_one": "trigger 100 pulses with a flash on pulse 50: is it in frame 50 of every camera?",
    "flash_offset_ms": "50 flashes at random moments: how late is each camera against it?",
    "rolling_row_us": "a strobing light: rows from one band to the next, for cameras with a rolling shutter",
    "exposure_is_monotonic": "exposure_time_absolute 4, 8, 16, 32: twice as bright each time?",
    "trigger_controls": "which control switches this camera to external trigger, and back?",
    "unplug_5": "unplug and replug each camera five times while recording: does the take go on and say so?",
    "soak_30_min": "with record.max_minutes: 30 in the rig file, record 30 minutes: frames lost, temperature",
    "kill_5": "kill -9 the recorder five times, labsys recover: frames lost",
    "power_cut_2": "cut the power twice while recording, labsys recover: seconds lost",
    "other_ports": "rig measure with every camera in every port: which ports share a controller?",
}


def measure_rig(studio: Studio, folder: Path, *, rig_text: str, seconds: float) -> dict[str, Any]:
    """Check a rig and record a take that is thrown away; what was found, as JSON. folder: on the lab's disk."""
    found = run_preflight(studio, folder, planned_s=seconds)
    document: dict[str, Any] = {
        "rig": studio.rig.name,
        "measured_at": utc_now(),
        "host": platform.node(),
        "kernel": platform.release(),
        "checks": [{"check": r.check, "outcome": r.outcome.value, "what": r.what} for r in found.results],
    }
    if found.failed:
        return document | {"recorded_s": 0.0, "report": None}
    with tempfile.TemporaryDirectory(prefix=".measure-", dir=folder) as room:
        target = Path(room) / "take"
        request = RecordRequest(target, studio.rig, seconds, rig_text)
        finished = record_take(request, bench=studio.bench, trigger=studio.trigger)
        manifest = load_manifest(target)
    told = {key: manifest.get(key) for key in ("cameras", "workers", "n_pulses", "trigger")}
    return document | {"recorded_s": seconds, "report": describe(finished.assessment), **told}


def save_measurement(rig_file: Path, document: Mapping[str, Any]) -> Path:
    """Write RIG.bench.json; answers that a person gave before are kept."""
    path = rig_file.with_name(f"{rig_file.stem}.bench.json")
    before = read_json(path).get("by_hand", {}) if path.exists() else {}
    by_hand = {name: before.get(name, {"try": what, "found": None}) for name, what in BY_HAND.items()}
    write_json_atomic(path, {**document, "by_hand": by_hand})
    return path
