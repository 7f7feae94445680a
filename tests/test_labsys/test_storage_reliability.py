"""What a lab learnt is kept as it was, and the newest counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.learnt_error import LearntError, LearntErrors, LearntPart, SideAgreement
from labsys.core.session import Session, Subject
from labsys.core.skeleton import Side, Tier
from labsys.storage.lab import Lab, create_lab
from labsys.storage.reliability import current_reliability, list_reliability, load_reliability, save_reliability
from labsys.storage.sessions import load_session, save_session
from labsys.storage.subjects import save_subject

_PART = LearntPart(1e-4, (2e-5, None), 11.0, "split")
ROW = LearntError(
    metric="cadence",
    tier=Tier.T3,
    version=1,
    band=3.0,
    capture=_PART,
    palpation=replace(_PART, ci95=None, source="default"),
    day=_PART,
    sem_ci95=(1e-3, None),
    source="mixed",
    df=11.5,
    split_source="default",
    covariance=((1e-9, 0.0, 0.0), (0.0, 1e-9, 0.0), (0.0, 0.0, 1e-9)),
    n_people=12,
    n_visits=24,
    n_captures=30,
    strides_variance=1e-6,
    agreement=(SideAgreement(Side.BOTH, 12, 0.1, (0.0, 0.2), 0.3, (-0.5, 0.7), None, None),),
)
LEARNT = LearntErrors(
    "2026-11-22T10:00:00Z", 12, (ROW,), (("cadence", Side.BOTH), ("speed", Side.BOTH)), ((1.0, 0.25), (0.25, 1.0)),
    {"S01/2026-01-02": "repeats nothing"},
)  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab")


def test_what_is_kept_comes_back_equal(lab: Lab) -> None:
    assert current_reliability(lab) is None
    name = save_reliability(lab, LEARNT)
    assert load_reliability(lab, name) == LEARNT
    assert current_reliability(lab) == name == "2026-11-22-001"


def test_the_newest_counts_and_the_older_stays(lab: Lab) -> None:
    names = [save_reliability(lab, replace(LEARNT, n_people=n)) for n in (12, 13)]
    assert current_reliability(lab) == names[1]
    assert list_reliability(lab) == tuple(names)
    assert load_reliability(lab, names[0]).n_people == 12


def test_a_file_that_is_gone_is_refused_and_no_default_takes_its_place(lab: Lab) -> None:
    name = save_reliability(lab, LEARNT)
    (lab.root / "reliability" / f"{name}.json").unlink()
    with pytest.raises(InputError, match="not there"):
        current_reliability(lab)
    with pytest.raises(UnknownNameError):
        load_reliability(lab, name)


def test_a_visit_repeats_another_of_the_same_person(lab: Lab) -> None:
    save_subject(lab, Subject("", "S01"))
    first = save_session(lab, Session("", "S01", "2026-01-01", "2026-01-01T09:00:00Z"))
    second = Session("", "S01", "2026-01-03", "2026-01-03T09:00:00Z", repeats="2026-01-01")
    assert save_session(lab, second).repeats == "2026-01-01"
    assert load_session(lab, "S01", "2026-01-03").repeats == "2026-01-01"
    with pytest.raises(UnknownNameError, match="2026-01-04"):
        save_session(lab, replace(second, repeats="2026-01-04"))
    with pytest.raises(InputError, match="cannot repeat itself"):
        save_session(lab, replace(first, repeats="2026-01-01"))
