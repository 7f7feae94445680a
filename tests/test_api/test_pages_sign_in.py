"""Coming in and going out with a browser; programs and the API see nothing of it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from api.pages.problem_page import inner_address
from tests.test_api.page_text import read_page

pytestmark = pytest.mark.usefixtures("cheap_hashes")

API = "/api/v1"
ADMIN = {"name": "mk", "password": "four words that go together"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def admin(client: TestClient) -> TestClient:
    """The service, set up, with its admin signed in."""
    assert client.post(f"{API}/access/setup", json=ADMIN).status_code == 201
    return client


@pytest.fixture
def stranger(admin: TestClient) -> TestClient:
    """A browser without a session, which follows nothing by itself."""
    return TestClient(
        admin.app, base_url=str(admin.base_url), raise_server_exceptions=False, headers=BROWSER, follow_redirects=False
    )


def test_open_lab_hints_at_its_first_user_and_the_page_makes_it(client: TestClient) -> None:
    assert "/sign-in" in client.get("/").text
    page = read_page(client.get("/sign-in").text)
    assert page.one("h1").text == "Make the first user"
    assert page.one("form").attributes["data-ask"] == f"{API}/access/setup"
    assert page.one("form").attributes["method"] == "post"  # without scripts the password must not be in an address


def test_closed_lab_asks_browsers_to_sign_in_and_leads_them_back(stranger: TestClient) -> None:
    wanted = "/compare?subject=S01&pre=2026-11-01&post=2026-12-13"
    answer = stranger.get(wanted)
    assert answer.status_code == 303
    assert answer.headers["cache-control"] == "no-store"
    page = read_page(stranger.get(answer.headers["location"]).text)
    assert page.one("h1").text == "Sign in"
    assert page.one("form").attributes["data-next"] == wanted
    assert page.one("form").attributes["data-ask"] == f"{API}/access/login"
    assert "Test lab" not in page.text
    assert "S01" not in page.text


def test_programs_and_the_api_get_problems_as_before(stranger: TestClient) -> None:
    for path, headers in (
        (f"{API}/subjects", BROWSER),
        ("/", {"Accept": "*/*"}),
        ("/", {"Accept": "application/json"}),
    ):
        answer = stranger.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    assert stranger.post("/", headers=BROWSER).headers["content-type"] == "application/problem+json"


def test_pages_say_who_is_signed_in(admin: TestClient) -> None:
    page = read_page(admin.get("/", headers=BROWSER).text)
    assert page.one("p", "who").text == "Signed in as mk Sign out"
    assert "Make its first user" not in page.text
    assert read_page(admin.get("/sign-in").text).one("h1").text == "You are signed in"


def test_problems_are_pages_for_browsers(admin: TestClient) -> None:
    answer = admin.get("/subjects/S0", headers=BROWSER)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "Unknown subject &#39;S0&#39;" in answer.text
    for path, status in (("/no/such/page", 404), ("/?unknown=1", 422), ("/compare?subject=S01", 422)):
        answer = admin.get(path, headers=BROWSER)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
        read_page(answer.text)
    assert admin.get("/subjects/S0").headers["content-type"] == "application/problem+json"


def test_what_a_stranger_sent_is_escaped(admin: TestClient) -> None:
    text = admin.get("/", params={"<script>alert(1)</script>": "1"}, headers=BROWSER).text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    "text",
    ["https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)", "", "/sign-in"],
)
def test_after_signing_in_nobody_is_sent_elsewhere(text: str) -> None:
    assert inner_address(text) == "/"


def test_addresses_of_this_service_are_kept() -> None:
    assert inner_address("/subjects/S01?metric=cadence") == "/subjects/S01?metric=cadence"
