"""A camera's process is killed where it takes two frames at one waking: one kill; the many are in tests/accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.accept.test_capture_faults import ATTEMPTS, _kill_once


@pytest.mark.slow
def test_a_process_killed_at_120_frames_a_second_costs_two_at_most(tmp_path: Path) -> None:
    for attempt in range(ATTEMPTS):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        if not (void := _kill_once(folder, "worker", 1.0, fps=120)):
            return
    pytest.fail(f"nothing was shown: {void}")
