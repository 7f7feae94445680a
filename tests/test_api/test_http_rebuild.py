"""Deleting the database and indexing the folder again changes no answer, whatever was edited before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from api.indexing.index import index_lab, index_subject
from labsys.storage.lab import Lab
from tests.test_api.every_url import OWNED, every_url

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
    before = {url: _answer(client, url) for url in every_url(client)}

    client.__exit__(None, None, None)
    _delete_database(any_lab)
    index_lab(any_lab)

    again = open_client(any_lab)
    after = {url: _answer(again, url) for url in every_url(again)}
    assert after == before
    assert b"Shoe came off" in after[f"{API}/trials/S01/2026-12-13/run1"][1]


@pytest.mark.slow
def test_every_get_of_the_service_is_compared(client: TestClient) -> None:
    templates = {
        p
        for p, operations in client.get(f"{API}/openapi.json").json()["paths"].items()
        if "get" in operations and p.removeprefix(f"{API}/").split("/")[0] not in OWNED
    }
    assert len(templates) >= 20
    urls = list(every_url(client))
    for template in templates:
        head = template.split("{")[0]
        assert any(url.startswith(head) for url in urls), template


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
def test_indexing_one_subject_again_changes_nothing(lab: Lab, open_client: Callable[[Lab], TestClient]) -> None:
    client = open_client(lab)
    before = {url: _answer(client, url) for url in every_url(client)}
    for code in ("S01", "S02"):
        index_subject(lab, code)
        assert {url: _answer(client, url) for url in every_url(client)} == before, code
