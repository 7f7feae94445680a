"""How far a visit has come: its steps in order, which are done, and which is next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from api.recording.visits import FAMILIARISATION, Visit
from api.schemas.capture import StepDocument, VisitDocument
from labsys.capture.protocol import Step
from labsys.core.errors import ConcurrencyError, GateRefusedError
from labsys.core.session import Trial, TrialName

if TYPE_CHECKING:
    from labsys.storage.lab import Lab

State = Literal["waiting", "done", "skipped"]


@dataclass
class _Progress:
    """One step: where it stands, and the trial that was kept of it."""

    step: Step
    state: State = "waiting"
    trial: TrialName | None = None


def lead_visit(lab: Lab, visit: Visit) -> LedVisit:
    """A visit from its beginning, or from where it was broken off: what its session has already is not asked for again.

    Raises:
        InputError: a trial of the session cannot be read.
    """
    from labsys.storage.takes import has_take
    from labsys.storage.trials import list_trials

    led, trials = LedVisit(visit), list_trials(lab, visit.session.subject, visit.session.session)
    recorded = [t for t in trials if not t.excluded and has_take(lab, t.name)]
    led.take_up(sorted(recorded, key=lambda t: t.recorded_at))
    return led


class LedVisit:
    """The visit that a station leads. Steps come in order; one that was done or skipped can come again."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._steps = [_Progress(step) for step in visit.protocol.steps]

    @property
    def now(self) -> Step | None:
        """The step that is next; None after the last."""
        found = self._current()
        return found.step if found is not None else None

    @property
    def last_kept(self) -> TrialName | None:
        """The trial that was kept last; None where none was."""
        return next((p.trial for p in reversed(self._steps) if p.trial is not None), None)

    def take_up(self, trials: Sequence[Trial]) -> None:
        """Steps that these trials, in the order of recording, are of are done; those before the last of them were left
        out. Where nothing would be left to do, the visit begins anew."""
        found, after = dict[int, TrialName](), 0
        for trial in trials:
            which = next((i for i in range(after, len(self._steps)) if self._is_of(trial, self._steps[i].step)), None)
            if which is not None:
                found[which], after = trial.name, which + 1
        if after == len(self._steps):
            return
        for number, progress in enumerate(self._steps[:after]):
            progress.trial = found.get(number)
            self._leave(progress)

    def _is_of(self, trial: Trial, step: Step) -> bool:
        stated = (trial.kind.value, trial.conditions.speed_mps, trial.conditions.incline_pct or 0.0)
        return stated == (step.kind, self.visit.speed_of(step), step.incline_pct)

    def keep(self, trial: TrialName) -> None:
        """The step that was next has its trial."""
        current = self._required()
        current.state, current.trial = "done", trial

    def go_on(self) -> None:
        """Leave the step that is next out; getting used to the belt is done with that."""
        self._leave(self._required())

    def _leave(self, progress: _Progress) -> None:
        is_done = progress.trial is not None or progress.step.kind == FAMILIARISATION
        progress.state = "done" if is_done else "skipped"

    def go_back(self) -> TrialName | None:
        """The step before is next again; the trial that had been kept of it, None where there was none.

        Raises:
            ConcurrencyError: there is no step before.
        """
        gone = [p for p in self._steps if p.state != "waiting"]
        if not gone:
            raise ConcurrencyError("no step was done yet")
        last, trial = gone[-1], gone[-1].trial
        last.state, last.trial = "waiting", None
        return trial

    def repeat(self, trial: str) -> TrialName | None:
        """The step whose take was kept last is next again; that take. "": the step before, of which none was kept.

        Raises:
            ConcurrencyError: another take was kept last, or there is no step before.
        """
        kept = [p for p in self._steps if p.trial is not None]
        if not trial and (not kept or kept[-1] is not [p for p in self._steps if p.state != "waiting"][-1]):
            return self.go_back()
        if not kept or str(kept[-1].trial) != trial:
            last = f"the last one is {kept[-1].trial}" if kept else "none is kept"
            raise ConcurrencyError(f"only the take that was kept last is repeated: {last}", remedy="Look again")
        found = kept[-1].trial
        kept[-1].state, kept[-1].trial = "waiting", None
        return found

    def check_complete(self) -> None:
        """Refuse to end a visit that nobody can use (GateRefusedError)."""
        if self.missing:
            raise GateRefusedError(
                f"the visit is not complete: {self.missing}", remedy="Record it, or end it all the same"
            )

    def document(self) -> VisitDocument:
        """As JSON."""
        visit, current = self.visit, self._current()
        steps = [
            StepDocument(
                number=number,
                kind=p.step.kind,
                seconds=p.step.seconds,
                speed_mps=visit.speed_of(p.step),
                incline_pct=p.step.incline_pct,
                state="now" if p is current else p.state,
                trial=None if p.trial is None else str(p.trial),
            )
            for number, p in enumerate(self._steps, start=1)
        ]
        return VisitDocument(
            subject=visit.session.subject,
            session=visit.session.session,
            protocol=visit.protocol.name,
            calibration=visit.calibration,
            steps=steps,
            missing=self.missing,
        )

    @property
    def missing(self) -> str:
        """Why nobody can use the visit yet, "" where it is complete."""
        if any(p.step.kind == "static" and p.trial is not None for p in self._steps):
            return ""
        return "it has no standing trial, from which hip and lumbar angles are counted"

    def _current(self) -> _Progress | None:
        return next((p for p in self._steps if p.state == "waiting"), None)

    def _required(self) -> _Progress:
        current = self._current()
        if current is None:
            raise ConcurrencyError("all steps are done", remedy="End the visit")
        return current
