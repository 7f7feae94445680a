"""Errors between two days of lengths per leg length and of ratios of two lengths, from those of the lengths.

No table of errors lists quotients, and what has no error can never be flagged. Comparing visits does not ask here:
there the lengths have rows of their own, and a quotient's would say the same twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from labsys.core.derived_metrics import lengths_of
from labsys.core.measurement_error import ErrorTable, SessionError
from labsys.core.motion import StrideValues
from labsys.core.skeleton import Side, Tier

Given = Mapping[tuple[str, Side], StrideValues]


def quotient_error(quotient: StrideValues, given: Given, errors: ErrorTable, tier: Tier) -> SessionError | None:
    """The error of a quotient of this trial; None where the metric is none, or the error of a length is unknown."""
    match [(given[i, quotient.side], errors.find(i, tier)) for i in lengths_of(quotient.id)]:
        case [(length, error)]:
            return _per_leg(quotient, length, error)
        case [(ahead, of_ahead), (behind, of_behind)] if of_ahead is not None and of_behind is not None:
            return _ratio([float(np.mean(v.values)) for v in (ahead, behind)], of_ahead, of_behind)
        case _:
            return None


def _per_leg(quotient: StrideValues, length: StrideValues, error: SessionError | None) -> SessionError | None:
    """The length's error over the leg length; the leg's own, about 1 %, is a fortieth of it where findings begin."""
    whole = dict(zip(length.stride_index, length.values, strict=True))
    total = sum(abs(whole[i]) for i in quotient.stride_index)
    if error is None or not total > 0.0:
        return None
    return _scaled(error, (float(np.abs(quotient.values).sum()) / total) ** 2)


def _ratio(means_m: list[float], ahead: SessionError, behind: SessionError) -> SessionError:
    """Of a/b: SD = (SD a + a/b SD b) / b, part by part; degrees of freedom of the one that has fewer.

    Both lengths are read from one point of the body, and where that is off, one is longer by what the other is shorter:
    both move the ratio the same way. How much of their errors is that point's nobody has measured, so all of it counts.
    """
    a, b = means_m
    parts = [_scaled(ahead, 1.0 / b**2), _scaled(behind, (a / b**2) ** 2)]
    return SessionError(
        v_capture=_together([p.v_capture for p in parts]),
        v_palpation=_together([p.v_palpation for p in parts]),
        v_day=_together([p.v_day for p in parts]),
        source=parts[0].source if parts[0].source == parts[1].source else "mixed",
        df=min(p.df for p in parts),
    )


def _together(variances: list[float]) -> float:
    return float(np.sum(np.sqrt(variances)) ** 2)


def _scaled(error: SessionError, factor: float) -> SessionError:
    capture, palpation, day = (factor * v for v in (error.v_capture, error.v_palpation, error.v_day))
    return replace(error, v_capture=capture, v_palpation=palpation, v_day=day, covariance=None)
