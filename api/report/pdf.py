"""A report as PDF. The only file that knows typst; its template is code, everything typed by people is data to it."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from typing import Literal

import typst

from api.report.blocks import Report


def make_pdf(report: Report) -> bytes:
    """The report on pages of A4; equal reports give equal bytes."""
    return b"".join(_compiled(report, "pdf"))


def make_pictures(report: Report, *, dots_per_inch: float) -> tuple[bytes, ...]:
    """Each page as PNG."""
    return _compiled(report, "png", dots_per_inch)


def _compiled(report: Report, kind: Literal["pdf", "png"], dots_per_inch: float | None = None) -> tuple[bytes, ...]:
    plain = asdict(report) | {"made_at": report.made_at.isoformat()}
    compiler = typst.Compiler(input=_template(), sys_inputs={"report": json.dumps(plain)})
    made = compiler.compile(format=kind, ppi=dots_per_inch, timestamp=report.made_at)
    if made is None:
        raise RuntimeError("typst gave nothing back")
    return tuple(made) if isinstance(made, list) else (made,)


def _template() -> bytes:
    return files("api").joinpath("report/templates/report.typ").read_bytes()
