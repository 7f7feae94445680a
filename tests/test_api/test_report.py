"""Reports: the documents' own words and numbers, one content as PDF and HTML, on one or two pages."""

from __future__ import annotations

import io
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdf
import pytest

from api.pages import words
from api.report.blocks import FOOTER, Facts, Picture, Pictures, Report, Section, Table, Words
from api.report.comparison import MOST_CHANGES, report_comparison
from api.report.curves import HEIGHT, Line, draw_curves
from api.report.page import make_page
from api.report.pdf import make_pdf
from api.report.sources import ComparisonSources, gather_comparison, gather_trial
from api.report.trial import report_trial
from labsys.core.session import Conditions, Surface, TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.trials import load_trial, save_trial
from tests.test_api.audited import audited
from tests.test_api.cli_answer import Answer, Run, make_runner
from tests.test_api.page_text import read_page

ROOT = Path(__file__).parent.parent.parent
RUN = TrialName("S01", "2026-11-01", "run1")
VISITS = ("S01/2026-11-01", "S01/2026-12-13")
MARKUP = "#panic() *bold* $x$ <script>alert(1)</script> [x] @y {{ 7*7 }} \"quoted\" 'so' &amp; \\ `code` // gone"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], lab: Lab) -> Run:
    """`labsys … --lab LAB`."""
    labsys = make_runner(capsys)
    return lambda *given: labsys(*given, "--lab", lab.root)


def _read_pdf(pdf: bytes) -> tuple[int, str]:
    """Pages and text, spaces as one."""
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return len(pages), " ".join(" ".join(p.extract_text() for p in pages).split())


def _squeezed(text: str) -> str:
    """Without spaces: where a line breaks in a PDF is no matter."""
    return re.sub(r"\s", "", text)


def _texts(report: Report) -> list[str]:
    """Every text of a report."""
    found = [report.title, report.about, report.footer]
    for section in report.sections:
        found.append(section.heading)
        for block in section.blocks:
            match block:
                case Facts():
                    found += [text for row in block.rows for text in row]
                case Words():
                    found += [block.head, block.text]
                case Table():
                    found += [*block.headers, *(cell for row in block.rows for cell in row)]
                case Pictures():
                    found += [block.note, *(t for p in block.pictures for t in (p.title, p.description))]
    return [text for text in found if text]


def _comparison(lab: Lab) -> ComparisonSources:
    return gather_comparison(lab, "S01", "2026-11-01", "2026-12-13")


def _both(lab: Lab) -> tuple[Report, Report]:
    return report_trial(gather_trial(lab, RUN)), report_comparison(_comparison(lab))


@pytest.mark.slow
def test_pdf_and_page_hold_every_text_of_a_report(lab: Lab) -> None:
    for report in _both(lab):
        pages, in_pdf = _read_pdf(make_pdf(report))
        page = read_page(make_page(report))
        assert pages in (1, 2)
        assert len(page.all("svg")) >= 1
        for text in _texts(report):
            assert _squeezed(text) in _squeezed(in_pdf), text
            assert _squeezed(text) in _squeezed(page.text), text


@pytest.mark.slow
def test_a_comparison_says_what_http_says(lab: Lab, open_client: Callable[[Lab], Any]) -> None:
    query = "subject=S01&pre=2026-11-01&post=2026-12-13"
    document = open_client(lab).get(f"/api/v1/compare?{query}").json()
    _, said = _read_pdf(make_pdf(report_comparison(_comparison(lab))))
    goals = [r for r in document["rows"] if r["family"] == "goal"]
    changes = [r for r in document["rows"] if r["verdict"] in ("larger_than_error", "possible_change")]
    assert goals
    assert changes
    for row in [*goals, *changes]:
        cells = (
            words.quantity(row["change"], row["unit"], signed=True),
            words.interval(row["ci95"], row["unit"], signed=True),
            words.quantity(row["detectable_change"], row["unit"]),
            words.verdict(row),
        )
        assert _squeezed("".join(cells)) in _squeezed(said), row["id"]
    assert _squeezed(words.describe(goals[0]["id"])) in _squeezed(said)
    assert "goal: toward higher values" in said
    assert "verdicts are provisional" in said
    for warning in document["warnings"]:
        assert _squeezed(warning) in _squeezed(said)
    assert _squeezed("grade A") in _squeezed(said)


def test_goals_stand_before_changes(lab: Lab) -> None:
    tables = [b for s in report_comparison(_comparison(lab)).sections for b in s.blocks if isinstance(b, Table)]
    assert ["goal:" in row[0] for row in tables[0].rows] == [True] * len(tables[0].rows)
    assert not [row for table in tables[1:] for row in table.rows if "goal:" in row[0]]


