"""Pages of calibrations: which there are, how good one is, and the report that was written when it was made."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from api.database.tables import RunRow, TrialRow
from api.dependencies import LabDep, SessionDep
from api.pages.templates import render
from api.routing import Router
from api.schemas.trials import TrialDocument
from labsys.core.errors import UnknownNameError
from labsys.storage.board_takes import list_board_takes, read_refusal_page
from labsys.storage.calibrations import (
    find_calibration_page,
    list_calibrations,
    read_calibration_page,
    read_calibration_report,
)

router = Router(prefix="/calibrations", include_in_schema=False, default_response_class=HTMLResponse)

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


@router.get("")
def show_calibrations(request: Request, lab: LabDep) -> HTMLResponse:
    """All calibrations, the latest first."""
    found = [(name, read_calibration_report(lab, name).get("grade")) for name in reversed(list_calibrations(lab))]
    waiting = [take for take in reversed(list_board_takes(lab)) if not take.is_calibrated]
    return render(request, "calibrations.html", calibrations=found, waiting=waiting)


@router.get("/{calibration}")
def show_calibration(request: Request, db: SessionDep, lab: LabDep, calibration: Name) -> HTMLResponse:
    """One calibration in figures, and the trials whose run that counts rests on it."""
    report = read_calibration_report(lab, calibration)
    statement = select(TrialRow).join(RunRow, RunRow.trial_id == TrialRow.id)
    statement = statement.where(RunRow.is_current, RunRow.calibration == calibration).order_by(TrialRow.recorded_at)
    return render(
        request,
        "calibration.html",
        calibration=calibration,
        facts=_facts(report),
        has_report=find_calibration_page(lab, calibration) is not None,
        trials=[TrialDocument.of(row) for row in db.scalars(statement)],
    )


@router.get("/{calibration}/report")
def show_calibration_report(lab: LabDep, calibration: Name) -> HTMLResponse:
    """The report with its drawings, as it was written, of a refusal too. Its own style sheet alone is let through, by
    its hash."""
    text = read_refusal_page(lab, calibration) or read_calibration_page(lab, calibration)
    if text is None:
        raise UnknownNameError("report of calibration", calibration, valid=())
    return HTMLResponse(text, headers={"Content-Security-Policy": _policy(text), "Cache-Control": "no-store"})


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    """What a report says in one word or number."""
    kept = {key: value for key, value in report.items() if isinstance(value, str | int | float) and value != ""}
    return {key.replace("_", " ").capitalize(): _said(value) for key, value in kept.items()}


def _said(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if not isinstance(value, bool) else "yes" if value else "no"


def _policy(text: str) -> str:
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in _STYLE.findall(text)]
    styles = " ".join(f"'sha256-{d}'" for d in digests) or "'none'"
    return f"default-src 'none'; style-src {styles}; img-src data:; base-uri 'none'; form-action 'none'; sandbox"
