"""Least cost of a trajectory objective, by Newton's method that uses its structure.

For each landmark the normal matrix is block-banded in time; limb lengths couple landmarks within a frame. The banded
part is factorised exactly, landmark by landmark, and preconditions conjugate gradients for the coupling. Expected limb
lengths that are free are eliminated: for given points their best value is known in closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import binom

from calibration.trajectory import band as band_kernel
from calibration.trajectory import kernel
from calibration.triangulation.blocks import PackedRig
from labsys.core.arrays import BoolArray, FloatArray, IntArray

_DAMPING = 1.0  # 1/m²: a step of a metre costs half; holds what nothing else determines
_MAX_CG = 40
_CG_TOLERANCE = 0.1
_HALVINGS = 6

EachLandmark = Callable[..., None]


@dataclass(frozen=True, eq=False)
class Objective:
    """What a trajectory should satisfy; sums of half squares, landmark last.

    Attributes:
        pixels: (T, C, 2, K) px, finite. weights: (T, C, K), 0 where not seen (FADING_LOSS: inverse variance, 1/px²).
        there: (T, K) whether a point is solved for.
        order, stiffness: which difference over time is penalised, and its weight (K,), 1/m².
        limbs, gains: (B, 2) landmarks, and (B,) by how much a relative change of length counts.
        lengths_m: (B,) expected lengths; where `free_lengths`, only where to begin.
        loss, scale: kind of loss on pixels and where it departs from the square.
    """

    rig: PackedRig
    pixels: FloatArray
    weights: FloatArray
    there: BoolArray
    order: int
    stiffness: FloatArray
    limbs: IntArray
    gains: FloatArray
    lengths_m: FloatArray
    free_lengths: bool
    loss: int
    scale: float

    @property
    def stencil(self) -> FloatArray:
        """Coefficients of the difference, (order + 1,)."""
        m = np.arange(self.order + 1)
        return np.asarray((-1.0) ** (self.order - m) * binom(self.order, m))

    @property
    def whole(self) -> FloatArray:
        """(T, K) 1 where the difference that starts in a frame has all its points."""
        whole = np.zeros(self.there.shape)
        n = len(self.there) - self.order
        if n > 0:
            whole[:n] = np.all([self.there[m : m + n] for m in range(self.order + 1)], axis=0)
        return whole


@dataclass(frozen=True, eq=False)
class Point:
    """The objective at one place: points (T, 3, K) m, expected lengths (B,) m, cost, slope (T, 3, K), normal matrices
    (T, 6, K) with and without limbs, and what limbs contribute (see `trajectory_kernel.add_limbs`)."""

    points: FloatArray
    lengths_m: FloatArray
    cost: float
    slope: FloatArray
    normal: FloatArray
    normal_of_pixels: FloatArray
    pulls: FloatArray


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the cost is least, what it was before, and how many steps that took."""

    best: Point
    cost_start: float
    iterations: int


def minimise(
    objective: Objective, start: FloatArray, *, tolerance: float, max_iterations: int, n_threads: int
) -> Solution:
    """Follow Newton's steps until one lowers the cost by less than `tolerance` of itself.

    start: (T, 3, K) m, finite, also where no point is solved for.
    """
    with share_landmarks(start.shape[2], n_threads) as each:
        here = evaluate(objective, start, objective.lengths_m, each)
        cost_start, factor = here.cost, make_factor(objective)
        smooth_band = band_of(objective)
        for iteration in range(max_iterations):
            each(band_kernel.factorise, here.normal, smooth_band, _DAMPING, factor)
            there = _descend(objective, here, factor, each)
            gain = here.cost - there.cost
            here = there
            if gain <= tolerance * here.cost:
                return Solution(here, cost_start, iteration + 1)
    return Solution(here, cost_start, max_iterations)


