"""The PostgreSQL of the tests runs wherever the environment lies."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine

from tests.test_api import postgresql
from tests.test_api.postgresql import NoServerError, running_postgresql


@pytest.mark.slow
def test_binaries_that_the_servers_user_may_not_reach_are_run_from_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, wheels = postgresql._runs, [f for f in postgresql._postgresql_binaries() if "pginstall" in f.parent.name]
    monkeypatch.setattr(postgresql, "_postgresql_binaries", lambda: tuple(wheels))
    monkeypatch.setattr(postgresql, "_runs", lambda folder: folder not in wheels and runs(folder))
    with running_postgresql() as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            home = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar())).parent
        assert (home / "copied").is_dir()
    assert not home.exists()


def test_none_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_postgresql_binaries", lambda: ())
    with pytest.raises(NoServerError, match="make setup"), running_postgresql():
        raise AssertionError("there is no server")
