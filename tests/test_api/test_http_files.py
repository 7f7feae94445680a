"""Files come whole, by range, or not at all; nothing that the index does not name is ever sent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.testclient import TestClient

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
    for wrong in (f"bytes={len(content)}-", "bytes=x-", "lines=1-2", "bytes=5"):
        refused = client.get(url, headers={"Range": wrong})
        assert (refused.status_code, refused.headers["content-type"]) == (416, "application/problem+json")
    assert client.get(url, headers={"If-None-Match": part.headers["etag"]}).status_code == 304
    stale = client.get(url, headers={"Range": "bytes=10-19", "If-Range": '"another"'})
    assert (stale.status_code, stale.content) == (200, content)
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
