"""A visit's trials as a table, as `labsys session show` and `labsys trial list` print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labsys.storage.lab import Lab


def trial_headers() -> tuple[str, ...]:
    """Columns of `trial_rows`."""
    return ("trial", "kind", "surface", "speed m/s", "incline %", "recorded", "processed", "excluded", "notes")


def trial_rows(lab: Lab, subject: str, session: str) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Headers and rows of a visit's trials."""
    from labsys.storage.runs import current_run
    from labsys.storage.takes import has_take
    from labsys.storage.trials import list_trials

    rows: list[tuple[object, ...]] = [
        (
            str(t.name),
            t.kind,
            t.conditions.surface,
            t.conditions.speed_mps,
            t.conditions.incline_pct,
            "yes" if has_take(lab, t.name) else "no",
            current_run(lab, t.name) or "no",
            t.exclusion_reason if t.excluded else "",
            t.notes,
        )
        for t in list_trials(lab, subject, session)
    ]
    return trial_headers(), rows
