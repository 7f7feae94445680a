"""KEEP or REPEAT, while the runner is still on the belt: from counts and timestamps, without decoding anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labsys.capture.losses import Losses
from labsys.capture.sync_quality import SyncQuality

_KEPT_SHARE = 0.001
_KEPT_GAP = 2
_CORRUPT_SHARE = 0.001
_UNSURE_SHARE = 0.001
_LEAST_OF_STEP = 0.5
_ALL_OF_STEP = 0.9


class Advice(StrEnum):
    """What to do with a take."""

    KEEP = "KEEP"
    KEEP_WITH_NOTES = "KEEP WITH NOTES"
    REPEAT = "REPEAT"


@dataclass(frozen=True)
class TakeVerdict:
    """The advice and its reasons, worst first."""

    advice: Advice
    reasons: tuple[str, ...]
    grade: str

    def __str__(self) -> str:
        reasons = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return f"{self.advice.value}{reasons}"


def judge_take(
    losses: Mapping[str, Losses],
    sync: SyncQuality,
    *,
    happened: Sequence[str],
    cut_short: bool,
    noted: Sequence[str] = (),
    lasted_s: float = 0.0,
    step_s: float = 0.0,
) -> TakeVerdict:
    """Advise from what was lost, how well the cameras were held together, and what happened.

    happened: faults in words, such as a full disk. noted: what cost no frame, but wants to be known. cut_short: the
    recorder itself was stopped. lasted_s: how long the take is. step_s: how long the step of a protocol asks it to be,
    0 where none does.
    """
    grave, notes = [*happened], [*noted]
    if cut_short:
        grave.append("the recording was cut short")
    if lasted_s < _ALL_OF_STEP * step_s:
        (grave if lasted_s < _LEAST_OF_STEP * step_s else notes).append(f"{lasted_s:.1f} s of {step_s:g} s")
    for losses_of in losses.values():
        _judge_camera(losses_of, grave, notes)
    # What the rig is would be the same in the next take: only what went wrong in this one is a reason to repeat it.
    grave += sync.faults
    notes += [f"grade D: {reason}" for reason in sync.standing]
    advice = Advice.REPEAT if grave else Advice.KEEP_WITH_NOTES if notes else Advice.KEEP
    return TakeVerdict(advice, (*grave, *notes), sync.grade)


def _judge_camera(found: Losses, grave: list[str], notes: list[str]) -> None:
    if not found.stored:
        grave.append(f"{found.camera} stored nothing")
        return
    if found.slow:
        grave.append(f"{found.camera} runs slower than it should: exposure or dynamic frame rate?")
    if found.lost:
        after, longest = found.gaps[0] if found.gaps else (0, found.lost)
        at_s = max(after - int(found.ticks[0]) + 1, 0) * found.period_s
        causes = ", ".join(f"{n} {cause}" for cause, n in found.by_cause().items())
        said = f"{found.camera} lost {found.lost} frame{'s' * (found.lost > 1)} ({causes}), most at {_clock(at_s)}"
        (grave if found.lost > _KEPT_SHARE * found.due or longest > _KEPT_GAP else notes).append(said)
    if found.n_unsure:
        many = found.n_unsure > 1
        said = (
            f"{found.n_unsure} late frame{'s' * many} of {found.camera} beside a loss may be from before it: not used"
        )
        (grave if found.n_unsure > _UNSURE_SHARE * found.due else notes).append(said)
    if found.surplus:
        grave.append(f"{found.camera} gave {found.surplus} frames more than there were pulses")
    if found.n_corrupt:
        said = f"{found.camera} has {found.n_corrupt} damaged frame{'s' * (found.n_corrupt > 1)}"
        (grave if found.n_corrupt > _CORRUPT_SHARE * found.due else notes).append(said)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"
