"""The page that a technician records with. What it shows moves: its script follows the station (routes/capture.py)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from api.database.tables import SubjectRow
from api.dependencies import LabDep, SessionDep
from api.pages.templates import render
from api.recording.visits import SPEED, needs_speed
from api.routing import Router
from labsys.capture.protocol import Protocol, load_protocol
from labsys.capture.tags import load_surveyed_tags
from labsys.core.errors import LabsysError
from labsys.core.session import Phase
from labsys.storage.board_takes import list_board_takes
from labsys.storage.calibrations import list_calibrations
from labsys.storage.lab import Lab
from labsys.storage.recordings import find_recordings
from labsys.storage.templates import find_template, list_templates

router = Router(include_in_schema=False, default_response_class=HTMLResponse)

# What a protocol may ask for, as it is asked.
_QUESTIONS = {
    "shoes": "Shoes",
    "pain_0_10": "Pain, 0 to 10",
    "palpated_by": "Palpated by",
    "leg_length_m": "Leg length, m",
    "mass_kg": "Mass, kg",
    "height_m": "Height, m",
    "operator": "Operator",
    "phase": "Phase",
    SPEED: "Preferred speed, m/s",
}


@router.get("/record")
def show_recording(request: Request, db: SessionDep, lab: LabDep) -> HTMLResponse:
    """The camera wall, the check, the visit by its protocol, the take that runs, and its verdict."""
    rigs, unusable = _rigs(lab)
    protocols, broken = _protocols(lab)
    return render(
        request,
        "record.html",
        rigs=rigs,
        protocols=protocols,
        faults=[*unusable, *broken],
        subjects=list(db.scalars(select(SubjectRow.code).order_by(SubjectRow.code))),
        calibrations=list(reversed(list_calibrations(lab))),
        phases=[phase.value for phase in Phase],
        boards=list_templates(lab, "board"),
        board_takes=list(reversed(list_board_takes(lab))),
        tags=_surveyed_tags(lab),
        cut_short=[recording.what for recording in find_recordings(lab)],
    )


def _surveyed_tags(lab: Lab) -> list[str]:
    """Tag sets that say where LAB is; one that cannot be read says nothing."""
    found = []
    for name in list_templates(lab, "tag"):
        with suppress(LabsysError):
            load_surveyed_tags(lab, name)
            found.append(name)
    return found


def _rigs(lab: Lab) -> tuple[list[dict[str, str]], list[str]]:
    """Rigs that can be recorded with, and why the others cannot."""
    from labsys.capture.rig import load_recordable_rig  # a twentieth of a start, which records nothing

    found, faults = [], []
    for name in list_templates(lab, "rig"):
        try:
            rig = load_recordable_rig(find_template(lab, "rig", name))
        except LabsysError as error:
            faults.append(f"Rig {name}: {error.what}")
            continue
        found.append({"name": name, "said": f"{name}, {len(rig.cameras)} cameras, driver {rig.driver}"})
    return found, faults


def _protocols(lab: Lab) -> tuple[list[dict[str, Any]], list[str]]:
    """Protocols with the fields that they ask for, and why others cannot be used."""
    found, faults = [], []
    for name in list_templates(lab, "protocol"):
        try:
            protocol = load_protocol(find_template(lab, "protocol", name))
        except LabsysError as error:
            faults.append(f"Protocol {name}: {error.what}")
            continue
        found.append({"name": name, "fields": _fields(protocol)})
    return found, faults


def _fields(protocol: Protocol) -> list[tuple[str, str]]:
    """Name and question of every field."""
    names = [*protocol.required, *([SPEED] if needs_speed(protocol) else [])]
    return [(name, _QUESTIONS[name]) for name in names]
