"""Array aliases, and the one place where shapes and finiteness are checked.

A value checks its arrays once, when it is made (`as_floats`, `as_bools`), and is trusted from then on. Arrays held by
values are read-only views, so that a frozen dataclass is frozen all the way down.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsys.core.errors import InputError
from labsys.core.names import check_unique as check_unique

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

Shape = tuple[int | None, ...]


def check_shape(name: str, array: NDArray[Any], shape: Shape) -> None:
    """Compare an array's shape with the expected one, where None stands for any length.

    Raises:
        InputError: the number of axes or a length differs.
    """
    matches = array.ndim == len(shape) and all(w is None or w == n for n, w in zip(array.shape, shape, strict=True))
    if not matches:
        expected = "(" + ", ".join("any" if w is None else str(w) for w in shape) + ")"
        raise InputError(f"{name} has shape {array.shape}, expected {expected}")


def as_floats(name: str, values: Any, shape: Shape, *, finite: bool = False) -> FloatArray:
    """Return a read-only float64 array of the given shape.

    Raises:
        InputError: wrong shape, or a value that is not finite where `finite` is asked for.
    """
    array = _own(values, np.dtype(np.float64))
    check_shape(name, array, shape)
    if finite and not np.isfinite(array).all():
        raise InputError(f"{name} contains {int((~np.isfinite(array)).sum())} value(s) that are not finite")
    array.setflags(write=False)
    return array


def as_bools(name: str, values: Any, shape: Shape) -> BoolArray:
    """Return a read-only boolean array of the given shape (InputError on another shape)."""
    array = _own(values, np.dtype(np.bool_))
    check_shape(name, array, shape)
    array.setflags(write=False)
    return array


def _own(values: Any, kind: np.dtype[Any]) -> NDArray[Any]:
    """A copy that nobody else can write to; an array that is frozen already is shared, as long trials are large."""
    if isinstance(values, np.ndarray) and values.dtype == kind and values.flags.owndata and not values.flags.writeable:
        return values
    return np.array(values, dtype=kind)
