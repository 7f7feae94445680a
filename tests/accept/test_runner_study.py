"""Two hundred runners of other seeds, in as many processes as there are processors: docs/accuracy.md.

Long: run by `make accept`; in pieces by `python -m tests.accept.runner_study`.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from labsys.core.motion import EventKind
from tests.accept.runner_report import errors_of, event_errors_ms, session_sem, write_report
from tests.accept.runner_study import CASES, DLC, NOTHING, Answer, answer

SEEDS = range(1, 201)


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    tasks = [(seed, *case) for seed in SEEDS for case in CASES]
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found = list(pool.map(answer, *zip(*tasks, strict=True)))
    write_report(found)
    return found


def test_no_runner_is_refused(answers: list[Answer]) -> None:
    assert [(a.seed, a.noise, a.refused) for a in answers if a.refused] == []


@pytest.mark.parametrize("kind", list(EventKind))
def test_events_are_within_ten_milliseconds(answers: list[Answer], kind: EventKind) -> None:
    for noise in (NOTHING, DLC):
        errors = event_errors_ms(answers, kind, None, noise)
        assert np.isfinite(errors).mean() > 0.99, noise
        assert np.sqrt(np.nanmean(errors**2)) <= 10.0, noise


def test_hip_excursion_repeats_within_two_and_a_half_degrees(answers: list[Answer]) -> None:
    assert session_sem(answers, "hip_ext_excursion_stance") <= 2.5


def test_noise_does_not_widen_ranges_as_it_did(answers: list[Answer]) -> None:
    """Version 1 of pelvis_rot_rom read 4.7 degrees too wide."""
    assert abs(errors_of(answers, "pelvis_rot_rom", DLC).mean()) < 2.0
    assert abs(errors_of(answers, "hip_ext_excursion_stance", NOTHING).mean()) < 0.6
