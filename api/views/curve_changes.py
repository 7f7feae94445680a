"""Stride curves of two visits against each other, pair by pair, from the Parquet of the runs that count."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from api.views.numbers import number, outside
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import ANGLES, AngleDefinition, find_angle
from labsys.core.errors import InputError
from labsys.core.measurement_error import default_angle_error
from labsys.core.motion import StrideCurves
from labsys.core.session import TrialName
from labsys.core.skeleton import Side, Tier
from labsys.longitudinal import Capture, ConditionPair, CurveChange, CurveCluster, Visit, compare_stride_curves
from labsys.longitudinal.calibrations import largest_differences, reason_against
from labsys.longitudinal.guards import differing_zero
from labsys.longitudinal.making import differing_making
from labsys.longitudinal.pairing import pair_captures
from labsys.longitudinal.visits import MIN_STRIDES_FOR_VERDICT, tiers_of
from labsys.storage.lab import Lab
from labsys.storage.runs import run_file
from labsys.storage.stride_tables import read_curves

Stored = dict[TrialName, tuple[StrideCurves, ...]]


def compare_curves(lab: Lab, pre: Visit, post: Visit, *, angle: str | None = None) -> list[dict[str, Any]]:
    """Every angle and side of every pair, outside units; what cannot be compared is listed with its reason.

    Raises:
        UnknownNameError: no such angle. InputError: files of a run cannot be read.
    """
    wanted = ANGLES if angle is None else (find_angle(angle),)
    pairs = pair_captures(pre, post).pairs
    stored = {c.name: _read(lab, c) for p in pairs for c in p.pre + p.post}
    return [
        _document(i, pair, definition, side, stored)
        for i, pair in enumerate(pairs)
        for definition in wanted
        for side in definition.sided.sides
    ]


def _read(lab: Lab, capture: Capture) -> tuple[StrideCurves, ...]:
    return read_curves(run_file(lab, capture.name, capture.run, "curves.parquet"))


def _document(
    index: int, pair: ConditionPair, definition: AngleDefinition, side: Side, stored: Stored
) -> dict[str, Any]:
    head = {"pair": index, "id": definition.id, "side": side.value, "unit": definition.unit.value}
    tiers = tiers_of(pair.pre) | tiers_of(pair.post)
    try:
        change = _compared(pair, definition, side, stored, tiers)
    except InputError as error:
        return head | {"reason": error.what, "clusters": []}
    return head | _change_document(change, definition, tiers)


def _compared(
    pair: ConditionPair, definition: AngleDefinition, side: Side, stored: Stored, tiers: frozenset[Tier]
) -> CurveChange:
    if len(tiers) != 1:
        raise InputError("the visits' landmarks are of different tiers")
    otherwise = differing_making(pair.pre + pair.post)
    if otherwise is not None:
        raise InputError(otherwise)
    captures = pair.pre + pair.post
    against = differing_zero(definition, captures)
    against = against or reason_against(definition, captures, largest_differences(pair.pre, pair.post))
    if against is not None:
        raise InputError(against)
    error = default_angle_error(definition.id, next(iter(tiers)))
    before, after = (_curves(captures, definition.id, side, stored) for captures in (pair.pre, pair.post))
    enough = min(sum(map(len, curves)) for curves in (before, after)) >= MIN_STRIDES_FOR_VERDICT
    return compare_stride_curves(before, after, band=error.mdc95 if error is not None and enough else math.nan)


def _curves(captures: Sequence[Capture], angle: str, side: Side, stored: Stored) -> list[FloatArray]:
    """Strides without a gap, (S, 101) per capture."""
    found = [c.values_rad for capture in captures for c in stored[capture.name] if (c.id, c.side) == (angle, side)]
    return [values[np.isfinite(values).all(axis=1)] for values in found]


def _change_document(change: CurveChange, definition: AngleDefinition, tiers: frozenset[Tier]) -> dict[str, Any]:
    unit = definition.unit
    return {
        "reason": None if math.isfinite(change.band) else _why_nothing_counts(change),
        "tier": next(iter(tiers)).name,
        "n_pre": change.n_pre,
        "n_post": change.n_post,
        "block_strides": change.block,
        "threshold_t": number(change.threshold),
        "p_value": change.p_value,
        "mdc95": outside(change.band, unit),
        "sem_source": "default" if math.isfinite(change.band) else None,
        "provisional": math.isfinite(change.band),
        "source": definition.source,
        "difference": [outside(float(v), unit) for v in change.difference],
        "clusters": [_cluster_document(c, definition) for c in change.clusters],
    }


def _why_nothing_counts(change: CurveChange) -> str:
    fewest = min(change.n_pre, change.n_post)
    if fewest < MIN_STRIDES_FOR_VERDICT:
        return f"indicative only, {fewest} strides: no stretch can count below {MIN_STRIDES_FOR_VERDICT}"
    return "error unknown: no stretch can count"


def _cluster_document(cluster: CurveCluster, definition: AngleDefinition) -> dict[str, Any]:
    return {
        "from_pct": cluster.from_pct,
        "to_pct": cluster.to_pct,
        "largest_difference": outside(cluster.largest, definition.unit),
        "larger_than_error": cluster.counts,
        "larger_from_pct": cluster.counts_from_pct,
        "larger_to_pct": cluster.counts_to_pct,
    }
