"""Seeded draws for looks, light and rigs, parted so that what is evaluated was never trained on.

The unit interval is cut into cells that alternate between training and evaluation: no number that one of them draws
can be drawn by the other, whatever the seeds, and both cover the whole range. Choices from short lists are shared;
what makes two scenes alike is their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np

from pipelines.synthetic.pictures.light import RGB

T = TypeVar("T")
_CELLS = 12  # for each split


class Split(IntEnum):
    """What a scene is for. DEMO draws as EVALUATION does: a demonstration shows runners that no model has seen."""

    TRAINING = 0
    EVALUATION = 1
    DEMO = 2

    @property
    def parity(self) -> int:
        """Which of the alternating cells it draws from."""
        return 0 if self is Split.TRAINING else 1


class Draws:
    """Random numbers of one purpose within one scene: the same split, seed and purpose give the same ones."""

    def __init__(self, split: Split, seed: int, purpose: str) -> None:
        self.split = split
        self._rng = np.random.default_rng([int(split), seed, *purpose.encode()])

    def unit(self) -> float:
        """A number in [0, 1) out of this split's cells."""
        cell = 2 * int(self._rng.integers(_CELLS)) + self.split.parity
        return (cell + float(self._rng.uniform())) / (2 * _CELLS)

    def between(self, low: float, high: float) -> float:
        """A number in [low, high) out of this split's cells."""
        return low + (high - low) * self.unit()

    def choose(self, values: Sequence[T]) -> T:
        """One of a short list, shared by the splits."""
        return values[int(self._rng.integers(len(values)))]

    def colour(self, strength: float) -> RGB:
        """A tint whose brightest channel is 1; strength 0 is white, 1 may be pure."""
        hue, depth = 6.0 * self.unit(), strength * self.unit()
        ramp = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
        r, g, b = 1.0 - depth + depth * ramp
        return float(r), float(g), float(b)

    def body_seed(self, seed: int) -> int:
        """A seed for anatomy, gait and stickers: even ones train, odd ones evaluate."""
        return 2 * seed + self.split.parity
