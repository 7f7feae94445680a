"""Columns of a table that are not written out value by value: a table has millions of them, and Arrow needs none."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pyarrow as pa

Places = np.ndarray[Any, np.dtype[np.int32]]
Factors = np.ndarray[Any, np.dtype[np.float64]]


class _Column(Sequence[Any]):
    """One value per row."""

    @abstractmethod
    def value(self, row: int) -> Any:
        """Of one row."""

    @overload
    def __getitem__(self, row: int) -> Any: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Any]: ...
    def __getitem__(self, row: int | slice) -> Any:
        return list(self)[row] if isinstance(row, slice) else self.value(row)


@dataclass(frozen=True)
class Repeated(_Column):
    """Values that stand in many rows. places: (rows,) which value each row has."""

    values: Sequence[Any]
    places: Places

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Repeated:
        """Of a value per row."""
        place = {value: i for i, value in enumerate(dict.fromkeys(rows))}
        return cls(tuple(place), np.fromiter(map(place.__getitem__, rows), np.int32, len(rows)))

    @classmethod
    def everywhere(cls, value: Any, n_rows: int) -> Repeated:
        """One value in all rows."""
        return cls((value,), np.zeros(n_rows, np.int32))

    def map(self, change: Callable[[Any], Any]) -> Repeated:
        """Every value changed, each once."""
        return Repeated([change(value) for value in self.values], self.places)

    def as_array(self, kind: Any) -> Any:
        """As an Arrow array."""
        return pa.array(self.values, kind).take(pa.array(self.places))

    def value(self, row: int) -> Any:
        """Of one row."""
        return self.values[self.places[row]]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Any]:
        return map(self.values.__getitem__, self.places.tolist())


@dataclass(frozen=True)
class Scaled(_Column):
    """Numbers, None where there is none, times a factor of their row (rows,)."""

    numbers: Sequence[float | None]
    factors: Factors

    def as_array(self, kind: Any) -> Any:
        """As an Arrow array."""
        import pyarrow.compute as pc  # a twentieth of a start, which makes no table

        return pc.multiply(pa.array(self.numbers, kind), pa.array(self.factors))

    def value(self, row: int) -> float | None:
        """Of one row."""
        number = self.numbers[row]
        return None if number is None else number * float(self.factors[row])

    def __len__(self) -> int:
        return len(self.factors)

    def __iter__(self) -> Iterator[float | None]:
        pairs = zip(self.numbers, self.factors.tolist(), strict=True)
        return (None if number is None else number * factor for number, factor in pairs)
