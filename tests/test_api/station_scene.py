"""A short protocol in a lab, and a station whose process does nothing, so that only its orders are heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from api.recording.led_visit import LedVisit
from api.recording.station import Station
from api.recording.station_state import Opened
from api.recording.visits import Visit
from api.schemas.capture import StationPhase
from labsys.capture.protocol import Protocol, load_protocol
from labsys.core.session import Session
from labsys.storage.lab import Lab
from tests.test_labsys.recorded_scene import rig_document, write_rig

PROTOCOL: dict[str, Any] = {
    "schema": "labsys.protocol/1",
    "name": "short",
    "steps": [
        {"kind": "static", "seconds": 1},
        {"kind": "familiarisation", "seconds": 60},
        {"kind": "run", "speed_mps": "preferred", "seconds": 1},
    ],
    "required": ["shoes"],
}
ANSWERS = {"shoes": "Brand-X", "speed_mps": "3.1"}
VISIT = {"order": "visit", "subject": "S01", "protocol": "short", "session": "new", "answers": ANSWERS}


def add_protocol(lab: Lab) -> Protocol:
    """The short one, and one that asks for pain."""
    path = lab.root / "protocols" / "short.yaml"
    path.write_text(yaml.safe_dump(PROTOCOL), encoding="utf-8")
    pained = {**PROTOCOL, "name": "pained", "steps": PROTOCOL["steps"][:1], "required": ["pain_0_10"]}
    path.with_name("pained.yaml").write_text(yaml.safe_dump(pained), encoding="utf-8")
    return load_protocol(path)


def make_station(lab: Lab, folder: Path) -> Station:
    """A station of a rig whose cameras would stream."""
    rig = write_rig(folder / "rig.yaml", rig_document())
    station = Station(lab, rig, "", folder, Opened("treadmill", "Ann", "2026-11-22T10:12:00.000Z"))
    station._state.enter(StationPhase.WALL)
    return station


def make_led(protocol: Protocol) -> LedVisit:
    """A visit that has begun."""
    session = Session(uuid="", subject="S01", session="today", captured_at="2026-11-22T10:00:00.000Z")
    return LedVisit(Visit(protocol, session, {"shoes": "Brand-X"}, 3.1))
