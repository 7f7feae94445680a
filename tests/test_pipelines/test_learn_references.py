"""A lab's own references: twenty runners of one sex, each once, and nobody who is treated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labsys.core.catalogue import CATALOGUE_VERSION
from labsys.core.errors import GateRefusedError, InputError, UnknownNameError
from labsys.core.motion import MotionResult
from labsys.core.provenance import Provenance
from labsys.core.session import Conditions, Episode, Session, Subject, Surface, Trial, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.storage.current_runs import set_current_run
from labsys.storage.episodes import save_episode
from labsys.storage.finished_runs import RunRecord
from labsys.storage.lab import Lab, create_lab
from labsys.storage.references import load_references
from labsys.storage.results import write_motion
from labsys.storage.sessions import save_session
from labsys.storage.staged_runs import open_run
from labsys.storage.subjects import save_subject
from labsys.storage.trials import save_trial
from pipelines.learn_references import learn_references
from pipelines.screening import lab_references
from tests.test_api.made_results import make_motion

pytestmark = pytest.mark.slow

RUNNERS = 21


def _ran(speed_mps: float, shift_deg: float) -> MotionResult:
    """A run whose feet show this speed."""
    made = make_motion(shift_deg=shift_deg)
    return replace(made, metrics=tuple(replace(m, mean=speed_mps) if m.id == "speed" else m for m in made.metrics))


def _run(
    lab: Lab,
    name: TrialName,
    speed_mps: float,
    shift_deg: float,
    reason: str | None = None,
    ran_mps: float | None = None,
) -> None:
    conditions = Conditions(surface=Surface.TREADMILL, speed_mps=speed_mps)
    save_trial(lab, Trial("", name, TrialKind.RUN, "2026-01-01T10:00:00.000Z", conditions))
    made = Provenance("0", CATALOGUE_VERSION, {}, {}, "m", "", "", "2026-01-01T10:00:00.000Z", {})
    with open_run(lab, name, "r0") as staged:
        motion = _ran(speed_mps if ran_mps is None else ran_mps, shift_deg)
        staged.complete("analyse", write_motion(staged.folder, motion), seconds={})
        staged.finish(RunRecord("r0", made, reason))
    set_current_run(lab, name, "r0")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Women at 3 m/s, one man, one woman under treatment whose hip extension is far off, one bad calibration, one belt
    that ran at 3.6 m/s."""
    lab = create_lab(tmp_path_factory.mktemp("references") / "lab")
    for i in range(RUNNERS):
        _runner(lab, f"W{i:02}", "female", shift_deg=float(i))
    _runner(lab, "M00", "male", shift_deg=0.0)
    _runner(lab, "T00", "female", shift_deg=90.0)
    save_episode(lab, Episode("", "T00", "knee", "2026-01-01"))
    _runner(lab, "B00", "female", shift_deg=90.0, reason="bumped camera")
    _runner(lab, "N00", "", shift_deg=90.0)
    _runner(lab, "X00", "female", shift_deg=90.0, ran_mps=3.6)
    return lab


def _runner(
    lab: Lab, code: str, sex: str, *, shift_deg: float, reason: str | None = None, ran_mps: float | None = None
) -> None:
    save_subject(lab, Subject("", code, sex=sex))
    for session, shift in (("2026-01-01", shift_deg), ("2026-02-01", 70.0)):  # the second visit does not count
        save_session(lab, Session("", code, session, f"{session}T10:00:00.000Z"))
        _run(lab, TrialName(code, session, "run1"), 3.0, shift, reason, ran_mps)
    _run(lab, TrialName(code, "2026-01-01", "run2"), 3.5, 60.0)


def test_a_runner_counts_once_and_at_this_speed_only(lab: Lab) -> None:
    learnt = learn_references(lab, speed_mps=3.0)
    assert learnt.runners == {("men", "T3"): 1, ("women", "T3"): RUNNERS}
    hip = next(v for v in learnt.values if v.metric == "hip_ext_pelvis_peak")
    plain = next(m for m in make_motion().metrics if (m.id, m.side) == ("hip_ext_pelvis_peak", Side.LEFT))
    shifts = np.arange(RUNNERS)
    assert np.degrees(hip.mean - plain.mean) == pytest.approx(shifts.mean(), abs=1.0)
    assert np.degrees(hip.sd) == pytest.approx(shifts.std(ddof=1), abs=0.5)
    assert (hip.n, hip.sex, hip.tier) == (RUNNERS, "women", "T3")
    kept = load_references(lab)
    assert kept is not None
    assert kept.subjects == tuple(f"W{i:02}" for i in range(RUNNERS))


def test_other_speeds_stay(lab: Lab) -> None:
    learn_references(lab, speed_mps=3.0)
    learn_references(lab, speed_mps=3.5)
    learn_references(lab, speed_mps=3.0)
    kept = load_references(lab)
    assert kept is not None
    assert {v.speed_mps for v in kept.values} == {3.0, 3.5}
    ids = [(v.metric, v.speed_mps, v.sex) for v in kept.values]
    assert len(ids) == len(set(ids))
    own = lab_references(lab).find_own(
        "cadence", surface=Surface.TREADMILL, speed_mps=3.0, sex="women", tier=Tier.T3.name
    )
    assert own is not None
    assert own.n == RUNNERS


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda lab: learn_references(lab, speed_mps=4.0), GateRefusedError, "none"),
        (lambda lab: learn_references(lab, speed_mps=3.0, subjects=["M00", "W01"]), GateRefusedError, "1 men at T3"),
        (lambda lab: learn_references(lab, speed_mps=3.0, subjects=["X"]), UnknownNameError, "subject 'X'"),
        (lambda lab: learn_references(lab, speed_mps=12.0), InputError, "no running speed"),
        (lambda lab: learn_references(lab, speed_mps=3.0, surface=Surface.OVERGROUND), GateRefusedError, "none"),
    ],
)  # fmt: skip
def test_too_few_are_refused_with_their_number(
    lab: Lab, call: Callable[[Lab], object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    before = load_references(lab)
    with pytest.raises(error, match=message):
        call(lab)
    assert load_references(lab) == before
