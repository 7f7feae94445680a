"""Least cost of a trajectory objective, by Newton's method that uses its structure.

For each landmark the normal matrix is block-banded in time; limb lengths couple landmarks within a frame. The banded
part is factorised exactly, landmark by landmark, and preconditions conjugate gradients for the coupling. Expected limb
lengths that are free are eliminated: for given points their best value is known in closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.special import binom

from calibration.trajectory import band as band_kernel
from calibration.trajectory import conjugate, kernel, pixels
from calibration.triangulation.blocks import PackedRig
from labsys.core.arrays import BoolArray, FloatArray, IntArray

_DAMPING = 1.0  # 1/m²: a step of a metre costs half; holds what nothing else determines
_MAX_CG = 40
_CG_TOLERANCE = 0.1
_HALVINGS = 6


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

    @cached_property
    def stencil(self) -> FloatArray:
        """Coefficients of the difference, (order + 1,)."""
        m = np.arange(self.order + 1)
        return np.asarray((-1.0) ** (self.order - m) * binom(self.order, m))

    @cached_property
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


@dataclass(frozen=True)
class Shares:
    """Who does what of a kernel that takes `first, last`: landmarks where called, frames by `over_frames`.

    No share depends on another, so that results do not depend on how many threads there are.
    """

    landmarks: tuple[tuple[int, int], ...]
    pool: ThreadPoolExecutor | None

    def __call__(self, call: Callable[..., None], *arguments: object) -> None:
        self._run(call, arguments, self.landmarks)

    def over_frames(self, call: Callable[..., None], *arguments: object, n_frames: int) -> None:
        """Call a kernel whose shares are frames."""
        self._run(call, arguments, _cut(n_frames, len(self.landmarks)))

    def _run(self, call: Callable[..., None], arguments: tuple[object, ...], shares: Iterable[tuple[int, int]]) -> None:
        own, *others = shares
        # This thread takes a share too: a thread that is woken costs as much as a small kernel.
        waiting = [self.pool.submit(call, *arguments, *share) for share in others] if self.pool is not None else []
        call(*arguments, *own)
        for done in waiting:
            done.result()


def _cut(n: int, n_shares: int) -> tuple[tuple[int, int], ...]:
    return tuple(pairwise(n * i // n_shares for i in range(n_shares + 1)))


@contextmanager
def share_landmarks(n_landmarks: int, n_threads: int) -> Iterator[Shares]:
    """Threads to share the loops over that many landmarks, and over frames."""
    n_shares = max(1, min(n_threads, n_landmarks // 4))
    landmarks = _cut(n_landmarks, n_shares)
    if n_shares == 1:
        yield Shares(landmarks, None)
        return
    with ThreadPoolExecutor(max_workers=n_shares - 1) as pool:
        yield Shares(landmarks, pool)


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


def evaluate(objective: Objective, points: FloatArray, lengths_m: FloatArray, each: Shares) -> Point:
    """Cost, slope and normal matrices; free lengths are set to the best for these points."""
    n_frames, _, n_landmarks = points.shape
    normal, slope = np.empty((n_frames, 6, n_landmarks)), np.empty((n_frames, 3, n_landmarks))
    of_pixels, cost = np.empty_like(normal), np.empty(n_landmarks)
    each(_evaluate_points, objective, points, normal, of_pixels, slope, cost)
    pulls, lengths_m = _evaluate_limbs(objective, points, lengths_m, each)
    each.over_frames(kernel.spread_limbs, objective.limbs, pulls, normal, slope, n_frames=n_frames)
    limb_cost = 0.5 * np.square(pulls[:, 3]).sum()
    return Point(points, lengths_m, float(cost.sum() + limb_cost), slope, normal, of_pixels, pulls)


def _evaluate_points(
    objective: Objective,
    points: FloatArray,
    normal: FloatArray,
    of_pixels: FloatArray,
    slope: FloatArray,
    cost: FloatArray,
    first: int,
    last: int,
) -> None:
    """Pixels and smoothness of some landmarks, which have nothing to do with the others."""
    rig, loss = (objective.rig.lenses, objective.rig.R, objective.rig.t), (objective.loss, objective.scale)
    out = normal, slope, cost
    pixels.add_pixels(points, objective.pixels, objective.weights, rig, loss, out, first, last)
    smooth = objective.whole, objective.stiffness, objective.stencil
    kernel.add_smoothness(points, *smooth, slope, cost, first, last)
    own, there = slice(first, last), objective.there[:, None, first:last]
    if not there.all():
        slope[:, :, own] *= there
        normal[:, [0, 3, 5], own] += ~there
    of_pixels[:, :, own] = normal[:, :, own]


def _evaluate_limbs(
    objective: Objective, points: FloatArray, lengths_m: FloatArray, each: Shares
) -> tuple[FloatArray, FloatArray]:
    n_frames, limbs, there = len(points), objective.limbs, objective.there
    pulls = np.empty((n_frames, 5, len(limbs)))
    each.over_frames(kernel.add_limbs, points, limbs, lengths_m, objective.gains, there, pulls, n_frames=n_frames)
    if objective.free_lengths and len(lengths_m):
        # The sum of (length / expected - 1)² is least where expected is sum(length²) / sum(length).
        total, squares = pulls[:, 4].sum(axis=0), (pulls[:, 4] ** 2).sum(axis=0)
        lengths_m = np.where(total > 0.0, squares / np.where(total > 0.0, total, 1.0), lengths_m)
        each.over_frames(kernel.add_limbs, points, limbs, lengths_m, objective.gains, there, pulls, n_frames=n_frames)
    return pulls, lengths_m


def _descend(objective: Objective, here: Point, factor: FloatArray, each: Shares) -> Point:
    """Go to a place of lower cost along Newton's direction, or stay."""
    step = _newton_step(objective, here, factor, each)
    for halving in range(_HALVINGS):
        there = evaluate(objective, here.points + 0.5**halving * step, here.lengths_m, each)
        if there.cost < here.cost:
            return there
    return here


