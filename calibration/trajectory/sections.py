"""A whole trial solved section by section, so that the room to work in does not grow with the trial.

What is kept of a section is its results. Pixels are laid out anew, and errors measured anew, where a section is looked
at again: that costs a hundredth of the solve, and keeping them would cost more memory than the results do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calibration.processors import n_processors
from calibration.trajectory.posterior import Posterior, measure_errors, posterior
from calibration.trajectory.sample import Observed, Track, sections_of
from calibration.trajectory.setup import ORDER, make_objective
from calibration.trajectory.solve import Objective, minimise
from calibration.trajectory.spread import RobustSums, information_shown
from calibration.trajectory.tuning import Tuning
from calibration.triangulation.blocks import PackedRig
from labsys.core.arrays import BoolArray, FloatArray, IntArray

_TOLERANCE, _MAX_ITERATIONS = 1e-5, 20
_SECTION_BYTES = 96e6  # of Cholesky factors
_OVERLAP_S = 1.0  # many times as long as smoothness reaches
# Rows of a symmetric matrix among xx, xy, xz, yy, yz, zz, and the way back.
_AS_MATRIX = [[0, 1, 2], [1, 3, 4], [2, 4, 5]]
_ROWS, _COLUMNS = [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]


@dataclass(frozen=True, eq=False)
class Solver:
    """What every section of a trial is solved with.

    Attributes:
        limbs: (B, 2) landmarks. fade_sigmas: where observations fade.
    """

    rig: PackedRig
    trial: Observed
    tuning: Tuning
    limbs: IntArray
    rate_hz: float
    fade_sigmas: float

    def sections(self) -> Iterator[tuple[slice, slice]]:
        """Which frames to solve, and which of those to keep."""
        longest = max(1000, int(_SECTION_BYTES / (8 * 3 * (3 * ORDER + 3) * self.trial.start_m.shape[1])))
        overlap = math.ceil(_OVERLAP_S * self.rate_hz)
        return sections_of(self.trial.n_frames, longest=longest, overlap=overlap)

    def objective(self, track: Track) -> Objective:
        """The objective of some frames."""
        plain = make_objective(self.rig, track, self.limbs, fade_sigmas=self.fade_sigmas)
        return self.tuning.apply(plain, track.confidence)


@dataclass(frozen=True, eq=False)
class Solved:
    """What is kept of all sections; the rows of each are set when it is solved.

    Attributes:
        xyz_m: (T, K, 3) m, residual_px: (T, K), used: (T, K, C), covariance_m2: (T, K, 3, 3) and interpolated: (T, K),
            as in `Trajectory`; the covariance as white noise has it until it is widened.
        information: (T, K) 1/m² that a frame's pixels hold per axis, NaN where none.
    """

    xyz_m: FloatArray
    residual_px: FloatArray
    used: BoolArray
    covariance_m2: FloatArray
    interpolated: BoolArray
    information: FloatArray

    @classmethod
    def room_for(cls, trial: Observed) -> Solved:
        """Nothing yet."""
        points = trial.confidence.shape[:2]
        return cls(
            xyz_m=np.empty((*points, 3)),
            residual_px=np.empty(points),
            used=np.empty(trial.confidence.shape, dtype=np.bool_),
            covariance_m2=np.empty((*points, 3, 3)),
            interpolated=np.empty(points, dtype=np.bool_),
            information=np.empty(points),
        )

    def freeze(self) -> None:
        """Let nobody write any more, so that values can share the arrays."""
        for array in (self.xyz_m, self.residual_px, self.used, self.covariance_m2, self.interpolated):
            array.setflags(write=False)


@dataclass(frozen=True)
class Effort:
    """Cost of the objective before and after, sections added up, steps of the longest, and how many sections."""

    cost_start: float = 0.0
    cost: float = 0.0
    iterations: int = 0
    sections: int = 0


def solve_sections(solver: Solver) -> tuple[Solved, Effort]:
    """Solve all sections of a trial, one after the other."""
    solved, effort = Solved.room_for(solver.trial), Effort()
    n_threads = n_processors()
    for frames, keep in solver.sections():
        track = solver.trial.part(frames.start, frames.stop)
        objective = solver.objective(track)
        found = minimise(
            objective, track.points, tolerance=_TOLERANCE, max_iterations=_MAX_ITERATIONS, n_threads=n_threads
        )
        best = found.best
        belief = posterior(objective, best, information=solver.tuning.information, n_threads=n_threads)
        rows = slice(frames.start + keep.start, frames.start + keep.stop)
        solved.information[rows] = information_shown(best.normal_of_pixels[keep])
        _keep(solved, rows, track.there[keep], best.points[keep], belief.covariance[keep])
        _keep_cameras(solved, rows, objective, belief, keep)
        effort = Effort(
            effort.cost_start + found.cost_start,
            effort.cost + best.cost,
            max(effort.iterations, found.iterations),
            effort.sections + 1,
        )
    return solved, effort


def _keep(solved: Solved, rows: slice, there: BoolArray, points: FloatArray, covariance: FloatArray) -> None:
    solved.xyz_m[rows] = np.where(there[..., None], np.moveaxis(points, 1, 2), np.nan)
    solved.covariance_m2[rows] = np.moveaxis(covariance, 1, 2)[..., _AS_MATRIX]
    solved.covariance_m2[rows][~there] = np.nan


def _keep_cameras(solved: Solved, rows: slice, objective: Objective, belief: Posterior, keep: slice) -> None:
    weights, squares, there = objective.weights[keep], belief.squares[keep], objective.there[keep]
    distance = np.where(weights > 0.0, weights * squares, np.nan)
    believed = np.moveaxis(np.nan_to_num(distance, nan=np.inf) < objective.scale**2, 1, 2)
    errors = np.where(believed, np.sqrt(np.moveaxis(squares, 1, 2)), 0.0)
    n_used = believed.sum(axis=-1)
    solved.used[rows] = believed
    solved.residual_px[rows] = np.where(n_used > 0, errors.sum(axis=-1) / np.maximum(n_used, 1), np.nan)
    solved.interpolated[rows] = there & (n_used < 2)


def robust_widening(solver: Solver, solved: Solved, widening: FloatArray) -> FloatArray:
    """By how much heavy tails widen the covariance, (K,), where lasting noise widens it by `widening` (K,) already."""
    sums = (_robust_sums(solver, solved, frames.start, keep, widening) for frames, keep in solver.sections())
    total = next(sums)
    for more in sums:
        total = total + more
    return total.factor()


def _robust_sums(solver: Solver, solved: Solved, start: int, keep: slice, widening: FloatArray) -> RobustSums:
    rows = slice(start + keep.start, start + keep.stop)
    objective = solver.objective(solver.trial.part(rows.start, rows.stop))
    points = np.ascontiguousarray(np.moveaxis(solved.xyz_m[rows], 1, 2))
    covariance = np.ascontiguousarray(np.moveaxis(solved.covariance_m2[rows][..., _ROWS, _COLUMNS], 1, 2))
    squares, spread = measure_errors(objective, points, covariance, n_threads=n_processors())
    residual, explained = (
        (objective.weights * part).reshape(-1, squares.shape[2]) for part in (squares, widening * spread)
    )
    return RobustSums.of(residual, explained, objective.scale)
