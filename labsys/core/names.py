"""Rules about lists of names. Without numpy, so that the terminal's help can name sides and tiers at once."""

from __future__ import annotations

from labsys.core.errors import InputError


def check_unique(name: str, values: tuple[str, ...]) -> None:
    """Refuse names that occur twice (InputError names them)."""
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise InputError(f"{name} occur more than once: {', '.join(twice)}")