def _newton_step(objective: Objective, here: Point, factor: FloatArray, each: Shares) -> FloatArray:
    """Conjugate gradients on the normal equations (Hestenes & Stiefel 1952), preconditioned by the banded factors."""
    residual = -here.slope
    solved, sums = np.empty_like(residual), np.empty(residual.shape[2])
    each(_precondition, factor, residual, solved, sums)
    power = power_start = float(sums.sum())
    if not len(objective.limbs) or power_start <= 0.0:
        return solved
    step, direction, image = np.zeros_like(residual), np.zeros_like(residual), np.empty_like(residual)
    by_length, n = _by_length(objective, here), conjugate.count_chunks(len(residual))
    products, parts, explained = np.empty(n), np.empty((n, by_length.shape[1])), np.zeros(by_length.shape[1])
    matrix, smoothness = (here.normal, _DAMPING), (objective.whole, objective.stiffness, objective.stencil)
    limbs, share = (objective.limbs, here.pulls, by_length, explained), 0.0
    for _ in range(_MAX_CG):
        each.over_frames(conjugate.turn, share, solved, direction, limbs, parts, n_frames=n)
        explained[:] = share * explained + parts.sum(axis=0)
        each.over_frames(conjugate.multiply, matrix, smoothness, limbs, direction, (image, products), n_frames=n)
        ahead = power / float(products.sum())
        each.over_frames(conjugate.go_along, ahead, direction, image, step, residual, n_frames=n)
        each(_precondition, factor, residual, solved, sums)
        power, before = float(sums.sum()), power
        if power <= _CG_TOLERANCE**2 * power_start:
            break
        share = power / before
    return step


def _precondition(
    factor: FloatArray, residual: FloatArray, solved: FloatArray, sums: FloatArray, first: int, last: int
) -> None:
    """Solve by the banded factors, and weigh the residual (T, 3, K) by what comes out.

    Summed landmark by landmark: BLAS would round differently with another number of threads.
    """
    rows = (-1, residual.shape[2])
    band_kernel.solve_factored(factor, residual.reshape(rows), solved.reshape(rows), first, last)
    conjugate.sum_products(residual, solved, sums, first, last)


def _by_length(objective: Objective, here: Point) -> FloatArray:
    """Direction (T, B) in which another expected length moves a limb's residuals, of unit norm; (T, 0) where fixed."""
    lengths = here.pulls[:, 4]
    if not objective.free_lengths:
        return np.empty((len(lengths), 0))
    norm = np.linalg.norm(lengths, axis=0)
    return np.where(norm > 0.0, lengths / np.where(norm > 0.0, norm, 1.0), 0.0)
