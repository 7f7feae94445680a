"""Releases and their members as rows, read from the lab folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from api.moments import parse_moment, parse_uuid
from labsys.core.release import Candidate, Member, Release
from labsys.core.session import Trial
from labsys.storage.current_runs import member_now
from labsys.storage.finished_runs import RunRecord
from labsys.storage.lab import Lab
from labsys.storage.releases import CANDIDATE, load_candidate, load_releases


@dataclass(frozen=True, eq=False)
class LabReleases:
    """All releases of a lab, the oldest first, and what may become the next one."""

    releases: tuple[Release, ...]
    candidate: Candidate | None

    @classmethod
    def read(cls, lab: Lab) -> LabReleases:
        """From the folder (InputError; NewerSchemaError)."""
        return cls(load_releases(lab), load_candidate(lab))

    def rows(self) -> list[dict[str, Any]]:
        """One row per release; the candidate is one too."""
        ends = [*(r.made_at for r in self.releases[1:]), None]
        found = [_release_row(r, end) for r, end in zip(self.releases, ends, strict=True)] if self.releases else []
        return [*found, _candidate_row(self.candidate)] if self.candidate is not None else found

    def members(self, trial: Trial, runs: Mapping[str, RunRecord], current: str | None) -> list[dict[str, Any]]:
        """Of every release that this trial is in, with a run that is still there."""
        trial_id = parse_uuid(trial.uuid)
        return [
            {"release": release, "trial_id": trial_id, "run": m.run, "joined_at": parse_moment(m.joined_at)}
            for release, m in self._memberships(trial, runs.get(current or ""))
            if m is not None and m.run in runs
        ]

    def _memberships(self, trial: Trial, current: RunRecord | None) -> Iterator[tuple[str, Member | None]]:
        for release, following in zip(self.releases, self.releases[1:], strict=False):
            yield release.name, following.closed.get(trial.uuid)
        if self.releases:
            yield self.releases[-1].name, member_now(self.releases[-1], trial, current)
        if self.candidate is not None:
            yield CANDIDATE, self.candidate.members.get(trial.uuid)


def _release_row(release: Release, closed_at: str | None) -> dict[str, Any]:
    return {
        "name": release.name,
        "made_at": parse_moment(release.made_at),
        "made_by": release.made_by,
        "note": release.note,
        "pipeline_version": release.recipe.version,
        "definition_version": release.recipe.definition_version,
        "models": list(release.models),
        "errors": release.errors.name,
        "closed_at": None if closed_at is None else parse_moment(closed_at),
    }


def _candidate_row(candidate: Candidate) -> dict[str, Any]:
    return {
        "name": CANDIDATE,
        "made_at": parse_moment(candidate.begun_at),
        "made_by": "",
        "note": "",
        "pipeline_version": candidate.recipe.version,
        "definition_version": candidate.recipe.definition_version,
        "models": [],
        "errors": "",
        "closed_at": None,
    }
