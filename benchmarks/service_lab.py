"""A lab of three years in the index: 200 subjects, 2,000 sessions, 1,000,000 strides. Rows alone, without files."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from api.database.columns import Base
from api.database.connection import Database
from api.database.tables import IndexState, RunRow, SessionRow, SubjectRow, TrialMetricRow, TrialRow
from api.indexing.index import INDEX_VERSION
from labsys.core.catalogue import CATALOGUE_VERSION, METRICS
from labsys.core.measurement_error import default_error
from labsys.core.motion import Quality
from labsys.core.session import Phase, Surface, TrialKind
from labsys.core.skeleton import Tier
from labsys.storage.lab import Lab

SUBJECTS, SESSIONS_EACH, TRIALS_EACH, STRIDES = 200, 10, 2, 250
_FIRST = datetime(2024, 1, 8, 9, tzinfo=UTC)
_PHASES = (Phase.BASELINE, Phase.PRE, *[Phase.POST] * 2, *[Phase.FOLLOWUP] * 6)
# The last 13 visits, a week's work: what an incremental refresh has to fetch.
CHANGED_SINCE = _FIRST + timedelta(weeks=9 * 17, minutes=SUBJECTS - 13)


def fill_index(database: Database, lab: Lab) -> int:
    """Write all rows; returns the number of rows of the flat table."""
    rng = np.random.default_rng(20261130)
    n_rows = 0
    with database.write() as session:
        session.add(IndexState(lab_uuid=lab.uuid, index_version=INDEX_VERSION))
        for number in range(SUBJECTS):
            rows = list(_subject_rows(number, rng))
            for kind in (SubjectRow, SessionRow, TrialRow, RunRow, TrialMetricRow):
                mine = [row for of_kind, row in rows if of_kind is kind]
                _write(session, kind, mine)
                n_rows += len(mine) if kind is TrialMetricRow else 0
    return n_rows


def _write(session: Session, kind: type[Base], rows: list[dict[str, Any]]) -> None:
    session.execute(insert(Base.metadata.tables[kind.__tablename__]), rows)


def _subject_rows(number: int, rng: np.random.Generator) -> Iterator[tuple[type[Base], dict[str, Any]]]:
    code = f"S{number:03d}"
    subject_id = _id(code)
    yield SubjectRow, {
        "id": subject_id, "code": code, "sex": "female" if number % 2 else "male", "birth_year": 1990,
        "leg_dominance": "right", "consent": [], "notes": "", "updated_at": _FIRST,
    }  # fmt: skip
    for visit in range(SESSIONS_EACH):
        at = _FIRST + timedelta(weeks=17 * visit, minutes=number)
        session_id = _id(f"{code}/{visit}")
        yield SessionRow, {
            "id": session_id, "subject_id": subject_id, "code": f"{at:%Y-%m-%d}", "captured_at": at,
            "phase": _PHASES[visit], "episode_id": None, "operator": "MK", "mass_kg": 65.0, "height_m": 1.72,
            "leg_length_m": 0.88, "repeats": "", "notes": "", "updated_at": at,
        }  # fmt: skip
        for trial in range(TRIALS_EACH):
            yield from _trial_rows(code, session_id, visit, trial, at, rng)


def _trial_rows(
    code: str, session_id: str, visit: int, trial: int, at: datetime, rng: np.random.Generator
) -> Iterator[tuple[type[Base], dict[str, Any]]]:
    trial_id, speed_mps = _id(f"{code}/{visit}/{trial}"), 2.5 + 0.8 * trial
    run = f"r{trial_id[:12].replace('-', '')}"
    under = {"surface": Surface.TREADMILL, "speed_mps": speed_mps, "incline_pct": 0.0, "footwear": "own"}
    yield TrialRow, {
        "id": trial_id, "session_id": session_id, "code": f"run{trial + 1}", "kind": TrialKind.RUN,
        "recorded_at": at + timedelta(minutes=5 + trial), "pain_0_10": None, "static": "", "placement": "",
        "excluded": False, "exclusion_reason": "", "accepted_sizes": {}, "notes": "", "updated_at": at,
        "current_run": run, **under,
    }  # fmt: skip
    made = {"pipeline_version": "0.1.0", "definition_version": CATALOGUE_VERSION, "tier": int(Tier.T3)}
    graded = {"not_for_comparison": None, "calibration_grade": "A"}
    yield RunRow, {
        "trial_id": trial_id, "run": run, "is_current": True, "started_at": at, "finished_at": at, "model": "trc",
        "calibration": "2024-01-01_rig_001", "up_sd_rad": 0.001, "heading_sd_rad": 0.002, "heading_known": True,
        "camera_turns": {}, "static": "static1", "static_shares_calibration": True, "n_strides_left": STRIDES // 2,
        "n_strides_right": STRIDES // 2, "inputs": {}, "parameters": {"reconstruct.rule": "robust"}, "seconds": {},
        **made, **graded,
    }  # fmt: skip
    keys = {"trial_id": trial_id, "run": run, "subject": code, "session": f"{at:%Y-%m-%d}", "trial": f"run{trial + 1}"}
    shared = {
        **keys, **under, **made, **graded, "episode": None, "phase": _PHASES[visit], "weeks_from_index": None,
        "captured_at": at, "kind": TrialKind.RUN, "is_current": True, "model_hash": None, "updated_at": at,
    }  # fmt: skip
    for metric in METRICS:
        error = default_error(metric.id, Tier.T3)
        for side in metric.sided.sides:
            mean = speed_mps if metric.id == "speed" else 1.0 + 0.05 * float(rng.standard_normal())
            yield TrialMetricRow, {
                **shared, "metric": metric.id, "side": side, "n": STRIDES // 2, "mean": mean, "sd": 0.04,
                "median": mean, "p05": mean - 0.07, "p95": mean + 0.07, "lag1": 0.2, "ci95_low": mean - 0.1,
                "ci95_high": mean + 0.1, "ci95_strides_low": mean - 0.01, "ci95_strides_high": mean + 0.01,
                "se_reconstruction": None, "sem_measurement": error.sem if error else None,
                "sem_source": error.source if error else "", "provisional": error is not None,
                "quality": Quality.OK, "interpolated_share": 0.01, "reason": None,
            }  # fmt: skip


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