@pytest.mark.slow
def test_every_row_is_shown_or_counted_and_two_pages_are_enough(lab: Lab) -> None:
    sources = _comparison(lab)
    many = [
        r | {"verdict": "possible_change", "reason": None} if r["family"] != "goal" else r
        for r in sources.comparison["rows"]
    ]
    report = report_comparison(replace(sources, comparison={**sources.comparison, "rows": many}))
    changes = next(s for s in report.sections if s.heading == "Changes")
    (table,) = [b for b in changes.blocks if isinstance(b, Table)]
    others = sum(r["family"] != "goal" for r in many)
    assert len(table.rows) == MOST_CHANGES < others
    assert any(f"{others - MOST_CHANGES} further rows" in text for text in _texts(report))
    assert _read_pdf(make_pdf(report))[0] <= 2


def test_rows_of_too_few_strides_are_counted_and_not_printed_as_changes(lab: Lab) -> None:
    sources = _comparison(lab)
    few = [r if r["family"] == "goal" else r | {"verdict": "indicative_only"} for r in sources.comparison["rows"]]
    report = report_comparison(replace(sources, comparison={**sources.comparison, "rows": few}))
    changes = next(s for s in report.sections if s.heading == "Changes")
    assert not [b for b in changes.blocks if isinstance(b, Table)]
    others = sum(r["family"] != "goal" for r in few)
    assert any(f"{others} rows rest on too few strides" in text for text in _texts(report))


def test_a_trial_says_who_when_how_and_from_where(lab: Lab) -> None:
    sources = gather_trial(lab, RUN)
    _, said = _read_pdf(make_pdf(report_trial(sources)))
    result = sources.result
    for text in ("S01", "2026-11-01", "3.00 m/s", "=cmd|shoe", "grade A", result["run"], "default values", FOOTER):
        assert _squeezed(text) in _squeezed(said), text
    shown = [m for m in result["metrics"] if m["id"] == "hip_ext_excursion_stance" and m["mean"] is not None]
    assert shown
    for metric in shown:
        cells = words.quantity(metric["mean"], "deg"), words.interval(metric["ci95"], "deg")
        assert _squeezed("".join(cells)) in _squeezed(said)
    for finding in result["findings"]:
        assert _squeezed(finding["title"]) in _squeezed(said)
        if finding["status"] in ("flagged", "borderline"):
            assert _squeezed(finding["text"]) in _squeezed(said)


@pytest.mark.slow
def test_equal_content_gives_equal_bytes(lab: Lab) -> None:
    for first, second in zip(_both(lab), _both(lab), strict=True):
        assert make_pdf(first) == make_pdf(second)
        assert make_page(first) == make_page(second)
        written = pypdf.PdfReader(io.BytesIO(make_pdf(first))).metadata
        assert written is not None
        assert written.creation_date == first.made_at
    assert _both(lab)[0].made_at == datetime(2026, 11, 1, 9, 40, 30, tzinfo=UTC)


def test_what_people_typed_comes_out_as_text() -> None:
    picture = Picture(
        MARKUP, MARKUP, draw_curves([Line(MARKUP, [0.0] * 101, [1.0] * 101, "#000")], width=300, unit_sign="")
    )
    blocks = (
        Facts(((MARKUP, MARKUP),)),
        Words(MARKUP, head=MARKUP, warning=True),
        Table((MARKUP, "n"), ((MARKUP, "1"),), wide=(0,), right=(1,)),
        Pictures((picture,), columns=2, note=MARKUP),
    )
    report = Report(MARKUP, MARKUP, datetime(2026, 11, 1, tzinfo=UTC), (Section(MARKUP, blocks),))
    _, in_pdf = _read_pdf(make_pdf(report))
    assert _squeezed(in_pdf).count(_squeezed(MARKUP)) >= len(_texts(report)) - 1
    html = make_page(report)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= len(_texts(report)) - 1
    ET.fromstring(picture.svg)


@pytest.mark.slow
def test_typed_reasons_do_not_break_a_report(lab: Lab, run: Run, tmp_path: Path) -> None:
    assert run("trial", "exclude", str(RUN), "--reason", MARKUP).code == 0
    for out in (tmp_path / "t.pdf", tmp_path / "t.html"):
        assert run("report", str(RUN), "--out", out).code == 0
    assert _squeezed(MARKUP) in _squeezed(_read_pdf((tmp_path / "t.pdf").read_bytes())[1])
    assert "<script" not in (tmp_path / "t.html").read_text()


