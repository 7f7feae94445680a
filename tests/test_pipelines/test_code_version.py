"""A run of other code is another run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import labsys
from pipelines.code_version import code_version


def test_the_code_version_names_release_and_sources() -> None:
    assert re.fullmatch(re.escape(labsys.__version__) + r"\+[0-9a-f]{8}", code_version())
    assert code_version() == code_version()


def test_another_source_makes_another_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.setattr("pipelines.code_version._COMPUTING", ((tmp_path, "*.py"),))
    versions = []
    for text in ("x = 1\n", "x = 2\n", "x = 1\n"):
        (tmp_path / "a.py").write_text(text, encoding="utf-8")
        code_version.cache_clear()
        versions.append(code_version())
    code_version.cache_clear()
    assert versions[0] == versions[2] != versions[1]
