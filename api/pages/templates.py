"""The templates, and how a page is sent."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.access.roles import Means, Principal
from api.access.rules import rule_named
from api.pages import marks, trend_chart, words

_MENU = (
    ("show_recording", "/record", "Record"),
    ("show_calibrations", "/calibrations", "Calibrations"),
    ("show_jobs", "/jobs", "Jobs"),
    ("show_releases", "/releases", "Releases"),
    ("show_admin", "/admin", "Administration"),
)


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of this lab. Pages are never kept by the browser: the next person may not see them."""
    known = getattr(request.state, "principal", None) is not None
    lab_name = request.app.state.lab.name if known else "labsys"  # strangers do not learn whose lab this is
    page = _templates().get_template(template)
    text = page.render(lab={"name": lab_name}, signed_in_as=_name_of(request), menu=_menu(request), **values)
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


def _name_of(request: Request) -> str:
    """Who is signed in with a browser; "" in a lab without users, and for programs."""
    principal: Principal | None = getattr(request.state, "principal", None)
    return principal.name if principal is not None and principal.means in (Means.LOGIN, Means.LINK) else ""


def _menu(request: Request) -> list[tuple[str, str]]:
    """Address and word of every other page that the one who asks may see; programs need no menu."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None or principal.means is Means.KEY:
        return []
    return [(address, word) for rule, address, word in _MENU if rule_named(rule).lets_in(principal)]


@cache
def _templates() -> Environment:
    loader = PackageLoader("api", "web/templates")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters |= {
        "figure": words.figure,
        "quantity": words.quantity,
        "interval": words.interval,
        "verdict": words.verdict,
        "line_verdict": words.line_verdict,
        "described": words.describe,
        "remark": words.remark,
        "angle": words.describe_angle,
        "goal_direction": words.goal_direction,
        "status": words.status,
        "condition": words.condition,
        "day": words.day,
        "minute": words.minute,
        "unit_sign": words.unit_sign,
        "change_mark": marks.change_mark,
    }
    templates.globals |= {
        "MARK_WIDTH": marks.WIDTH,
        "PARTS": marks.PARTS,
        "TREND_WIDTH": trend_chart.WIDTH,
        "TREND_HEIGHT": trend_chart.HEIGHT,
    }
    return templates
