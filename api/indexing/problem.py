"""What an index says of a part of the lab folder that could not be read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexProblem:
    """A part of the folder that could not be read; everything else is indexed."""

    place: str
    what: str
    remedy: str
