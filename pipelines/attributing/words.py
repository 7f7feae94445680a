"""An attribution in words."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.attributing.blame import Attribution, Blame, Cause

_NAMED = 4


def verdict_sentence(attribution: Attribution) -> str:
    """Who is to blame, in one sentence; or that nothing stands out."""
    if attribution.blames:
        worst, *others = attribution.blames
        sentence = f"{_upper_first(worst.cause)} is to blame, {name_subject(worst)}: {worst.found}."
        more = dict.fromkeys(f"{b.cause} ({name_subject(b)})" for b in others)
        return sentence + (f" Also: {'; '.join(more)}." if more else "")
    if not attribution.unchecked:
        return "Nothing stands out: 2D detection, sync, calibration and triangulation are as they should be."
    left = ", ".join(attribution.unchecked)
    return f"Nothing stands out in what could be checked; {left} could not be judged in full."


def name_subject(blame: Blame) -> str:
    """Whose a blame is: landmarks, cameras, both, or the whole trial."""
    landmarks, cameras = shorten(blame.landmarks), shorten(blame.cameras)
    if landmarks and cameras:
        joined = "not seen by" if blame.cause is Cause.TRIANGULATION else "in"
        return f"{landmarks} {joined} {cameras}"
    return landmarks or cameras or "the whole trial"


def shorten(names: Sequence[str]) -> str:
    """Names with commas, the first four of many."""
    if len(names) <= _NAMED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _upper_first(text: str) -> str:
    return text[0].upper() + text[1:]
