"""Files come whole, by range, or not at all; nothing that the index does not name is ever sent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.testclient import TestClient

from api.access.throttle import Throttle
from labsys.storage.lab import Lab

API = "/api/v1"
TRIAL = "S01/2026-11-01/run1"


def test_files(client: TestClient, lab: Lab, tmp_path: Path) -> None:
    """One client for all of it."""
    files = client.get(f"{API}/trials/{TRIAL}/files").json()["items"]
    assert len(files) > 5
    for file in files:
        whole = client.get(f"{API}/files/{file['path']}")
        assert whole.status_code == 200
        assert whole.content == (lab.root / file["path"]).read_bytes()
        if file["sha256"]:
            assert hashlib.sha256(whole.content).hexdigest() == file["sha256"]
            assert whole.headers["etag"] == f'"{file["sha256"]}"'
    path = next(f["path"] for f in files if f["path"].endswith("curves.parquet"))
    url, content = f"{API}/files/{path}", (lab.root / path).read_bytes()
    part = client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    etag, modified = part.headers["etag"], part.headers["last-modified"]
    for wrong in (
        f"bytes={len(content)}-",
        "bytes=x-",
        "lines=1-2",
        "bytes=5",
        "bytes=20-10",
        "bytes=-0",
        "bytes=0-1, 9-8",
    ):
        refused = client.get(url, headers={"Range": wrong})
        for same in (etag, modified):
            again = client.get(url, headers={"Range": wrong, "If-Range": same})
            assert (again.status_code, again.headers["content-type"]) == (416, "application/problem+json")
        assert (refused.status_code, refused.headers["content-type"]) == (416, "application/problem+json")
    assert client.get(url, headers={"If-None-Match": part.headers["etag"]}).status_code == 304
    stale = client.get(url, headers={"Range": "bytes=10-19", "If-Range": '"another"'})
    assert (stale.status_code, stale.content) == (200, content)
    assert client.get(url, headers={"Range": "bytes=20-10", "If-Range": '"another"'}).status_code == 200
    assert client.get(url, headers={"Range": "bytes=10-19", "If-Range": etag}).content == content[10:20]
    assert client.get(url, headers={"Range": f"bytes=-{2 * len(content)}"}).content == content
    assert "attachment" in part.headers["content-disposition"]

    secret = tmp_path / "secret"
    secret.write_text("nobody may read this")
    for asked in ("labsys.toml", "../secret", "%2e%2e/secret", str(secret), "subjects/../labsys.toml", "labsys.db"):
        answer = client.get(f"{API}/files/{asked}")
        assert answer.status_code == 404, asked
        assert "nobody may" not in answer.text
    real = lab.root / path
    real.unlink()
    real.symlink_to(secret)  # whoever can write to the lab folder still cannot make the service read elsewhere
    assert client.get(url).status_code == 404

    seen = [e["object"] for e in client.get(f"{API}/audit?action=export&limit=1000").json()["items"]]
    assert seen.count(path) == 1


def test_refused_export_is_refused_again(client: TestClient) -> None:
    """What was not written down was not seen: trying at once again gets no further."""
    client.app.state.export_throttle = Throttle(burst=1, every_s=60.0)  # type: ignore[attr-defined]
    first, second = [f["path"] for f in client.get(f"{API}/trials/{TRIAL}/files").json()["items"]][:2]
    assert client.get(f"{API}/files/{first}").status_code == 200
    assert [client.get(f"{API}/files/{second}").status_code for _ in range(3)] == [429, 429, 429]
    assert client.get(f"{API}/files/{first}").status_code == 200  # it was written down a moment ago
    assert [e["object"] for e in client.get(f"{API}/audit?action=export").json()["items"]] == [first]
