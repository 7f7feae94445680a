"""Indexing: complete, idempotent, honest about what it could not read, and equal in value to the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from api.database.connection import open_database
from api.database.tables import FileRow, IndexState, SubjectRow, TrialMetricRow
from api.indexing.index import find_problems, index_lab, index_subject
from api.lab_errors import default_errors
from api.queries import compare_sessions, find_run, find_trend, find_visit, run_metrics
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import Side
from labsys.longitudinal import Verdict
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result

pytestmark = pytest.mark.slow

ERRORS = default_errors()
RUN1 = TrialName("S01", "2026-11-01", "run1")


def test_counts_and_no_problem(any_lab: Lab) -> None:
    report = index_lab(any_lab)
    assert (report.subjects, report.episodes, report.sessions, report.trials, report.runs) == (2, 1, 3, 6, 6)
    assert report.problems == ()
    assert index_lab(any_lab) == report


def test_numbers_equal_the_folder_in_every_bit(any_lab: Lab) -> None:
    index_lab(any_lab)
    database = open_database(any_lab)
    with database.read() as session:
        rows = {(r.metric, r.side): r for r in run_metrics(session, find_run(session, RUN1))}
    database.close()
    metrics = load_trial_result(any_lab, RUN1).motion.metrics
    assert len(rows) == len(metrics) > 40
    for metric in metrics:
        row = rows[metric.id, metric.side]
        assert (row.mean, row.sd, row.n) == (metric.mean, metric.sd, metric.n)
        assert row.p05 < row.median < row.p95
        assert row.quality is metric.quality


def test_what_could_not_be_measured_is_a_row_with_its_reason(lab: Lab) -> None:
    index_lab(lab)
    database = open_database(lab)
    with database.read() as session:
        rows = run_metrics(session, find_run(session, TrialName("S02", "2026-11-03", "walk1")))
    database.close()
    missing = [r for r in rows if r.metric == "lumbar_ext_peak"]
    assert [r.mean for r in missing] == [None]
    assert "T3" in (missing[0].reason or "")


def test_files_are_listed_with_size_and_hash(lab: Lab) -> None:
    index_lab(lab)
    database = open_database(lab)
    with database.read() as session:
        files = session.scalars(select(FileRow)).all()
    database.close()
    assert {f.kind for f in files} == {"markers", "result"}
    for file in files:
        assert (lab.root / file.path).stat().st_size == file.size_bytes
        assert file.sha256 is not None
        assert len(file.sha256) == 64


def test_unreadable_parts_are_named_and_the_rest_is_there(lab: Lab) -> None:
    (lab.root / "subjects/S01/2026-12-13/run1/trial.json").write_text("{", encoding="utf-8")
    (lab.root / "subjects/S01/episodes/acl-left.json").write_text('{"schema_version": 99}', encoding="utf-8")
    report = index_lab(lab)
    assert report.trials == 5
    assert report.sessions == 3
    places = [p.place for p in report.problems]
    assert "subjects/S01/2026-12-13/run1" in places
    assert "subjects/S01/episodes/acl-left" in places
    assert not any(str(lab.root) in p.what for p in report.problems)
    database = open_database(lab)
    with database.read() as session:
        assert {p.place for p in find_problems(session)} == set(places)
    database.close()


def test_copied_subject_folder_is_named_not_merged(lab: Lab) -> None:
    folder = Path(shutil.copytree(lab.root / "subjects/S01", lab.root / "subjects/S03"))
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace("S01", "S03"), encoding="utf-8")
    report = index_lab(lab)
    assert report.subjects == 2
    assert any("identity" in p.what and p.place == "subjects/S03" for p in report.problems)
    assert index_subject(lab, "S03").problems == report.problems
    said = " ".join(p.what for p in report.problems)
    assert "S01" not in said  # whoever may see S03 reads this, and may know nothing of S01
    assert json.loads((folder / "subject.json").read_text(encoding="utf-8"))["uuid"] in said
    shutil.rmtree(folder)
    folder = Path(shutil.copytree(lab.root / "subjects/S01/2026-12-13", lab.root / "subjects/S01/2026-12-14"))
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace("2026-12-13", "2026-12-14"), encoding="utf-8")
    assert any("session S01/2026-12-13" in p.what for p in index_lab(lab).problems)


def test_subject_that_is_gone_loses_its_rows(any_lab: Lab) -> None:
    index_lab(any_lab)
    shutil.rmtree(any_lab.root / "subjects/S02")
    assert index_subject(any_lab, "S02").subjects == 0
    database = open_database(any_lab)
    with database.read() as session:
        assert session.scalars(select(SubjectRow.code)).all() == ["S01"]
        assert session.scalar(select(func.count()).where(TrialMetricRow.subject == "S02")) == 0
    database.close()


def test_index_of_an_older_version_is_rebuilt_whole(lab: Lab) -> None:
    index_lab(lab)
    database = open_database(lab)
    with database.write() as session:
        session.execute(update(IndexState).values(index_version=0))
    database.close()
    assert index_subject(lab, "S02").subjects == 2


def test_failed_indexing_changes_nothing(any_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    index_lab(any_lab)

    def fail(*_arguments: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("api.indexing.index._insert", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        index_lab(any_lab)
    monkeypatch.undo()
    database = open_database(any_lab)
    with database.read() as session:
        assert session.scalars(select(SubjectRow.code).order_by(SubjectRow.code)).all() == ["S01", "S02"]
    database.close()


def test_comparison_from_rows(any_lab: Lab) -> None:
    index_lab(any_lab)
    database = open_database(any_lab)
    with database.read() as session:
        comparison = compare_sessions(session, ERRORS, "S01", "2026-11-01", "2026-12-13")
        visit = find_visit(session, "S01", "2026-12-13")
        with pytest.raises(UnknownNameError, match="2026-11-01"):
            compare_sessions(session, ERRORS, "S01", "2026-11-02", "2026-12-13")
        with pytest.raises(InputError, match="itself"):
            compare_sessions(session, ERRORS, "S01", "2026-11-01", "2026-11-01")
    database.close()
    assert [c.name.trial for c in visit.captures] == ["run1", "run2"]
    assert all(c.kind is TrialKind.RUN and c.static_shares_calibration for c in visit.captures)
    rows = {(r.id, r.side): r for r in comparison.rows}
    goal = rows["hip_ext_excursion_stance", Side.LEFT]
    assert goal.family == "goal"
    assert goal.verdict is Verdict.LARGER_THAN_ERROR
    assert goal.goal_direction == "toward"
    assert rows["cadence", Side.BOTH].verdict is Verdict.NO_DETECTABLE_CHANGE


def test_trend_from_rows(lab: Lab) -> None:
    index_lab(lab)
    database = open_database(lab)
    with database.read() as session:
        trend = find_trend(session, ERRORS, "S01", "hip_ext_excursion_stance", Side.LEFT)
        with pytest.raises(InputError, match="kept for"):
            find_trend(session, ERRORS, "S01", "cadence", Side.LEFT)
    database.close()
    assert [[p.session for p in s.points] for s in trend.series] == [["2026-11-01", "2026-12-13"]]