@pytest.mark.slow
def test_the_command_writes_what_its_ending_says(run: Run, lab: Lab, tmp_path: Path) -> None:
    pdf, page = tmp_path / "change.pdf", tmp_path / "change.html"
    answer = run("report", *VISITS, "--out", pdf, "--json")
    assert answer.json == {"of": list(VISITS), "file": str(pdf)}
    assert pdf.read_bytes().startswith(b"%PDF")
    assert run("report", *VISITS, "--out", page).out.strip() == str(page)
    assert read_page(page.read_text()).one("h1").text == "S01: 2026-11-01 and 2026-12-13"
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["change.html", "change.pdf"]
    exports = [f"report of {' and '.join(VISITS)}, {kind}" for kind in ("pdf", "html")]
    assert audited(lab, "export") == exports, "as over HTTP"


@pytest.mark.slow
def test_a_page_needs_no_network_and_no_script(lab: Lab) -> None:
    for report in _both(lab):
        html = make_page(report)
        assert not re.search(r"<(script|link|img|iframe)\b|url\(|@import|\bsrc=|\bhref=", html)


def _refused(answer: Answer, code: int, *said: str) -> None:
    assert answer.code == code, answer
    assert answer.out == ""
    assert len(answer.err.strip().splitlines()) == 1
    for text in said:
        assert text in answer.err


def test_refusals_write_nothing(lab: Lab, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "new.pdf"
    raw = TrialName("S01", "2026-11-01", "raw")
    save_trial(
        lab,
        replace(load_trial(lab, RUN), uuid="", name=raw, kind=TrialKind.RUN, conditions=Conditions(Surface.TREADMILL)),
    )
    _refused(run("report", str(raw), "--out", out), 2, "not processed yet", f"labsys process {raw}")
    _refused(run("report", "S01/2026-11-01/run9", "--out", out), 2, "run9")
    _refused(run("report", "S01/2026-11-01", "--out", out), 2, "one visit")
    _refused(run("report", VISITS[0], VISITS[0], "--out", out), 2, "itself")
    _refused(run("report", VISITS[0], "S02/2026-11-03", "--out", out), 2, "two subjects")
    _refused(run("report", *VISITS, "--run", "r1", "--out", out), 2, "--run")
    _refused(run("report", str(RUN), "--out", tmp_path / "new.docx"), 2, ".pdf or .html")
    _refused(run("report", str(RUN), "--out", tmp_path / "absent" / "new.pdf"), 2, "does not exist")
    _refused(run("report", str(RUN), "--out", lab.root / "subjects" / "S01" / "new.pdf"), 2, "written once")
    assert not list(tmp_path.glob("*.*"))


@pytest.mark.slow
def test_visits_that_may_not_be_compared_are_refused_with_the_reason(lab: Lab, run: Run, tmp_path: Path) -> None:
    for trial in ("run1", "run2"):
        assert run("trial", "exclude", f"{VISITS[1]}/{trial}", "--reason", "shoe came off").code == 0
    _refused(run("report", *VISITS, "--out", tmp_path / "c.pdf"), 3, "cannot be compared")
    assert not (tmp_path / "c.pdf").exists()


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "kept.pdf"
    out.write_text("mine")
    _refused(run("report", str(RUN), "--out", out), 2, "is there already")
    assert out.read_text() == "mine"


def test_a_curve_is_drawn_where_its_values_are() -> None:
    mean: list[float | None] = [float(p) for p in range(101)]
    mean[50] = None
    svg = draw_curves([Line("left", mean, [0.0] * 101, "#123456", toe_off_pct=36.0)], width=300, unit_sign="°")
    path = next(p for p in ET.fromstring(svg) if p.get("stroke") == "#123456" and p.get("fill") == "none")
    drawn = path.get("d", "")
    assert drawn.count("M") == 2  # a gap at 50 %
    points = [tuple(map(float, xy.split())) for xy in re.split("[ML]", drawn) if xy]
    assert len(points) == 100
    (x0, y0), (x1, y1) = points[0], points[-1]
    assert 0 < x0 < x1 < 300
    assert HEIGHT > y0 > y1 > 0
    for (x, y), value in zip(points, [v for v in mean if v is not None], strict=True):
        assert x == pytest.approx(x0 + value / 100 * (x1 - x0), abs=0.1)
        assert y == pytest.approx(y0 + value / 100 * (y1 - y0), abs=0.1)


def test_a_curve_without_values_leaves_its_axes() -> None:
    assert "<svg" in draw_curves([Line("left", [None] * 101, [None] * 101, "#000")], width=300, unit_sign="°")


def test_the_templates_are_part_of_the_package() -> None:
    """A wheel holds every file below `api` that git does not ignore."""
    templates = sorted((ROOT / "api/report/templates").iterdir())
    assert [t.name for t in templates] == ["report.html", "report.typ"]
    ignored = subprocess.run(["git", "check-ignore", *map(str, templates)], cwd=ROOT, capture_output=True, check=False)
    assert ignored.stdout == b""
