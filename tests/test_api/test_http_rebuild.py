"""Deleting the database and indexing the folder again changes no answer, whatever was edited before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from api.index import index_lab, index_subject
from labsys.core.catalogue import METRICS
from labsys.storage.lab import Lab

API = "/api/v1"
EDITS = (
    ("trials/S01/2026-11-01/run1", {"notes": "Treadmill squeaks; “loud”"}),
    ("trials/S01/2026-12-13/run1", {"excluded": True, "exclusion_reason": "Shoe came off"}),
    ("trials/S02/2026-11-03/walk1", {"conditions": {"speed_mps": 1.4, "pain_0_10": 2.5}}),
    ("sessions/S01/2026-12-13", {"phase": "followup", "anthropometry": {"mass_kg": 60.2}, "scores": {"lefs": 64}}),
    ("sessions/S01/2026-11-01", {"notes": "Slept badly"}),
    ("subjects/S02", {"sex": "male", "birth_year": 1980, "consent": ["video", "research"]}),
    (
        "episodes/S01/acl-left",
        {
            "notes": "Second surgery planned",
            "goals": [{"metric": "cadence", "side": "both", "direction": "toward_higher", "date": "2026-11-05"}],
        },
    ),
)


@pytest.mark.slow
def test_rebuilt_index_gives_equal_bytes_for_every_get(any_lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(any_lab)
    for path, change in EDITS:
        answer = client.patch(f"{API}/{path}", json=change)
        assert answer.status_code == 200, answer.text
    new = {"subject": "S02", "session": "2026-12-01", "captured_at": "2026-12-01T08:00:00+01:00"}
    assert client.post(f"{API}/sessions", json=new).status_code == 201
    before = {url: _answer(client, url) for url in _every_url(client)}

    client.__exit__(None, None, None)
    _delete_database(any_lab)
    index_lab(any_lab)

    again = open_client(any_lab)
    after = {url: _answer(again, url) for url in _every_url(again)}
    assert after == before
    assert b"Shoe came off" in after[f"{API}/trials/S01/2026-12-13/run1"][1]


def test_every_get_of_the_service_is_compared(client: TestClient) -> None:
    templates = {
        p for p, operations in client.get(f"{API}/openapi.json").json()["paths"].items() if "get" in operations
    }
    assert len(templates) >= 20
    urls = list(_every_url(client))
    for template in templates:
        head = template.split("{")[0]
        assert any(url.startswith(head) for url in urls), template


def _every_url(client: TestClient) -> Iterator[str]:
    """Every GET of OpenAPI with every noun that exists, the tables in every format, and the pages."""
    kinds = ("subjects", "episodes", "sessions", "trials", "runs")
    nouns = {kind: client.get(f"{API}/{kind}").json()["items"] for kind in kinds}
    names = {
        "/subjects/{subject}": [s["code"] for s in nouns["subjects"]],
        "/episodes/{subject}/{episode}": [f"{e['subject']}/{e['label']}" for e in nouns["episodes"]],
        "/sessions/{subject}/{session}": [f"{s['subject']}/{s['session']}" for s in nouns["sessions"]],
        "/trials/{subject}/{session}/{trial}": [t["name"] for t in nouns["trials"]],
        "/runs/{subject}/{session}/{trial}/{run}": [f"{r['trial']}/{r['run']}" for r in nouns["runs"]],
    }
    for template, operations in client.get(f"{API}/openapi.json").json()["paths"].items():
        if "get" not in operations:
            continue
        path = template.removeprefix(API)
        pattern = max((n for n in names if path.startswith(n)), key=len, default=None)
        if pattern is None:
            yield template
            continue
        for name in names[pattern]:
            yield API + path.replace(pattern, f"/{pattern.split('/')[1]}/{name}")
    subject, visits = "S01", [s["session"] for s in nouns["sessions"] if s["subject"] == "S01"]
    for pre, post in product(visits, visits):
        yield f"{API}/compare?subject={subject}&pre={pre}&post={post}"
        yield f"/compare?subject={subject}&pre={pre}&post={post}"
    for metric in METRICS:
        yield from (f"{API}/trend?subject=S01&metric={metric.id}&side={side}" for side in metric.sided.sides)
    for form, run in product(("json", "csv", "parquet", "arrow"), ("current", "all")):
        yield f"{API}/tables/trial_metrics?format={form}&run={run}"
    yield from ("/", "/subjects/S01", "/trials/S01/2026-12-13/run1")


def _answer(client: TestClient, url: str) -> tuple[int, bytes, str | None]:
    answer = client.get(url)
    assert answer.status_code < 500, f"{url}: {answer.text}"
    return answer.status_code, answer.content, answer.headers.get("etag")


def _delete_database(lab: Lab) -> None:
    if lab.database.startswith("sqlite"):
        files = list(lab.root.glob("labsys.db*"))
        assert files
        for file in files:
            Path(file).unlink()
        return
    engine = create_engine(lab.database)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("code", ["S01", "S02"])
def test_indexing_one_subject_again_changes_nothing(
    code: str, lab: Lab, open_client: Callable[[Lab], TestClient]
) -> None:
    client = open_client(lab)
    before = {url: _answer(client, url) for url in _every_url(client)}
    index_subject(lab, code)
    assert {url: _answer(client, url) for url in _every_url(client)} == before
