"""The page that a technician records with. What it shows moves: its script follows the station (routes/capture.py)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from api.database.tables import SubjectRow
from api.dependencies import LabDep, SessionDep
from api.pages.templates import render
from api.recording.visits import SPEED, needs_speed, protocol_file, protocol_names
from labsys.capture.protocol import Protocol, load_protocol
from labsys.capture.rig import load_recordable_rig
from labsys.capture.tags import load_tags
from labsys.core.errors import LabsysError
from labsys.core.session import Phase
from labsys.storage.board_takes import list_board_takes
from labsys.storage.calibrations import list_calibrations
from labsys.storage.lab import Lab
from labsys.storage.recordings import find_recordings

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

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
        boards=sorted(path.stem for path in (lab.root / "boards").glob("*.yaml")),
        board_takes=list(reversed(list_board_takes(lab))),
        tags=_surveyed_tags(lab),
        cut_short=[recording.what for recording in find_recordings(lab)],
    )


def _surveyed_tags(lab: Lab) -> list[str]:
    """Tag sets that say where LAB is; one that cannot be read says nothing."""
    found = []
    for path in sorted((lab.root / "tags").glob("*.yaml")):
        with suppress(LabsysError):
            found += [path.stem] if load_tags(path).surveyed else []
    return found


def _rigs(lab: Lab) -> tuple[list[dict[str, str]], list[str]]:
    """Rigs that can be recorded with, and why the others cannot."""
    found, faults = [], []
    for path in sorted((lab.root / "rigs").glob("*.yaml")):
        try:
            rig = load_recordable_rig(path)
        except LabsysError as error:
            faults.append(f"Rig {path.stem}: {error.what}")
            continue
        found.append({"name": path.stem, "said": f"{path.stem}, {len(rig.cameras)} cameras, driver {rig.driver}"})
    return found, faults


def _protocols(lab: Lab) -> tuple[list[dict[str, Any]], list[str]]:
    """Protocols with the fields that they ask for, and why others cannot be used."""
    found, faults = [], []
    for name in protocol_names(lab):
        try:
            protocol = load_protocol(protocol_file(lab, name))
        except LabsysError as error:
            faults.append(f"Protocol {name}: {error.what}")
            continue
        found.append({"name": name, "fields": _fields(protocol)})
    return found, faults


def _fields(protocol: Protocol) -> list[tuple[str, str]]:
    """Name and question of every field."""
    names = [*protocol.required, *([SPEED] if needs_speed(protocol) else [])]
    return [(name, _QUESTIONS[name]) for name in names]
