"""The views of PostgreSQL: what the flat tables say, for a role that can read nothing else and write nothing."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError
from starlette.testclient import TestClient

from api.database.columns import Base
from api.database.connection import Database, open_database, upgrade_database
from api.database.reader_sql import VIEWS
from api.database.reader_views import READER, make_reader, renew_views
from api.flat.session_metrics import VisitMetricTable
from api.flat.sessions import VisitTable
from api.flat.trial_metrics import COLUMNS
from api.indexing.index import index_lab
from labsys.storage.lab import Lab
from tests.test_api.cli_answer import make_runner

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PASSWORD = "four words that go together"
# What SQL cannot say: intervals need quantiles and the lab's own error; when a visit changed is told over HTTP.
NOT_IN_VIEWS = {"ci95_low", "ci95_high", "sem_source", "reason", "updated_at", "deleted"}


@pytest.fixture
def grown(lab: Lab, postgresql_url: str) -> Lab:
    """The fabricated lab on PostgreSQL, as labsys.toml says it."""
    settings = lab.root / "labsys.toml"
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("database")]
    settings.write_text("\n".join([*lines, f'database = "{postgresql_url}"']) + "\n")
    return replace(lab, database=postgresql_url)


@pytest.fixture
def database(grown: Lab) -> Iterator[Database]:
    """Its database, indexed."""
    index_lab(grown)
    opened = open_database(grown)
    yield opened
    opened.close()


def _as_reader(lab: Lab) -> Any:
    url = make_url(str(lab.database)).set(username=READER, password=PASSWORD)
    return create_engine(url, poolclass=NullPool).connect()


def _rows(connection: Connection, view: str) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(text(f"SELECT * FROM {view}"))]


def _plain(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Comparable: floats to nine digits, times without their text."""
    found = {k: row[k] for k in sorted(names) if k not in ("captured_at", "updated_at", "scores")}
    return {k: float(f"{v:.9g}") if isinstance(v, float) else v for k, v in found.items()}


def test_the_reader_reads_the_views_alone(
    grown: Lab, database: Database, open_client: Callable[[Lab], TestClient], capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    said = make_runner(capsys)("db", "reader", "--password", "--lab", grown.root, "--json")
    assert said.code == 0, said.err
    assert said.json["views"] == list(VIEWS)
    client = open_client(grown)
    with _as_reader(grown) as connection:
        compared = {
            "v_trial_metrics": ("trial_metrics?run=all&limit=100000", set(COLUMNS)),
            "v_sessions": ("sessions?limit=1000", set(VisitTable.columns)),
            "v_session_metrics": ("session_metrics?limit=1000", set(VisitMetricTable.columns) - NOT_IN_VIEWS),
        }
        assert set(compared) == set(VIEWS)
        for view, (query, names) in compared.items():
            held = _rows(connection, view)
            shown = client.get(f"/api/v1/tables/{query}").json()["rows"]
            assert set(held[0]) == names
            assert sorted(repr(_plain(r, names)) for r in held) == sorted(repr(_plain(r, names)) for r in shown)
            assert len(held) > 2
        for table in [*(t.name for t in Base.metadata.sorted_tables), "alembic_version"]:
            with pytest.raises(ProgrammingError, match="permission denied"), connection.begin_nested():
                connection.exec_driver_sql(f'SELECT * FROM "{table}"')
        for write in (
            "INSERT INTO v_sessions (subject) VALUES ('S03')",
            "UPDATE v_trial_metrics SET mean = 0",
            "DELETE FROM v_sessions",
            "CREATE TABLE mine (x int)",
            "DROP VIEW v_sessions",
            "CREATE ROLE other",
            "UPDATE subject SET code = 'S03'",
        ):
            with pytest.raises(Exception, match=r"denied|must be owner|cannot|permission"), connection.begin_nested():
                connection.exec_driver_sql(write)


def test_views_say_nothing_of_who_somebody_is() -> None:
    said = " ".join(VIEWS.values())
    for secret in (
        "subject_identity",
        "sealed",
        "user",
        "login",
        "api_key",
        "notes",
        "operator",
        "audit",
        "share_link",
    ):
        assert secret not in said.replace("sem_measurement", ""), secret


def test_a_new_version_makes_the_views_anew(grown: Lab, database: Database) -> None:
    with database.engine.begin() as connection:
        renew_views(connection)  # without views, nothing is made
        assert connection.execute(text("SELECT to_regclass('v_sessions')")).scalar() is None
        make_reader(connection)
        connection.exec_driver_sql("DROP VIEW v_sessions")
        connection.exec_driver_sql("CREATE VIEW v_sessions AS SELECT 1 AS old")
        connection.exec_driver_sql("COMMENT ON VIEW v_trial_metrics IS 'labsys views of before'")
        # A migration meets tables that nothing hangs on, and leaves the views as they were.
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0005'")
        for table in ("release_member", "release"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    upgrade_database(grown)
    with database.engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM v_sessions WHERE NOT deleted")).scalar() == 3
        assert connection.execute(text(f"SELECT has_table_privilege('{READER}', 'v_sessions', 'SELECT')")).scalar()


def test_more_rights_than_the_views_are_refused(database: Database) -> None:
    with database.engine.begin() as connection:
        make_reader(connection)
        connection.exec_driver_sql('GRANT SELECT ON "user" TO PUBLIC')
    with pytest.raises(Exception, match="could reach the tables user"), database.engine.begin() as connection:
        make_reader(connection)


def test_sqlite_has_no_views(lab: Lab, capsys: Any) -> None:
    said = make_runner(capsys)("db", "reader", "--lab", lab.root)
    assert said.code == 2
    assert "PostgreSQL" in said.err


def test_pandas_reads_the_views(grown: Lab, database: Database) -> None:
    with database.engine.begin() as connection:
        make_reader(connection)
        connection.exec_driver_sql(f"ALTER ROLE {READER} LOGIN")
    path = ROOT / "docs/dashboards/pandas_views.py"
    spec = importlib.util.spec_from_file_location("pandas_views", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    url = make_url(str(grown.database)).set(username=READER)
    frame = module.read_visits(url.render_as_string(hide_password=False), "hip_ext_excursion_stance")
    mine = frame[(frame["subject"] == "S01") & (frame["side"] == "left")]
    assert list(mine["phase"]) == ["pre", "post"]
    assert list(mine["n_captures"]) == [1, 2]
    assert mine["mean"].iloc[1] - mine["mean"].iloc[0] == pytest.approx(15.0, abs=1.5)
