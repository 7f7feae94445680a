"""Where the numbers of a report come from, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from api.pages.words import condition, day
from api.schemas.results import RunDocument
from api.schemas.sessions import SessionDocument

PROVISIONAL = "The measurement error between days is a default, not this lab's own: "
_SOURCES = {"lab": "this lab's own", "default": "default values", "": "unknown"}


def error_words(sources: Collection[str | None]) -> str:
    """Where the error between two days comes from."""
    given = sorted({s for s in sources if s}) or [""]
    return ", ".join(_SOURCES.get(s, s) for s in given)


def calibration_words(run: RunDocument) -> str:
    """A run's calibration with its grade."""
    if not run.calibration:
        return "none"
    return f"{run.calibration}, grade {run.calibration_grade}" if run.calibration_grade else run.calibration


def release_words(release: Mapping[str, Any]) -> str:
    """A release and when it was promoted."""
    return f"{release['release']}, promoted {day(release['made_at'])}"


def visit_words(session: SessionDocument) -> str:
    """When a visit was, its phase and episode."""
    phase = "" if session.phase is None else f", phase {session.phase.value}"
    episode = "" if session.episode is None else f", episode {session.episode}"
    date = day(session.captured_at)
    return f"{session.session}{'' if session.session == date else f', {date}'}{phase}{episode}"


def condition_words(part: Mapping[str, Any], *, footwear: str = "", pain: float | None = None) -> str:
    """Conditions of a trial or of a pair."""
    said = [condition(part).capitalize()]
    said += [f"shoes: {footwear}"] if footwear else []
    said += [f"pain {pain:g} of 10"] if pain is not None else []
    return "; ".join(said)


def newest(runs: Sequence[RunDocument]) -> datetime:
    """When the newest of the runs was started, to the second as PDF has it."""
    return max(datetime.fromisoformat(run.started_at) for run in runs).replace(microsecond=0)
