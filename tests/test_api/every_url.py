"""Every GET that the service has, with every noun that exists."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from starlette.testclient import TestClient

from labsys.core.catalogue import METRICS

API = "/api/v1"
# Nouns of the lab; what the database alone owns differs between a lab and its copy, and so do open cameras.
OWNED = ("access", "users", "keys", "links", "audit", "jobs", "identity", "uploads", "capture")


def every_url(client: TestClient) -> Iterator[str]:
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
        path = template.removeprefix(API)
        if "get" not in operations or path.split("/")[1] in OWNED:
            continue
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
        yield f"{API}/tables/trial_metrics?format={form}&run={run}&updated_since=2020-01-01"
    yield from ("/", "/subjects/S01", "/trials/S01/2026-12-13/run1")
