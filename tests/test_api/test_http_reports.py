"""Reports over HTTP: the documents that `labsys report` writes, for whoever may see the subject, noted as exports."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient

from api.access.audit import TERMINAL
from api.access.keys import KeyRequest, make_key
from api.access.roles import Role
from api.client import LabClient, ServiceError
from api.report.comparison import report_comparison
from api.report.page import make_page
from api.report.pdf import make_pdf
from api.report.sources import gather_comparison, gather_trial
from api.report.trial import report_trial
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from tests.test_api.page_text import read_page
from tests.test_api.test_releases import promoted, reprocess_by_hand

pytestmark = pytest.mark.slow

API = "/api/v1"
TRIAL = f"{API}/trials/S01/2026-11-01/run1/report"
PAIR = f"{API}/compare/report?subject=S01&pre=2026-11-01&post=2026-12-13"


def test_they_are_the_documents_of_the_terminal_and_noted_as_exports(client: TestClient, lab: Lab) -> None:
    trial = report_trial(gather_trial(lab, TrialName("S01", "2026-11-01", "run1")))
    pair = report_comparison(gather_comparison(lab, "S01", "2026-11-01", "2026-12-13"))
    for address, name, report in (
        (f"{TRIAL}?", "S01_2026-11-01_run1", trial),
        (PAIR, "S01_2026-11-01_2026-12-13", pair),
    ):
        pdf, page = (client.get(f"{address}&format={form}") for form in ("pdf", "html"))
        assert (pdf.content, page.text) == (make_pdf(report), make_page(report))
        assert pdf.headers["content-type"] == "application/pdf"
        assert pdf.headers["content-disposition"] == f'attachment; filename="{name}.pdf"'
        assert page.headers["content-disposition"] == f'attachment; filename="{name}.html"'
        assert page.headers["cache-control"] == "no-store"
    noted = [a["object"] for a in client.get(f"{API}/audit?action=export").json()["items"]]
    assert sorted(noted) == [
        "report of S01/2026-11-01 and S01/2026-12-13, html",
        "report of S01/2026-11-01 and S01/2026-12-13, pdf",
        "report of S01/2026-11-01/run1, html",
        "report of S01/2026-11-01/run1, pdf",
    ]


def test_pages_lead_to_them(client: TestClient) -> None:
    for page in ("/trials/S01/2026-11-01/run1", "/compare?subject=S01&pre=2026-11-01&post=2026-12-13"):
        links = [
            a.attributes["href"] for a in read_page(client.get(page).text).all("a") if "report?" in a.attributes["href"]
        ]
        assert [link.rpartition("format=")[2] for link in links] == ["pdf", "html"]
        assert client.get(links[1]).status_code == 200


def test_who_may_not_see_the_subject_learns_nothing(client: TestClient) -> None:
    with client.app.state.database.write() as session:  # type: ignore[attr-defined]
        asked = [KeyRequest(Role.VIEWER, subjects=(s,)) for s in ("S01", "S02")] + [KeyRequest(Role.ADMIN)]
        tokens = [make_key(session, TERMINAL, key)[1] for key in asked]
    granted, other, admin = ({"Authorization": f"Bearer {t.show()}"} for t in tokens)
    for address, absent in ((f"{TRIAL}?format=html", "S03"), (f"{PAIR}&format=html", "S03")):
        assert client.get(address, headers=granted).status_code == 200
        refused = client.get(address, headers=other)
        never = client.get(address.replace("S01", absent), headers=other)
        assert (refused.status_code, refused.text.replace("S01", "?")) == (404, never.text.replace("S03", "?"))
    noted = client.get(f"{API}/audit?action=export", headers=admin).json()["items"]
    assert len(noted) == 2, "what was refused is no export"


def test_what_is_asked_wrongly_is_refused(client: TestClient) -> None:
    assert client.get(TRIAL).content.startswith(b"%PDF")
    for wrong in (f"{TRIAL}?format=docx", f"{TRIAL}?format=pdf&as_of=never", f"{PAIR}&format=pdf&as_of=never"):
        assert client.get(wrong).status_code == 422, wrong
    assert client.get(f"{TRIAL.replace('run1', 'run9')}?format=pdf").status_code == 404
    for trial in ("run1", "run2"):
        body = {"excluded": True, "exclusion_reason": "shoe came off"}
        assert client.patch(f"{API}/trials/S01/2026-12-13/{trial}", json=body).status_code == 200
    refused = client.get(f"{PAIR}&format=pdf")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:labsys:problem:not-comparable")


def test_a_release_is_respected_by_reports_trends_and_the_client(
    lab: Lab, open_client: Callable[[Lab], TestClient]
) -> None:
    promoted(lab, "spring", of_present=True)
    client = open_client(lab)
    service = LabClient(client)
    visits = ("S01", "2026-11-01", "2026-12-13")
    before = service.compare(*visits)["rows"]
    trend = service.trend("S01", "hip_ext_excursion_stance", "left")["series"]
    curves = [t.text for t in read_page(client.get("/subjects/S01").text).one("section", "trend-card").all("tbody")]
    reprocess_by_hand(lab)
    promoted(lab, "autumn")
    assert service.compare(*visits)["rows"] != before == service.compare(*visits, as_of="spring")["rows"]
    now, then = (service.trend("S01", "hip_ext_excursion_stance", "left", as_of=r)["series"] for r in (None, "spring"))
    assert now[0]["points"] != trend[0]["points"] == then[0]["points"]

    old = service.comparison_report(*visits, format="html", as_of="spring").decode()
    new = service.comparison_report(*visits, format="html").decode()
    assert old != new
    assert ("spring" in old, "spring" in new, "autumn" in new) == (True, False, True)
    runs = [service.trial_report("S01/2026-11-01/run1", format="html", as_of=r) for r in ("spring", "autumn", None)]
    assert runs[0] != runs[1] == runs[2]
    with pytest.raises(ServiceError, match="Did you mean 'spring'"):
        service.trend("S01", "cadence", "both", as_of="sprin")

    page = read_page(client.get("/subjects/S01?as_of=spring").text)
    assert [t.text for t in page.one("section", "trend-card").all("tbody")] == curves
    assert [
        t.text for t in read_page(client.get("/subjects/S01").text).one("section", "trend-card").all("tbody")
    ] != curves
    assert "As it was in release spring" in page.text
    hidden = [i.attributes for i in page.all("input") if i.attributes.get("name") == "as_of"]
    assert [i["value"] for i in hidden] == ["spring", "spring"], "comparing and choosing a metric keep to the release"
    assert client.get("/subjects/S01?as_of=sprin").status_code == 422
