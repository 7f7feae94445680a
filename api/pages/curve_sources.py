"""Where a page's scripts find the curves that they draw, and what to draw over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labsys.core.catalogue import ANGLES
from labsys.core.definitions import Sided
from labsys.core.session import TrialName

SHOWN = ("hip_flexion", "pelvis_rotation", "lumbar_extension")


def comparison_curves(
    names: Mapping[str, Sequence[TrialName]],
    rows: Sequence[Mapping[str, Any]],
    *,
    runs: Mapping[str, str],
    changes: str,
    pair: int,
) -> dict[str, Any]:
    """Curves of both visits of one pair. changes: where the stretches that differ are asked for.

    runs: SESSION/TRIAL -> its run; a trial that is not there is drawn by the run that counts now.
    """
    words = {"pre": "before", "post": "after"}
    lines = [
        _source(name, words[visit], runs.get(f"{name.session}/{name.trial}"))
        for visit, found in names.items()
        for name in found
    ]
    toe_off = {
        side: [
            {"line": words[visit], "at": row[visit]}
            for row in rows
            if row["id"] == "duty_factor" and row["side"] == side
            for visit in ("pre", "post")
            if row[visit] is not None
        ]
        for side in ("left", "right")
    }
    return {"sources": lines, "toe_off": toe_off, "changes": changes, "pair": pair, "angles": angle_choice()}


def angle_choice() -> list[dict[str, Any]]:
    """Every angle that can be drawn; those of `SHOWN` are there from the beginning."""
    shown = sorted(ANGLES, key=lambda a: SHOWN.index(a.id) if a.id in SHOWN else len(SHOWN))
    return [
        {
            "id": a.id,
            "name": a.description,
            "positive": a.positive,
            "zero": "standing" if a.static_referenced else a.zero,
            "unit": a.unit.value,
            "sides": ["both"] if a.sided is Sided.BOTH else ["left", "right"],
            "shown": a.id in SHOWN,
        }
        for a in shown
    ]


def _source(name: TrialName, line: str, run: str | None) -> dict[str, Any]:
    label = f"{line} ({name.session}/{name.trial})"
    href = f"/api/v1/trials/{name}/curves" if run is None else f"/api/v1/runs/{name}/{run}/curves"
    return {"line": line, "dashed": line == "before", "label": label, "href": href}
