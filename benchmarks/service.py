"""What the service takes at the size of three years of a lab, each question beside its SQL alone on the same database.

What counts is what a user waits for: `labsys serve` in a process of its own, asked over one kept connection of this
machine, wall time until the last byte is there. A busy machine distorts that; so processor time of that process is
beside (PostgreSQL's own is not in it).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import TextClause, bindparam, text

from api.database.columns import UtcDateTime
from api.database.connection import Database, open_database
from benchmarks.measure import Result
from benchmarks.served import Served, serve_lab
from benchmarks.service_lab import CHANGED_SINCE, SESSIONS_EACH, STRIDES, SUBJECTS, TRIALS_EACH, fill_index
from labsys.core.errors import MissingPartError
from labsys.storage.lab import Lab, create_lab, open_lab, set_database
from tests.test_api.postgresql import NoServerError, running_postgresql

API = "/api/v1"
URL = "LABSYS_BENCH_PG_URL"
_MANY, _FEW = 200, 3


@dataclass(frozen=True)
class Question:
    """One thing that is asked. limit_s: the 99th percentile, or the one time, that the project set itself.

    urls: what request number i asks for, one after the other. sql, bound: the same rows by SQL alone.
    """

    name: str
    limit_s: float
    times: int
    urls: Callable[[int], list[str]]
    sql: str
    bound: Callable[[int], dict[str, Any]]


def _subject(i: int) -> str:
    return f"S{(37 * i) % SUBJECTS:03d}"


def _visits(i: int) -> tuple[str, str]:
    first = (13 * i) % (SESSIONS_EACH - 1)
    return _day(first), _day(first + 1)


def _day(visit: int) -> str:
    return str(np.datetime64("2024-01-08") + 119 * visit)


QUESTIONS = (
    Question(
        "trend",
        0.020,
        _MANY,
        lambda i: [f"{API}/trend?subject={_subject(i)}&metric=hip_ext_excursion_stance&side=left"],
        "SELECT session, captured_at, mean, sd, n FROM trial_metric WHERE subject = :s AND is_current = :yes "
        "AND metric IN ('hip_ext_excursion_stance', 'speed') ORDER BY captured_at",
        lambda i: {"s": _subject(i), "yes": True},
    ),
    Question(
        "sessions_page",
        0.050,
        _MANY,
        lambda _: [f"{API}/sessions?phase=followup&limit=50"],
        "SELECT s.*, p.code AS subject FROM session s JOIN subject p ON p.id = s.subject_id WHERE s.phase = 'followup' "
        "ORDER BY s.captured_at, s.id LIMIT 51",
        lambda _: {},
    ),
    Question(
        "comparison",
        0.200,
        _MANY // 4,
        lambda i: [f"{API}/compare?subject={_subject(i)}&pre={_visits(i)[0]}&post={_visits(i)[1]}"],
        "SELECT * FROM trial_metric WHERE subject = :s AND session IN (:a, :b) AND is_current = :yes",
        lambda i: {"s": _subject(i), "a": _visits(i)[0], "b": _visits(i)[1], "yes": True},
    ),
    Question(
        "table_50000_parquet",
        1.0,
        _FEW,
        lambda _: [f"{API}/tables/trial_metrics?format=parquet&limit=50000"],
        "SELECT * FROM trial_metric WHERE is_current = :yes ORDER BY captured_at, trial_id, run, metric, side "
        "LIMIT 50000",
        lambda _: {"yes": True},
    ),
    Question(
        "refresh_full",
        10.0,
        1,
        lambda _: [f"{API}/tables/trial_metrics?format=parquet"],
        "SELECT * FROM trial_metric WHERE is_current = :yes ORDER BY captured_at, trial_id, run, metric, side",
        lambda _: {"yes": True},
    ),
    Question(
        "refresh_incremental",
        1.0,
        _FEW,
        lambda _: [f"{API}/tables/trial_metrics?format=parquet&updated_since={CHANGED_SINCE:%Y-%m-%dT%H:%M:%SZ}"],
        "SELECT * FROM trial_metric WHERE updated_at >= :since",
        lambda _: {"since": CHANGED_SINCE},
    ),
)


def measure_service_sqlite() -> list[Result]:
    """All questions on SQLite."""
    with tempfile.TemporaryDirectory() as place:
        return _measure(create_lab(Path(place) / "lab"), "sqlite")


def measure_service_postgresql() -> list[Result]:
    """All questions on the empty PostgreSQL database that LABSYS_BENCH_PG_URL names, else on a server of our own.

    Raises:
        MissingPartError: it names none, and there is none to run.
    """
    with tempfile.TemporaryDirectory() as place, ExitStack() as running:
        url = os.environ.get(URL)
        if url is None:
            try:
                url = running.enter_context(running_postgresql())
            except NoServerError as error:
                raise MissingPartError(str(error), remedy=f"Set {URL} to an empty database") from error
        root = create_lab(Path(place) / "lab").root
        set_database(root, url)
        return _measure(open_lab(root), "postgresql")


def _measure(lab: Lab, kind: str) -> list[Result]:
    database = open_database(lab)
    try:
        n_rows = fill_index(database, lab)
        with database.engine.connect() as connection:
            connection.execute(text("ANALYZE"))
            connection.commit()
        with serve_lab(lab) as served:
            return [_ask(served, database, question, kind, n_rows) for question in QUESTIONS]
    finally:
        database.close()


def _ask(served: Served, database: Database, question: Question, kind: str, n_rows: int) -> Result:
    def request(i: int) -> None:
        for url in question.urls(i):
            served.get(url)

    served.connection.close()  # the service has closed its side while SQL was asked; the next request opens another
    wall, cpu = _times(request, question.times, served.processor_s)
    with _raw(database) as fetch:
        theirs, _ = _times(lambda i: fetch(question.sql, question.bound(i)), question.times, time.process_time)
    return Result(
        name=f"service_{kind}/{question.name}",
        ours=_p99(wall),
        peer="its SQL alone",
        theirs=_p99(theirs),
        unit="s",
        clock="wall",
        accuracy={
            "limit_s": question.limit_s,
            "within": float(_p99(wall) <= question.limit_s),
            "wall_median_s": float(np.median(wall)),
            "wall_most_s": max(wall),
            "cpu_median_s": float(np.median(cpu)),
            "cpu_p99_s": _p99(cpu),
            "sql_median_s": float(np.median(theirs)),
            "asked_times": float(question.times),
        },
        details={"input": f"{SUBJECTS * SESSIONS_EACH * TRIALS_EACH * STRIDES:,} strides, {n_rows:,} rows"},
    )


def _times(
    ask: Callable[[int], object], times: int, processor_s: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Wall and processor time of every call, s, after one that warms up."""
    ask(0)
    wall, cpu = [], []
    for i in range(times):
        begun = processor_s(), time.perf_counter()
        ask(i)
        wall.append(time.perf_counter() - begun[1])
        cpu.append(processor_s() - begun[0])
    return wall, cpu


@contextmanager
def _raw(database: Database) -> Iterator[Callable[[str, dict[str, Any]], int]]:
    with database.engine.connect() as connection:
        yield lambda sql, bound: len(connection.execute(_typed(sql, bound)).fetchall())


def _typed(sql: str, bound: dict[str, Any]) -> TextClause:
    times = [bindparam(k, v, type_=UtcDateTime()) for k, v in bound.items() if isinstance(v, datetime)]
    return text(sql).bindparams(*times, **{k: v for k, v in bound.items() if not isinstance(v, datetime)})


def _p99(values: list[float]) -> float:
    return float(np.percentile(values, 99))
