"""The first pages: every noun reachable by links, everything escaped, nothing loaded from elsewhere."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient

COMPARE = "/compare?subject=S01&pre=2026-11-01&post=2026-12-13"
PAGES = (
    "/", "/subjects/S01", "/trials/S01/2026-11-01/run1", "/trials/S01/2026-11-01/static1", COMPARE, "/jobs",
    "/calibrations", "/calibrations/2026-11-01_rig_001", "/admin", "/admin/audit",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_pages_load_nothing_from_elsewhere_and_hold_no_inline_code(path: str, client: TestClient) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    for target in re.findall(r'(?:src|href|action)="([^"]*)"', answer.text):
        assert target.startswith("/") or target == "#content", target
        assert not target.startswith("//"), target
    for attributes, code in re.findall(r"<script([^>]*)>(.*?)</script>", answer.text, re.S):
        assert "src=" in attributes or "application/json" in attributes, "code in the page"
        assert not code.strip() or "application/json" in attributes
    assert not re.search(r" on\w+=", answer.text)
    assert " style=" not in answer.text
    assert "<style" not in answer.text


@pytest.mark.slow
def test_every_link_leads_somewhere(client: TestClient) -> None:
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        assert answer.status_code == 200, path
        seen.add(path)
        if answer.headers["content-type"].startswith("text/html"):
            links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*)"', answer.text)]
            waiting += [link for link in links if link not in seen and link not in waiting]
    assert "/trials/S02/2026-11-03/walk1" in seen
    assert "/static/labsys.css" in seen


@pytest.mark.slow
def test_what_people_typed_is_escaped(client: TestClient) -> None:
    nasty = "<script>alert(1)</script>\"'&"
    client.patch("/api/v1/subjects/S01", json={"notes": nasty})
    client.patch("/api/v1/trials/S01/2026-11-01/run1", json={"notes": nasty, "conditions": {"footwear": nasty}})
    client.patch("/api/v1/trials/S01/2026-12-13/run2", json={"excluded": True, "exclusion_reason": nasty})
    for path in ("/subjects/S01", "/trials/S01/2026-11-01/run1", "/trials/S01/2026-12-13/run2"):
        text = client.get(path).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text


def test_comparison_page_says_verdicts_in_words(client: TestClient) -> None:
    text = client.get(COMPARE).text
    assert re.search(r"no change larger than \d+\.\d° could be seen", text)
    assert "−0.0<" not in text


def test_trial_page_shows_intervals_and_missing_values(client: TestClient) -> None:
    text = client.get("/trials/S02/2026-11-03/walk1").text
    assert re.search(r"\d+\.\d to \d+\.\d", text)
    assert "needs landmarks of tier T3" in text
