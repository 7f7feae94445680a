"""The rows of a comparison in the order in which they are read: goals, changes, and the rest by region, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.pages.regions import Region, find_region

Row = Mapping[str, Any]
_NO_CHANGE = "no_detectable_change"
_CLEAR = "larger_than_error"
_INDICATIVE = "indicative_only"
# Rows that say nothing of a change; of too few strides none is called possible, whatever its size.
_QUIET = (_NO_CHANGE, _INDICATIVE, "not_comparable", "not_measured")
_WHY_QUIET = {_NO_CHANGE: "without a detectable change", _INDICATIVE: "of too few strides"}


@dataclass(frozen=True)
class RegionRows:
    """The rows of one region. `summary`: how many there are of which kind, in words."""

    region: Region
    rows: tuple[Row, ...]
    summary: str


@dataclass(frozen=True)
class PairRows:
    """The rows of one pair of conditions.

    Attributes:
        goals: declared by the clinician. clear: larger than the measurement error; possible: not distinguishable from
            it. quiet: all others.
        n_indicative: rows among them that rest on too few strides for a verdict.
    """

    goals: tuple[Row, ...]
    clear: tuple[Row, ...]
    possible: tuple[Row, ...]
    quiet: tuple[RegionRows, ...]
    n_indicative: int = 0

    @property
    def n_quiet(self) -> int:
        """Rows that stand collapsed."""
        return sum(len(region.rows) for region in self.quiet)


def arrange_rows(rows: Sequence[Row]) -> PairRows:
    """Part the rows of one pair; each stands in exactly one place, in the order of the catalogue."""
    goals = [r for r in rows if r["family"] == "goal"]
    others = [r for r in rows if r["family"] != "goal"]
    return PairRows(
        goals=tuple(goals),
        clear=tuple(r for r in others if r["verdict"] == _CLEAR),
        possible=tuple(r for r in others if r["verdict"] not in (_CLEAR, *_QUIET)),
        quiet=group_by_region([r for r in others if r["verdict"] in _QUIET], _why_quiet),
        n_indicative=sum(r["verdict"] == _INDICATIVE for r in others),
    )


def group_by_region(rows: Sequence[Row], kind_of: Any) -> tuple[RegionRows, ...]:
    """Rows under their regions. `kind_of`: a row -> what the summary counts it as."""
    found: dict[Region, list[Row]] = {region: [] for region in Region}
    for row in rows:
        found[find_region(row["id"])].append(row)
    return tuple(RegionRows(region, tuple(rs), _count(rs, kind_of)) for region, rs in found.items() if rs)


def _count(rows: Sequence[Row], kind_of: Any) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in Counter(kind_of(r) for r in rows).most_common())


def _why_quiet(row: Row) -> str:
    return _WHY_QUIET.get(row["verdict"], "without a verdict")
