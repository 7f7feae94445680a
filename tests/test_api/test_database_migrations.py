"""The shipped migrations make exactly the tables of the models, up and down, on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

import api.database.tables_owned  # noqa: F401
from api.database.columns import Base
from api.database.connection import open_database, upgrade_database
from api.database.migrate import known_revisions, migrate_down, migrate_up
from api.database.migrations import HEAD
from api.indexing.index import ensure_indexed, index_lab
from labsys.core.errors import InputError, NewerSchemaError
from labsys.storage.lab import Lab, create_lab


def _differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))


def test_head_is_the_newest_revision_and_all_are_known() -> None:
    assert HEAD in known_revisions()
    assert max(known_revisions()) == HEAD


@pytest.mark.slow
def test_migrated_database_equals_the_models(any_lab: Lab) -> None:
    database = open_database(any_lab)
    assert _differences(database.engine) == []
    database.close()


@pytest.mark.slow
def test_down_and_up_again(any_lab: Lab) -> None:
    database = open_database(any_lab)
    with database.engine.begin() as connection:
        migrate_down(connection, "base")
    with database.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    with database.engine.begin() as connection:
        migrate_up(connection)
    assert _differences(database.engine) == []
    database.close()
    assert index_lab(any_lab).subjects == 2


@pytest.mark.slow
def test_database_of_a_newer_labsys_is_refused(any_lab: Lab) -> None:
    upgrade_database(any_lab)
    database = open_database(any_lab)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(NewerSchemaError, match=r"9999.*Use the newer labsys\. Do not delete it"):
        open_database(any_lab)


@pytest.mark.slow
def test_database_of_another_lab_is_refused(any_lab: Lab, tmp_path: Path) -> None:
    index_lab(any_lab)
    other = replace(create_lab(tmp_path / "other"), database=any_lab.database)
    with pytest.raises(InputError, match="another lab"):
        index_lab(other)
    database = open_database(other)
    with pytest.raises(InputError, match="another lab"):
        ensure_indexed(other, database)
    database.close()


def test_failed_migration_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from api.database import migrate

    (lab.root / "labsys.db").unlink()
    complete = migrate.migrate_up

    def fail_at_the_end(connection: object) -> None:
        complete(connection)  # type: ignore[arg-type]
        raise RuntimeError("power cut")

    monkeypatch.setattr(migrate, "migrate_up", fail_at_the_end)
    with pytest.raises(RuntimeError, match="power cut"):
        open_database(lab)
    monkeypatch.undo()
    database = open_database(lab)
    assert _differences(database.engine) == []
    database.close()


def test_sqlite_is_opened_in_the_ways_that_the_service_needs(lab: Lab) -> None:
    database = open_database(lab)
    with database.engine.connect() as connection:
        said = {p: connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "foreign_keys")}
    database.close()
    assert said == {"journal_mode": "wal", "foreign_keys": 1}


@pytest.mark.slow
def test_two_processes_may_make_the_database_at_once(lab: Lab) -> None:
    import multiprocessing

    (lab.root / "labsys.db").unlink()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=upgrade_database, args=(lab,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    database = open_database(lab)
    assert _differences(database.engine) == []
    database.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql+psycopg://nobody@127.0.0.1:1/none"])
def test_unusable_database_says_so_without_the_password(lab: Lab, url: str) -> None:
    secret = url.replace("nobody@", "nobody:hunter2@")
    with pytest.raises(InputError, match="database") as caught:
        open_database(replace(lab, database=secret))
    assert "hunter2" not in str(caught.value)
