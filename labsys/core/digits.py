"""How many decimals people need of a unit: the same in the terminal, on pages and in reports. Imports nothing."""

from __future__ import annotations

_DIGITS = {"s": 3, "m/s": 2, "none": 2}


def digits_of(unit: str) -> int:
    """Decimals of a number in an outside unit."""
    return _DIGITS.get(unit, 1)
