"""How often intervals hold the truth, capture by capture: what a piece of the study measures and keeps.

The whole study is `make accept`. It also runs in pieces, which are put together afterwards:

    python -m tests.accept.uncertainty_study 0 31 pieces/a.jsonl &
    python -m tests.accept.uncertainty_study 32 63 pieces/b.jsonl &
    python -m tests.accept.uncertainty_study --write pieces/*.jsonl

Pieces 0 to 63 are captures by calibrated rigs, of all runners in turn, 64 to 79 by rigs that are known exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from pipelines.config import PipelineConfig
from pipelines.synthetic.noise import NoiseModel
from tests.accept.pieces import read_pieces, run_piece
from tests.accept.uncertainty import Held, Runner, hold, make_runner

RUNNERS, CAPTURES = range(41, 49), range(8)  # runners that nothing was tuned on
NOISES = {"white 1 px": NoiseModel.white(1.0), "dlc_like": NoiseModel.dlc_like()}
_AT_ONCE = 4  # captures of a runner before the next one's turn: making a runner costs as much as a few captures
CALIBRATED = tuple(
    (runner, first + i) for first in range(0, len(CAPTURES), _AT_ONCE) for runner in RUNNERS for i in range(_AT_ONCE)
)
# Without calibration error a quarter of the captures: it only shows which part that error is.
EXACT = tuple((runner, capture) for runner in RUNNERS for capture in CAPTURES[::4])


def study(pieces: Sequence[int]) -> Iterator[Held]:
    """Both kinds of noise of every piece."""
    rule = PipelineConfig().reconstruct.rule
    for piece in pieces:
        calibrated = piece < len(CALIBRATED)
        number, capture = (CALIBRATED + EXACT)[piece]
        for name, noise in NOISES.items():
            yield hold(_runner(number), capture, name, noise, calibrated=calibrated, rule=rule)


@lru_cache(maxsize=1)
def _runner(number: int) -> Runner:
    return make_runner(number)


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    if arguments[0] == "--write":
        from tests.accept.uncertainty_report import write_report

        paths = [Path(a) for a in arguments[1:]]
        write_report(read_pieces(paths, Held, lambda h: (not h.calibrated, h.noise, h.capture)))
        return
    run_piece(arguments, study)


if __name__ == "__main__":
    main(sys.argv[1:])
