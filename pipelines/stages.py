"""The stages of a run, by themselves: who only names them needs nothing of what they do."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The stages in order; `--from STAGE` computes that one and all after it anew."""

    POSE2D = "pose2d"
    RECONSTRUCT = "reconstruct"
    ANALYSE = "analyse"