@contextmanager
def share_landmarks(n_landmarks: int, n_threads: int) -> Iterator[EachLandmark]:
    """Give a function that calls a kernel with `first, last` for each thread's share of the landmarks."""
    n_shares = max(1, min(n_threads, n_landmarks // 4))
    bounds = np.linspace(0, n_landmarks, n_shares + 1).astype(int)
    shares = [(int(a), int(b)) for a, b in pairwise(bounds)]
    if n_shares == 1:
        yield lambda call, *arguments: call(*arguments, 0, n_landmarks)
        return
    with ThreadPoolExecutor(max_workers=n_shares) as pool:

        def each(call: Callable[..., None], *arguments: object) -> None:
            for done in [pool.submit(call, *arguments, first, last) for first, last in shares]:
                done.result()

        yield each


def make_factor(objective: Objective) -> FloatArray:
    """Room for the Cholesky factors, (3 T, 3 order + 3, K)."""
    n_frames, n_landmarks = objective.there.shape
    return np.empty((3 * n_frames, 3 * objective.order + 3, n_landmarks))


def band_of(objective: Objective) -> FloatArray:
    """Coupling over time by smoothness, (T, order + 1, K)."""
    n_frames, n_landmarks = objective.there.shape
    band = np.empty((n_frames, objective.order + 1, n_landmarks))
    kernel.smoothness_band(objective.whole, objective.stiffness, objective.stencil, band)
    return band


def evaluate(objective: Objective, points: FloatArray, lengths_m: FloatArray, each: EachLandmark) -> Point:
    """Cost, slope and normal matrices; free lengths are set to the best for these points."""
    n_frames, _, n_landmarks = points.shape
    normal, slope = np.empty((n_frames, 6, n_landmarks)), np.empty((n_frames, 3, n_landmarks))
    cost = np.empty(n_landmarks)
    rig = (objective.rig.lenses, objective.rig.R, objective.rig.t)
    loss = (objective.loss, objective.scale)
    each(kernel.add_pixels, points, objective.pixels, objective.weights, rig, loss, (normal, slope, cost))
    each(kernel.add_smoothness, points, objective.whole, objective.stiffness, objective.stencil, slope, cost)
    slope *= objective.there[:, None]
    normal[:, [0, 3, 5]] += ~objective.there[:, None]
    of_pixels = normal.copy()
    pulls, lengths_m, limb_cost = _evaluate_limbs(objective, points, lengths_m)
    kernel.spread_limbs(objective.limbs, pulls, normal, slope)
    return Point(points, lengths_m, float(cost.sum() + limb_cost), slope, normal, of_pixels, pulls)


def _evaluate_limbs(
    objective: Objective, points: FloatArray, lengths_m: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    pulls, cost = np.empty((len(points), 5, len(objective.limbs))), np.empty(len(objective.limbs))
    kernel.add_limbs(points, objective.limbs, lengths_m, objective.gains, objective.there, pulls, cost)
    if objective.free_lengths and len(lengths_m):
        # The sum of (length / expected - 1)² is least where expected is sum(length²) / sum(length).
        total, squares = pulls[:, 4].sum(axis=0), (pulls[:, 4] ** 2).sum(axis=0)
        lengths_m = np.where(total > 0.0, squares / np.where(total > 0.0, total, 1.0), lengths_m)
        kernel.add_limbs(points, objective.limbs, lengths_m, objective.gains, objective.there, pulls, cost)
    return pulls, lengths_m, float(cost.sum())


def _descend(objective: Objective, here: Point, factor: FloatArray, each: EachLandmark) -> Point:
    """Go to a place of lower cost along Newton's direction, or stay."""
    step = _newton_step(objective, here, factor, each)
    for halving in range(_HALVINGS):
        there = evaluate(objective, here.points + 0.5**halving * step, here.lengths_m, each)
        if there.cost < here.cost:
            return there
    return here


def _newton_step(objective: Objective, here: Point, factor: FloatArray, each: EachLandmark) -> FloatArray:
    """Conjugate gradients on the normal equations (Hestenes & Stiefel 1952), preconditioned by the banded factors."""
    by_length = _by_length(objective, here)
    residual = -here.slope
    step, image, solved = np.zeros_like(residual), np.empty_like(residual), np.empty_like(residual)
    rows = (3 * len(residual), residual.shape[2])
    each(band_kernel.solve_factored, factor, residual.reshape(rows), solved.reshape(rows))
    direction = solved.copy()
    power = power_start = _product(residual, solved)
    if not len(objective.limbs) or power_start <= 0.0:
        return direction
    for _ in range(_MAX_CG):
        _multiply(objective, here, by_length, direction, image, each)
        ahead = power / _product(direction, image)
        step += ahead * direction
        residual -= ahead * image
        each(band_kernel.solve_factored, factor, residual.reshape(rows), solved.reshape(rows))
        power, before = _product(residual, solved), power
        if power <= _CG_TOLERANCE**2 * power_start:
            break
        direction *= power / before
        direction += solved
    return step


def _product(a: FloatArray, b: FloatArray) -> float:
    """Scalar product, summed in numpy's own order: BLAS would round differently with another number of threads."""
    return float(np.sum(a * b))


def _multiply(
    objective: Objective, here: Point, by_length: FloatArray, points: FloatArray, out: FloatArray, each: EachLandmark
) -> None:
    """Set out (T, 3, K) to the whole normal matrix times points (T, 3, K)."""
    each(kernel.multiply_points, here.normal, points, out)
    out += _DAMPING * points
    unused = np.zeros(points.shape[2])
    each(kernel.add_smoothness, points, objective.whole, objective.stiffness, objective.stencil, out, unused)
    kernel.multiply_limbs(objective.limbs, here.pulls, by_length, points, out)


def _by_length(objective: Objective, here: Point) -> FloatArray:
    """Direction (T, B) in which another expected length moves a limb's residuals, of unit norm; zero where fixed."""
    lengths = here.pulls[:, 4]
    norm = np.linalg.norm(lengths, axis=0) if objective.free_lengths else np.zeros(lengths.shape[1])
    return np.where(norm > 0.0, lengths / np.where(norm > 0.0, norm, 1.0), 0.0)
