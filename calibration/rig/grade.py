"""Grades: what each figure of a calibration may be, and how bad the worst one is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from calibration.rig.quality import BoardQuality
from calibration.rig.sync import MOST_FRAMES, SUSPECT_FRAMES
from labsys.core.arrays import FloatArray
from labsys.core.units import millimetres

_WITHIN, GRADE_C = 0.0, 4.0


@dataclass(frozen=True)
class GradeLimits:
    """Grade A; B allows twice, C four times as much (coverage and boards: a half, a quarter).

    Attributes:
        heldout_px, heldout_freerun_px: held-out RMS for triggered and for free-running cameras.
        square: how much longer the board's edges may be along x than along y.
        kept: least share of shared corners that the figures rest on, for every grade.
    """

    board_fit_m: float = 0.0015
    heldout_px: float = 1.2
    heldout_freerun_px: float = 1.8
    scale: float = 0.003
    square: float = 0.003
    boards: int = 20
    coverage: float = 0.6
    kept: float = 0.95


@dataclass(frozen=True)
class Criterion:
    """One figure against its limit: `excess` is 1 at the limit of grade A, 2 at that of B, 4 at that of C."""

    text: str
    excess: float
    remedy: str
    of_coverage: bool = False


class CameraFigures(Protocol):
    """What of one camera is graded: boards it saw, and the share of its image that they covered."""

    @property
    def name(self) -> str: ...
    @property
    def n_boards(self) -> int: ...
    @property
    def coverage(self) -> float: ...


def grade_of(excess: float) -> str:
    """ "A", "B", "C" or "refused", by the worst figure's excess."""
    for grade, most in (("A", 1.0), ("B", 2.0), ("C", GRADE_C)):
        if excess <= most:
            return grade
    return "refused"


def rig_criteria(
    quality: BoardQuality, heldout: BoardQuality, scale: float, limits: GradeLimits, *, free_running: bool
) -> tuple[Criterion, ...]:
    """What is asked of the rig as a whole; `scale` is the relative error of lengths."""
    wave = "Film the board again, slowly and all over the room; check the square length and that no camera moved"
    heldout_limit = limits.heldout_freerun_px if free_running else limits.heldout_px
    lost = Criterion(f"{100 * quality.kept:.1f} % of shared corners could be used", _WITHIN, wave)
    return (
        _above("board fit", millimetres(quality.board_fit_m), millimetres(limits.board_fit_m), "mm", wave),
        _above("held-out error", heldout.rms_px, heldout_limit, "px", wave),
        _above("scale error", 100 * abs(scale), 100 * limits.scale, "%", "Measure the board's squares again"),
        _square(quality, limits),
        lost if quality.kept >= limits.kept else replace(lost, excess=float("inf")),
    )


def _square(quality: BoardQuality, limits: GradeLimits) -> Criterion:
    """Squares that are wider than high were printed or mounted so, or seen through a lens of another pixel aspect."""
    off = quality.edge_x_m / quality.edge_y_m - 1.0
    return Criterion(
        f"board squares {millimetres(quality.edge_x_m):.2f} mm along x, {millimetres(quality.edge_y_m):.2f} mm along y "
        f"({100 * off:+.2f} %; grade A: {100 * limits.square:.2g} %)",
        abs(off) / limits.square if np.isfinite(off) else float("inf"),
        "Measure the squares along both directions; print without fitting to the page, and check the cameras' lenses",
    )


def camera_criteria(camera: CameraFigures, limits: GradeLimits, *, lenses_given: bool) -> tuple[Criterion, ...]:
    """What is asked of each camera."""
    more = f"Show the board to {camera.name} longer and up to the edges of its image"
    cover = limits.coverage / max(camera.coverage, 1e-9)
    return (
        Criterion(f"{camera.name} saw {camera.n_boards} boards", limits.boards / max(camera.n_boards, 1e-9), more),
        Criterion(
            f"boards covered {100 * camera.coverage:.0f} % of {camera.name}'s image",
            min(cover, GRADE_C) if lenses_given else cover,
            more,
            of_coverage=True,
        ),
    )


def lag_criteria(cameras: tuple[str, ...], lags_frames: FloatArray) -> tuple[Criterion, ...]:
    """Cameras that look a good part of a frame, (C,), beside the others; what is too much, `sync` refuses."""
    return tuple(
        Criterion(
            f"{name} looks {abs(lag):.2f} of a frame {'after' if lag > 0 else 'before'} the others",
            min(GRADE_C * abs(lag) / MOST_FRAMES, GRADE_C),
            "Give --timestamps, or videos that begin at the same moment",
        )
        for name, lag in zip(cameras, lags_frames, strict=True)
        if abs(lag) > SUSPECT_FRAMES
    )


def sort_criteria(*criteria: Criterion) -> tuple[Criterion, ...]:
    """Worst first."""
    return tuple(sorted(criteria, key=lambda c: -c.excess))


def _above(name: str, value: float, limit: float, unit: str, remedy: str) -> Criterion:
    excess = value / limit if np.isfinite(value) else float("inf")
    return Criterion(f"{name} {value:.3g} {unit} (grade A: {limit:.3g} {unit})", excess, remedy)
