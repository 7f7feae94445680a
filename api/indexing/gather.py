"""One subject's part of the lab folder, read into rows. A part that cannot be read is noted, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from api.database.columns import Base
from api.database.tables import EpisodeRow, GoalRow, ScoreRow, SessionRow, SubjectRow, TrialRow
from api.indexing.gather_files import take_files
from api.indexing.gather_releases import LabReleases
from api.indexing.gather_run import RunRows, gather_run
from api.indexing.gather_tombstones import gather_tombstones
from api.indexing.problem import IndexProblem
from api.moments import parse_date, parse_moment, parse_uuid
from labsys.core.errors import InputError
from labsys.core.session import Episode, Session, Subject, Trial, TrialName
from labsys.storage.current_runs import current_run
from labsys.storage.episodes import episode_labels, load_episode
from labsys.storage.finished_runs import RunRecord, load_run, run_names
from labsys.storage.lab import Lab
from labsys.storage.sessions import load_session, session_codes
from labsys.storage.subjects import load_subject
from labsys.storage.trial_changes import last_change
from labsys.storage.trials import load_trial, trial_codes


@dataclass
class SubjectRows:
    """Rows of one subject in the making. `claim` refuses an identity that another noun has (a copied folder)."""

    lab: Lab
    releases: LabReleases
    claim: Callable[[str, str], None]
    nouns: list[Base] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    tombstones: list[dict[str, Any]] = field(default_factory=list)
    problems: list[IndexProblem] = field(default_factory=list)

    @contextmanager
    def noting(self, place: str) -> Iterator[None]:
        """Turn an InputError into a problem of this place."""
        try:
            yield
        except InputError as error:
            root = f"{self.lab.root}/"
            where = f" ({error.where.replace(root, '')})" if error.where else ""
            self.problems.append(IndexProblem(place, f"{error.what.replace(root, '')}{where}", error.remedy))

    def count(self, kind: type[Base]) -> int:
        """How many rows of a kind were gathered."""
        return sum(isinstance(row, kind) for row in self.nouns)


def gather_subject(lab: Lab, code: str, claim: Callable[[str, str], None], releases: LabReleases) -> SubjectRows:
    """Read everything that the index knows of one subject."""
    rows = SubjectRows(lab, releases, claim)
    with rows.noting(f"subjects/{code}"):
        subject = load_subject(lab, code)
        row = _subject_row(subject)
        claim(row.id, f"subject {code}")
        rows.nouns.append(row)
        episodes = _gather_episodes(rows, subject, row)
        for session in session_codes(lab, code):
            _gather_session(rows, row, session, episodes)
    with rows.noting(f"bin (of {code})"):
        rows.tombstones += gather_tombstones(lab, code, rows.metrics)
    return rows


def _subject_row(subject: Subject) -> SubjectRow:
    return SubjectRow(
        id=parse_uuid(subject.uuid),
        code=subject.code,
        sex=subject.sex,
        birth_year=subject.birth_year,
        leg_dominance=subject.leg_dominance,
        consent=list(subject.consent),
        notes=subject.notes,
        updated_at=parse_moment(subject.updated_at),
    )


def _gather_episodes(rows: SubjectRows, subject: Subject, parent: SubjectRow) -> dict[str, EpisodeRow]:
    found: dict[str, EpisodeRow] = {}
    for label in episode_labels(rows.lab, subject.code):
        with rows.noting(f"subjects/{subject.code}/episodes/{label}"):
            row = _episode_row(load_episode(rows.lab, subject.code, label), parent)
            rows.claim(row.id, f"episode {subject.code} {label}")
            found[label] = row
    rows.nouns.extend(found.values())
    return found


def _episode_row(episode: Episode, parent: SubjectRow) -> EpisodeRow:
    goals = [
        GoalRow(position=i, metric=g.metric, side=g.side, direction=g.direction, date=parse_date(g.date))
        for i, g in enumerate(episode.goals)
    ]
    return EpisodeRow(
        id=parse_uuid(episode.uuid),
        subject_id=parent.id,
        subject=parent,
        label=episode.label,
        index_date=parse_date(episode.index_date),
        goals=goals,
        notes=episode.notes,
        updated_at=parse_moment(episode.updated_at),
    )


def _gather_session(rows: SubjectRows, parent: SubjectRow, code: str, episodes: dict[str, EpisodeRow]) -> None:
    place = f"subjects/{parent.code}/{code}"
    with rows.noting(place):
        session = load_session(rows.lab, parent.code, code)
        episode = episodes.get(session.episode)
        if session.episode and episode is None:
            with rows.noting(f"{place}/session.json"):
                raise InputError(f"names the episode '{session.episode}', which cannot be read or is not there")
        row = _session_row(session, parent, episode)
        rows.claim(row.id, f"session {parent.code}/{code}")
        rows.nouns.append(row)
        for trial in trial_codes(rows.lab, parent.code, code):
            _gather_trial(rows, row, TrialName(parent.code, code, trial))


def _session_row(session: Session, parent: SubjectRow, episode: EpisodeRow | None) -> SessionRow:
    body = session.anthropometry
    return SessionRow(
        id=parse_uuid(session.uuid),
        subject_id=parent.id,
        subject=parent,
        code=session.session,
        captured_at=parse_moment(session.captured_at),
        phase=session.phase,
        episode=episode,
        operator=session.operator,
        mass_kg=body.mass_kg,
        height_m=body.height_m,
        leg_length_m=body.leg_length_m,
        repeats=session.repeats,
        scores=[ScoreRow(name=name, value=value) for name, value in sorted(session.scores.items())],
        notes=session.notes,
        updated_at=parse_moment(session.updated_at),
    )


def _gather_trial(rows: SubjectRows, parent: SessionRow, name: TrialName) -> None:
    place = f"subjects/{name}"
    with rows.noting(place):
        trial = load_trial(rows.lab, name)
        row = _trial_row(trial, parent)
        rows.claim(row.id, f"trial {name}")
        rows.nouns.append(row)
        with rows.noting(f"{place}/take"):
            rows.files += take_files(rows.lab, name, row)
        with rows.noting(f"{place}/runs"):
            row.current_run = current_run(rows.lab, name)
            _gather_runs(rows, row, trial)


def _gather_runs(rows: SubjectRows, row: TrialRow, trial: Trial) -> None:
    name = trial.name
    gathered: list[RunRows] = []
    records: dict[str, RunRecord] = {}
    for run in run_names(rows.lab, name):
        with rows.noting(f"subjects/{name}/runs/{run}"):
            record = load_run(rows.lab, name, run)
            gathered.append(gather_run(rows.lab, name, row, record))
            records[run] = record
    current = next((g for g in gathered if g.run.is_current), None)
    for found in gathered:
        rows.nouns.append(found.run)
        rows.files += found.files
        rows.metrics += found.metric_rows(row, current, last_change(rows.lab, name))
    rows.members += rows.releases.members(trial, records, row.current_run)


def _trial_row(trial: Trial, parent: SessionRow) -> TrialRow:
    under = trial.conditions
    return TrialRow(
        id=parse_uuid(trial.uuid),
        session_id=parent.id,
        session=parent,
        code=trial.name.trial,
        kind=trial.kind,
        recorded_at=parse_moment(trial.recorded_at),
        surface=under.surface,
        speed_mps=under.speed_mps,
        incline_pct=under.incline_pct,
        footwear=under.footwear,
        pain_0_10=under.pain_0_10,
        static=trial.static,
        placement=trial.placement,
        excluded=trial.excluded,
        exclusion_reason=trial.exclusion_reason,
        accepted_sizes={camera: list(size) for camera, size in sorted(trial.accepted_sizes.items())},
        notes=trial.notes,
        updated_at=parse_moment(trial.updated_at),
        current_run=None,
    )
