"""Put a release together: of the candidate, or of what counts now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labsys.core.clock import utc_now
from labsys.core.errors import InputError
from labsys.core.measurement_error import ErrorTable
from labsys.core.release import Member, Recipe, Release, ReleasedErrors, commonest_recipe
from labsys.core.session import Trial, TrialName
from labsys.storage.current_runs import all_trials, current_run, open_members
from labsys.storage.lab import Lab
from labsys.storage.references import load_references
from labsys.storage.releases import check_release_name, load_candidate, load_releases
from labsys.storage.runs import RunRecord, is_complete, load_run
from pipelines.trial_inputs import gather_inputs, is_outdated


@dataclass(frozen=True)
class _Chosen:
    """What becomes a member, made how, and what does not (name of the trial -> why)."""

    recipe: Recipe
    records: Mapping[str, tuple[Trial, RunRecord]]
    left_out: Mapping[str, str]


def release_candidate(lab: Lab, name: str, *, made_by: str, note: str, errors: ErrorTable) -> Release:
    """A release of what was processed beside the present results.

    Raises:
        InputError: nothing was processed so, nothing of it stands any more, or the name is taken.
    """
    check_release_name(lab, name)
    candidate = load_candidate(lab)
    if candidate is None:
        raise InputError(
            "nothing was processed beside what counts",
            remedy="Run 'labsys reprocess --all', look at 'labsys reprocess --preview', then promote it",
        )
    trials = {t.uuid: t for t in all_trials(lab)}
    left_out = {
        m.trial: why for u, m in candidate.members.items() if (why := _against(lab, trials.get(u), m)) is not None
    }
    standing = {u: m for u, m in candidate.members.items() if m.trial not in left_out}
    records = {u: (trials[u], load_run(lab, trials[u].name, m.run)) for u, m in standing.items()}
    if not records:
        raise InputError("no run of the candidate stands any more", remedy="Run 'labsys reprocess' again")
    return _release(lab, name, _Chosen(candidate.recipe, records, left_out), made_by, note, errors)


def release_current(lab: Lab, name: str, *, made_by: str, note: str, errors: ErrorTable) -> Release:
    """A release of what counts now, as most of it was made; what was made otherwise is left out.

    Raises:
        InputError: nothing was processed, the name is taken, or what counts is the open release already.
    """
    check_release_name(lab, name)
    records: dict[str, tuple[Trial, RunRecord]] = {}
    for trial in all_trials(lab):
        run = current_run(lab, trial.name)
        if run is not None:
            records[trial.uuid] = (trial, load_run(lab, trial.name, run))
    recipe = commonest_recipe(Recipe.of(r.provenance) for _, r in records.values())
    if recipe is None:
        raise InputError("nothing was processed yet", remedy="Run 'labsys process --all' first")
    before = load_releases(lab)
    if before and before[-1].recipe.covers(recipe):
        raise InputError(
            f"what counts now is release '{before[-1].name}' already", remedy="It stays open for later trials"
        )
    alike = {u: found for u, found in records.items() if recipe.covers(Recipe.of(found[1].provenance))}
    left_out = {str(t.name): "made otherwise than most" for u, (t, _) in records.items() if u not in alike}
    return _release(lab, name, _Chosen(recipe, alike, left_out), made_by, note, errors)


def _release(lab: Lab, name: str, chosen: _Chosen, made_by: str, note: str, errors: ErrorTable) -> Release:
    now = utc_now()
    before = load_releases(lab)
    closing = before[-1] if before else None
    return Release(
        name=name,
        made_at=now,
        made_by=made_by,
        note=note,
        recipe=chosen.recipe,
        models=tuple(sorted({r.provenance.model for _, r in chosen.records.values()})),
        errors=ReleasedErrors.of(errors),
        references=load_references(lab),
        members={u: Member(str(t.name), r.run, now) for u, (t, r) in chosen.records.items()},
        closes=closing.name if closing is not None else "",
        closed=open_members(lab, closing) if closing is not None else {},
        left_out=chosen.left_out,
    )


def _against(lab: Lab, trial: Trial | None, member: Member) -> str | None:
    """Why a run of the candidate is no member, or None."""
    if trial is None:
        return "the trial is gone"
    if not is_complete(lab, trial.name, member.run):
        return f"run {member.run} is gone"
    return _outdated(lab, trial.name, member.run)


def _outdated(lab: Lab, name: TrialName, run: str) -> str | None:
    try:
        outdated = is_outdated(load_run(lab, name, run), gather_inputs(lab, name))
    except InputError as error:
        return str(error)
    return "what it rests on has changed since; reprocess it again" if outdated else None
