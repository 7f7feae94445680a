"""Jobs, calibrations and administration as pages: who may see them, and what they show."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from labsys.storage.calibrations import calibration_folder
from labsys.storage.lab import Lab
from tests.test_api.page_text import read_page

pytestmark = pytest.mark.usefixtures("cheap_hashes")

API = "/api/v1"
CALIBRATION = "2026-11-01_rig_001"
ADMIN = {"name": "mk", "password": "four words that go together"}
ROLES = ("viewer", "clinician", "operator", "admin")


@pytest.fixture
def admin(client: TestClient) -> Iterator[TestClient]:
    """The service, set up, its admin signed in, with a user of every role."""
    csrf = client.post(f"{API}/access/setup", json=ADMIN).json()["csrf_token"]
    client.headers["X-CSRF-Token"] = csrf
    for role in ROLES:
        made = client.post(f"{API}/users", json={"name": f"the {role}", "password": ADMIN["password"], "role": role})
        assert made.status_code == 201
    yield client
    del client.headers["X-CSRF-Token"]


def _as(client: TestClient, role: str) -> TestClient:
    """Another browser, in which a user of this role is signed in."""
    other = TestClient(client.app, base_url=str(client.base_url), client=("127.0.0.1", 50_000))
    name = {"name": f"the {role}", "password": ADMIN["password"]}
    assert other.post(f"{API}/access/login", json=name).status_code == 200
    return other


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "least"),
    [("/calibrations", "clinician"), ("/jobs", "clinician"), ("/admin", "admin"), ("/admin/audit", "admin")],
)
def test_pages_and_the_menu_are_for_those_who_may(path: str, least: str, admin: TestClient) -> None:
    for role in ROLES:
        browser, allowed = _as(admin, role), ROLES.index(role) >= ROLES.index(least)
        assert browser.get(path).status_code == (200 if allowed else 403), role
        if path != "/admin/audit":
            assert (f'href="{path}"' in browser.get("/").text) == allowed, role


def test_without_scripts_nothing_of_a_form_goes_into_the_address(admin: TestClient) -> None:
    forms = [f for f in read_page(admin.get("/admin").text).all("form") if "data-method" in f.attributes]
    assert len(forms) > 8
    assert {form.attributes.get("method") for form in forms} == {"post"}


def test_password_is_changed_on_the_page(admin: TestClient) -> None:
    forms = [f for f in read_page(admin.get("/admin").text).all("form") if f.attributes.get("data-append") == "name"]
    (form,) = forms
    viewer = _as(admin, "viewer")
    asked = {"password": "quite another four words"}
    address = form.attributes["data-address"] + "the viewer"
    assert admin.request(form.attributes["data-method"], address, json=asked).status_code == 200
    assert viewer.get("/").status_code == 401
    script = admin.get("/static/admin.js").text
    assert "delete body[append];" in script, "the name stands in the address; the body may not hold it"


def test_jobs_are_listed_and_cancelled_by_operators(admin: TestClient) -> None:
    job = admin.post(f"{API}/jobs", json={"kind": "process", "target": "S01/2026-11-01/run1"}).json()
    page = read_page(admin.get("/jobs").text)
    row = next(e for e in page.all("tr") if e.attributes.get("data-job") == job["id"])
    assert "data-open" in row.attributes
    assert "process S01/2026-11-01/run1" in row.text
    assert "queued" in row.text
    assert "Cancel" in row.text
    assert "Cancel" not in _as(admin, "clinician").get("/jobs").text
    admin.delete(f"{API}/jobs/{job['id']}")
    text = admin.get("/jobs").text
    assert "cancelled" in text
    assert "data-open" not in text


def test_calibration_names_its_trials_and_viewers_get_no_link_to_it(admin: TestClient) -> None:
    admin.put(f"{API}/users/the viewer/grants/S01")
    trial, link = "/trials/S01/2026-11-01/run1", f'href="/calibrations/{CALIBRATION}"'
    assert trial in admin.get(f"/calibrations/{CALIBRATION}").text
    assert link in admin.get(trial).text
    viewer = _as(admin, "viewer")
    assert CALIBRATION in viewer.get(trial).text
    assert link not in viewer.get(trial).text
    assert viewer.get(f"/calibrations/{CALIBRATION}").status_code == 403


def test_report_of_a_calibration_comes_with_its_own_style_alone(admin: TestClient, lab: Lab) -> None:
    assert admin.get(f"/calibrations/{CALIBRATION}/report").status_code == 404
    page = "<!doctype html><style>p { color: red; }</style><p>Grade A</p><script>alert(1)</script>"
    (calibration_folder(lab, CALIBRATION) / "report.html").write_text(page, encoding="utf-8")
    assert f"/calibrations/{CALIBRATION}/report" in admin.get(f"/calibrations/{CALIBRATION}").text
    answer = admin.get(f"/calibrations/{CALIBRATION}/report")
    assert answer.text == page
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "unsafe-inline" not in policy
    assert "style-src 'sha256-" in policy
    assert admin.get("/calibrations/2026-11-02_rig_001").status_code == 404
    assert admin.get("/").headers["content-security-policy"].startswith("default-src 'self'")


def test_administration_shows_users_grants_keys_and_links_but_no_secret(admin: TestClient) -> None:
    admin.put(f"{API}/users/the viewer/grants/S02")
    key = admin.post(f"{API}/keys", json={"role": "viewer", "label": "<b>grafana</b>"}).json()
    link = admin.post(f"{API}/links", json={"subject": "S01", "expires_at": "2026-12-31T00:00:00Z"}).json()
    text = admin.get("/admin").text
    for shown in ("the clinician", "Withdraw", key["id"], link["id"], "&lt;b&gt;grafana"):
        assert shown in text
    for secret in (key["token"], link["token"], ADMIN["password"]):
        assert secret not in text
    admin.delete(f"{API}/keys/{key['id']}")
    assert "revoked" in admin.get("/admin").text
    audit = admin.get("/admin/audit", params={"action": "user.add"}).text
    assert "the operator as operator" in audit
    assert "key.make" not in audit


def test_files_of_others_for_tests_are_what_their_source_list_says() -> None:
    vendor = Path(__file__).parents[1] / "vendor"
    packages = tomllib.loads((vendor / "SOURCES.toml").read_text(encoding="utf-8"))["package"]
    listed = {name: digest for p in packages for name, digest in p["sha256"].items()}
    there = {str(p.relative_to(vendor)) for p in vendor.rglob("*") if p.is_file()} - {"SOURCES.toml"}
    assert set(listed) == there
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name
