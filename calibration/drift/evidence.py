"""Which camera's pose changed: hypotheses about single cameras, compared on the same evidence.

Under every hypothesis all cameras may be off by what a calibration leaves, and lag a little; under "camera c moved" its
turn, its shift or both are free as well. The rest of the cameras hold the gauge.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from calibration.drift.model import CameraEvidence
from calibration.drift.views import LAG, SHIFT, TURN, UNKNOWNS
from labsys.core.arrays import FloatArray

_ANY_TURN_RAD, _ANY_SHIFT_M, _LAG_S = 0.1, 0.3, 0.02
# A knocked camera turns by a few degrees and shifts by a few centimetres. Without saying so, a turn and a shift that
# cancel each other in the image would be believed for the least of noise.
_KNOCK_TURN_RAD, _KNOCK_SHIFT_M = 0.05, 0.03
_BOTH_COSTS = 16.0  # what turn and shift together must explain more than either alone: 3 unknowns, biased landmarks


class Move(StrEnum):
    """What of a pose changed."""

    TURN = "turn"
    SHIFT = "shift"
    BOTH = "both"


@dataclass(frozen=True)
class Tolerance:
    """What a calibration leaves open in every camera, one standard deviation per axis; and what is free of doubt.

    Attributes:
        turn_rad, shift_m: of every camera. lag_s: between cameras, which is no move.
    """

    turn_rad: float = 5e-5
    shift_m: float = 0.00015
    lag_s: float = _LAG_S

    def spread(self, n_cameras: int) -> FloatArray:
        """Prior spread of all unknowns, (7 C,)."""
        return np.tile(np.array([self.turn_rad] * 3 + [self.shift_m] * 3 + [self.lag_s]), n_cameras)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """Camera `index` moved in this way.

    Attributes:
        gain: twice the log likelihood that it explains more than "no camera moved", less what its freedom costs.
        unknowns: (7,) turn (rad), shift (m), lag (s) of the camera. covariance: (7, 7).
    """

    index: int
    move: Move
    gain: float
    unknowns: FloatArray
    covariance: FloatArray

    @property
    def parts(self) -> tuple[FloatArray, FloatArray]:
        """Turn (3,) rad and shift (3,) m in CAMERA; 0 for what did not move."""
        turn, shift = self.unknowns[TURN], self.unknowns[SHIFT]
        return (
            np.zeros(3) if self.move is Move.SHIFT else turn,
            np.zeros(3) if self.move is Move.TURN else shift,
        )


def free_spread(n_cameras: int) -> FloatArray:
    """Prior spread of all unknowns where every camera may have moved, (7 C,)."""
    return Tolerance(_ANY_TURN_RAD, _ANY_SHIFT_M, _LAG_S).spread(n_cameras)


def overdispersion(evidence: CameraEvidence, cameras: FloatArray) -> float:
    """By how much landmarks disagree more with a solution than their noise says, at least 1 (a cluster each)."""
    information = evidence.information.sum(axis=0)
    size, axes = np.linalg.eigh(information)
    known = size > 1e-9 * size[-1]
    left = evidence.side - np.einsum("kpq,q->kp", evidence.information, cameras)
    z = left @ axes[:, known] / np.sqrt(size[known])
    return max(1.0, float((z**2).sum() / known.sum()))


def best_move(
    evidence: CameraEvidence,
    index: int,
    *,
    tolerance: Tolerance,
    dispersion: float,
    given: Hypothesis | None = None,
    only: Move | None = None,
) -> Hypothesis:
    """The likeliest way in which one camera moved.

    Args:
        given: a move of another camera that is taken as a fact; the gain is then what this one explains beyond it.
        only: the way that is asked for; None tries all.
    """
    n_cameras = evidence.side.shape[1] // UNKNOWNS
    spread = tolerance.spread(n_cameras)
    if given is not None:
        spread = _freed(spread, given.index, given.move)
    base = _explained(evidence, spread)[0]
    tries = []
    for move in Move if only is None else (only,):
        explained, unknowns, covariance = _explained(evidence, _freed(spread, index, move))
        own = slice(index * UNKNOWNS, (index + 1) * UNKNOWNS)
        cost = _BOTH_COSTS if move is Move.BOTH else 0.0
        gain = (explained - base) / dispersion - cost
        tries.append(Hypothesis(index, move, gain, unknowns[own], dispersion * covariance[own, own]))
    return max(tries, key=lambda h: h.gain)


def solve_lags(evidence: CameraEvidence, hypothesis: Hypothesis | None, tolerance: Tolerance) -> FloatArray:
    """Lag of every camera, (C,) s, less their mean, which nothing can tell."""
    spread = tolerance.spread(evidence.side.shape[1] // UNKNOWNS)
    if hypothesis is not None:
        spread = _freed(spread, hypothesis.index, hypothesis.move)
    lags = _explained(evidence, spread)[1][LAG::UNKNOWNS]
    return np.asarray(lags - lags.mean(), dtype=np.float64)


def _freed(spread: FloatArray, index: int, move: Move) -> FloatArray:
    freed = spread.copy()
    own = freed[index * UNKNOWNS : (index + 1) * UNKNOWNS]
    if move is not Move.SHIFT:
        own[TURN] = _KNOCK_TURN_RAD
    if move is not Move.TURN:
        own[SHIFT] = _KNOCK_SHIFT_M
    return freed


def _explained(evidence: CameraEvidence, spread: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    side = evidence.side.sum(axis=0)
    covariance = np.linalg.inv(evidence.information.sum(axis=0) + np.diag(spread**-2.0))
    unknowns = covariance @ side
    return float(side @ unknowns), unknowns, covariance
