"""What the cameras saw, as one HTML page, where a refusal left nothing else to show: what to film next stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from calibration.board.coverage import map_coverage
from calibration.board.detect import BoardCorners
from calibration.pages.rendering import render_template
from calibration.rig.grade import GradeLimits
from labsys.core.units import millimetres


@dataclass(frozen=True)
class _Sight:
    """Where one camera saw boards: cells (x, y) of a grid of columns and rows over its image."""

    name: str
    size_px: tuple[int, int]
    n_boards: int
    coverage: float
    columns: int
    rows: int
    cells: tuple[tuple[int, int], ...]


def render_refusal_page(document: Mapping[str, Any], corners: BoardCorners, limits: GradeLimits) -> str:
    """The page of a calibration that was refused before there was a rig to measure.

    Args:
        document: the refusal's JSON document. limits: what the grades ask for.
    """
    has = corners.has_board
    pairs = combinations(range(len(corners.cameras)), 2)
    return render_template(
        "calibration_refusal.html",
        document=document,
        board=corners.board,
        n_instants=len(corners.times_s),
        cameras=[_sight(corners, i) for i in range(len(corners.cameras))],
        shared=[((corners.cameras[a], corners.cameras[b]), int((has[:, a] & has[:, b]).sum())) for a, b in pairs],
        limits=limits,
        mm=millimetres,
    )


def _sight(corners: BoardCorners, index: int) -> _Sight:
    covered = map_coverage(corners.xy_px[:, index], corners.sizes_px[index])
    y, x = np.nonzero(covered)
    return _Sight(
        corners.cameras[index],
        corners.sizes_px[index],
        int(corners.has_board[:, index].sum()),
        float(covered.mean()),
        covered.shape[1],
        covered.shape[0],
        tuple(zip(x.tolist(), y.tolist(), strict=True)),
    )
