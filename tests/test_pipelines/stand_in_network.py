"""A stand-in for the network's process in tests: it finds coloured squares, runs out of memory or dies on demand.

Started as `python stand_in_network.py JOB.json`. The snapshot's text is a JSON object of what shall happen:
`memory` (frames at once that fit), `die_after` (frames), `sizes` (a file that notes how many frames came at once),
`looks` (a file that notes the boxes of every look of the detector), `askers` (threads at once, one where not told).
People are what has colour, and what is white.
A picture's answer for landmark k is the centre of what has its colour, with likelihood 1; NaN where there is none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from pipelines.pose.job import PoseJob
from pipelines.pose.network import DeviceMemoryError
from pipelines.pose.worker import main

COLOURS = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255), (255, 128, 0), (0, 128, 255),
)  # fmt: skip


class StandIn:
    """Finds what the tests draw."""

    device = "stand-in"

    def __init__(self, job: PoseJob) -> None:
        sys.stdout.write("what libraries print must not mix with messages\n")
        self.versions = {"stand-in": "1"}
        self._plan = json.loads(Path(job.snapshot).read_text(encoding="utf-8"))
        self._n, self._seen = len(job.body_parts), 0

    def prepare(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As it is."""
        return picture

    def predict(self, prepared: Sequence[NDArray[np.uint8]]) -> list[FloatArray]:
        """One answer per picture."""
        if len(prepared) > self._plan.get("memory", 10_000):
            raise DeviceMemoryError("out of memory")
        self._seen += len(prepared)
        if self._seen > self._plan.get("die_after", 10_000_000):
            sys.stderr.write("last words\n")
            sys.stderr.flush()
            os._exit(7)
        if "sizes" in self._plan:
            with Path(self._plan["sizes"]).open("a") as file:
                file.write(f"{len(prepared)} {'x'.join(str(s) for s in prepared[0].shape[1::-1])}\n")
        return [self._find(picture) for picture in prepared]

    def share(self, n: int) -> int:
        """As many as the test wants."""
        return min(n, self._plan.get("askers", 1))

    def detect(self, frame: NDArray[np.uint8]) -> FloatArray:
        """The box around all that is coloured, and one around all that is white."""
        bright, white = frame.max(axis=2) > 20, frame.min(axis=2) > 200
        people = [_box(part) for part in (bright & ~white, white) if part.any()]
        if "looks" in self._plan:
            with Path(self._plan["looks"]).open("a") as file:
                file.write(f"{json.dumps(people)}\n")
        return np.array(people, dtype=np.float64).reshape(-1, 5)

    def _find(self, picture: NDArray[np.uint8]) -> FloatArray:
        found = np.full((self._n, 3), np.nan)
        rows, columns = np.nonzero(picture.max(axis=2) > 20)
        # Edges that resizing blends with the black around keep their colour and weigh less.
        light = picture[rows, columns].max(axis=1).astype(float)
        colours = picture[rows, columns] / light[:, None]
        for k, colour in enumerate(COLOURS[: self._n]):
            mine = light * (np.abs(colours - np.array(colour) / 255).max(axis=1) < 0.24)
            if mine.any():
                found[k] = (columns * mine).sum() / mine.sum(), (rows * mine).sum() / mine.sum(), 1.0
        return found


def _box(part: NDArray[np.bool_]) -> list[float]:
    rows, columns = np.nonzero(part)
    return [float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1), 1.0]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], load=StandIn))
