"""A lock is for those who hold it: who only looks whether somebody does is in nobody's way."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from labsys.core.errors import ConcurrencyError
from labsys.storage.locks import hold_lock, is_held


def test_who_only_looks_keeps_nobody_from_holding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    looking = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)  # as `is_held` does for a moment
    monkeypatch.setattr("labsys.storage.locks.time.sleep", lambda _: os.close(looking))
    with hold_lock(path, what="the take"):
        monkeypatch.undo()
        assert is_held(path)
        with pytest.raises(ConcurrencyError, match="the take is being written"), hold_lock(path, what="the take"):
            pass
    assert not is_held(path)
