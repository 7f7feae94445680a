"""The visit that a page orders: everything of it is checked before its session is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.recording.visits import (
    SPEED,
    Visit,
    check_conditions,
    preferred_speed,
    read_answers,
    save_visit,
)
from labsys.capture.protocol import Protocol
from labsys.core.errors import UnknownNameError
from labsys.storage.lab import Lab


def open_visit(lab: Lab, protocol: Protocol, order: Mapping[str, Any]) -> Visit:
    """The visit that is ordered, its session saved (UnknownNameError, InputError: as it is refused)."""
    from labsys.storage.calibrations import list_calibrations
    from labsys.storage.erasures import refuse_new_take
    from labsys.storage.subjects import require_subject

    subject, calibration = str(order["subject"]), str(order.get("calibration", ""))
    require_subject(lab, subject)
    refuse_new_take(lab, subject)
    if calibration and calibration not in list_calibrations(lab):
        raise UnknownNameError("calibration", calibration, valid=list_calibrations(lab))
    texts = {name: str(text) for name, text in dict(order.get("answers", {})).items()}
    answers = read_answers(protocol, texts)
    speed_mps = preferred_speed(protocol, texts.get(SPEED, ""))
    check_conditions(protocol, answers, speed_mps)
    session = save_visit(lab, subject, str(order.get("session", "")), answers)
    return Visit(protocol, session, answers, speed_mps, calibration)
