"""Columns that are not written out say the same to Arrow as value by value."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from api.flat.sequences import Repeated, Scaled


@given(st.lists(st.sampled_from(["a", "b", None, ""])))
def test_repeated_values_are_those_of_their_rows(rows: list[str | None]) -> None:
    column = Repeated.of(rows)
    assert list(column) == rows == [column[i] for i in range(len(column))]
    assert column.as_array(pa.string()).equals(pa.array(rows, pa.string()))
    assert list(column.map(lambda value: value or None)) == [value or None for value in rows]


@given(st.lists(st.tuples(st.none() | st.floats(-1e9, 1e9), st.sampled_from([1.0, 1000.0, 180.0 / np.pi]))))
def test_scaled_numbers_are_multiplied_one_by_one(rows: list[tuple[float | None, float]]) -> None:
    column = Scaled([number for number, _ in rows], np.array([factor for _, factor in rows], np.float64))
    expected = [None if number is None else number * factor for number, factor in rows]
    assert list(column) == expected == [column[i] for i in range(len(column))]
    assert column.as_array(pa.float64()).equals(pa.array(expected, pa.float64()))
