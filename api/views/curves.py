"""Stride curves of a run, from its Parquet, in outside units."""

from __future__ import annotations

import numpy as np

from api.schemas.results import CurveDocument, RunCurves
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import find_angle
from labsys.core.motion import StrideCurves
from labsys.core.session import TrialName
from labsys.core.skeleton import Side
from labsys.core.units import to_outside_array
from labsys.storage.lab import Lab
from labsys.storage.runs import run_file
from labsys.storage.stride_tables import read_curves

_PERCENT = [float(p) for p in range(101)]


def load_curves(
    lab: Lab, name: TrialName, run: str, *, angle: str | None, side: Side | None, strides: bool
) -> RunCurves:
    """Mean and SD over the strides at 101 points, and every stride where asked for.

    Raises:
        UnknownNameError: no such angle, or no such run. InputError: its files cannot be read.
    """
    if angle is not None:
        find_angle(angle)
    curves = read_curves(run_file(lab, name, run, "curves.parquet"))
    chosen = [c for c in curves if angle in (None, c.id) and side in (None, c.side)]
    return RunCurves(
        trial=str(name), run=run, stride_percent=_PERCENT, curves=[_document(c, strides=strides) for c in chosen]
    )


def _document(curves: StrideCurves, *, strides: bool) -> CurveDocument:
    unit = find_angle(curves.id).unit
    values = to_outside_array(curves.values_rad, unit)
    mean, sd = _mean_and_sd(values)
    return CurveDocument(
        id=curves.id,
        side=curves.side,
        unit=unit.value,
        n=len(values),
        mean=_numbers(mean),
        sd=_numbers(sd),
        stride_index=list(curves.stride_index) if strides else None,
        strides=[_numbers(row) for row in values] if strides else None,
    )


def _mean_and_sd(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Over strides, (S, 101) -> (101,) each; NaN where no stride (for the SD, fewer than two) has a value."""
    present = np.isfinite(values)
    n = present.sum(axis=0)
    mean = np.full(values.shape[1], np.nan)
    np.divide(np.where(present, values, 0.0).sum(axis=0), n, out=mean, where=n > 0)
    squares = np.where(present, (values - mean) ** 2, 0.0).sum(axis=0)
    variance = np.full(values.shape[1], np.nan)
    np.divide(squares, n - 1, out=variance, where=n > 1)
    return mean, np.sqrt(variance)


def _numbers(values: FloatArray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]
