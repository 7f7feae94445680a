"""A report as one HTML page: no script, no network, drawings as inline SVG."""

from __future__ import annotations

from api.report.blocks import Report
from calibration.pages.rendering import open_templates

_TEMPLATES = open_templates("api", "report/templates")


def make_page(report: Report) -> str:
    """The page; equal reports give equal text."""
    return _TEMPLATES.get_template("report.html").render(report=report)
