"""Small arrays of one row per number and one column per landmark, on which the compiled loops work.

A loop over landmarks becomes one for vector units only where the compiler can tell that no row it writes overlaps one
it reads. Of rows of one array that the same function made it can; so each share of landmarks is copied into one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from numba import njit

from calibration import lens
from calibration.lens import COMPILED_OPTIONS
from labsys.core.arrays import FloatArray

_VECTOR = 4  # doubles

Function = TypeVar("Function", bound=Callable[..., Any])


class Compiler(Protocol):
    """What numba's decorators are to those who call the function: they leave its signature alone."""

    def __call__(self, function: Function, /) -> Function:
        """The function, compiled."""


# `compiled` is for what Python calls, `inlined` for what must become part of its caller's loop, or that loop is left to
# scalar units.
compiled: Compiler = lens.compiled
inlined: Compiler = njit(forceinline=True, **COMPILED_OPTIONS)


@inlined
def whole_vectors(n: int) -> int:
    """n rounded up, so that no landmark is left over for scalar units."""
    return (n + _VECTOR - 1) // _VECTOR * _VECTOR


@inlined
def load_rows(rows: FloatArray, lanes: FloatArray, begin: int, end: int) -> None:
    """Copy landmarks `begin` to `end` of rows (R, K) into the first columns of lanes (R, L)."""
    for q in range(len(rows)):
        row, target = rows[q, begin:end], lanes[q]
        for k in range(len(row)):
            target[k] = row[k]


@inlined
def store_rows(lanes: FloatArray, rows: FloatArray, begin: int, end: int) -> None:
    """Copy the first columns of lanes (R, L) to landmarks `begin` to `end` of rows (R, K)."""
    for q in range(len(lanes)):
        source, target = lanes[q], rows[q, begin:end]
        for k in range(len(target)):
            target[k] = source[k]
