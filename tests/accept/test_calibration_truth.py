"""Synthetic rigs of 2 to 16 cameras against their truth: the table of calibration in docs/accuracy.md.

Long: run by `make accept`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from tests.accept.calibration import ALL_AROUND_RAD, Case, WorstErrors, solve_bytes, solve_case, worst_of
from tests.accept.document import measured_at, write_section

SEEDS = range(1, 4)
NOISES_PX = (0.2, 0.5, 1.0)


def _arc(n_cameras: int) -> float:
    return ALL_AROUND_RAD if n_cameras >= 8 else np.pi if n_cameras > 2 else 1.0


SIZES = tuple(
    Case(n, noise, fisheye=fisheye, arc_rad=_arc(n), radius_m=1.5 if fisheye else 2.2)
    for n in (2, 4, 8, 16)
    for fisheye in (False, True)
    for noise in NOISES_PX
)
FAR_FISHEYES = Case(2, 1.0, fisheye=True, arc_rad=1.0)
DIFFICULT = (
    Case(4, 0.5, late=True, arc_rad=2.0),
    Case(4, 0.5, outliers=0.05),
    Case(8, 0.5, outliers=0.03, arc_rad=ALL_AROUND_RAD),
    Case(4, 0.2, free_running=True, arc_rad=2.0),
    Case(4, 1.0, free_running=True, arc_rad=2.0),
    Case(8, 0.5, free_running=True, fisheye=True, arc_rad=ALL_AROUND_RAD, radius_m=1.5),
    FAR_FISHEYES,
)


def bounds(case: Case) -> tuple[float, float, float]:
    """Largest centre error mm, rotation deg and scale error % that are let pass: they grow with the noise.

    A fisheye's pixel is 1.6 times as wide. Two fisheyes as far off as other lenses see the board so small that 200
    views at 1 px leave the distance between them, and with it the scale, uncertain by more than 0.1 %.
    """
    coarse = case.noise_px * (1.6 if case.fisheye else 1.0) * (1.5 if case.free_running else 1.0)
    return 0.3 + 3.0 * coarse, 0.02 + 0.13 * coarse, 0.4 if case == FAR_FISHEYES else 0.1


@pytest.fixture(scope="module")
def rows() -> dict[Case, WorstErrors]:
    return {case: worst_of([solve_case(case, seed) for seed in SEEDS]) for case in (*SIZES, *DIFFICULT)}


def test_every_rig_is_within_its_bounds(rows: dict[Case, WorstErrors]) -> None:
    write_section("calibration", _lines(rows.items()))
    for case, found in rows.items():
        centre_mm, rotation_deg, scale_pct = bounds(case)
        assert found.centre_worst_mm < centre_mm, case
        assert found.rotation_worst_deg < rotation_deg, case
        assert found.scale_worst_pct < scale_pct, case


@pytest.mark.parametrize("case", [SIZES[6], SIZES[-1], DIFFICULT[-1]], ids=lambda c: f"{c.n_cameras}-{c.noise_px}")
def test_two_solves_are_equal_to_the_byte(case: Case) -> None:
    assert solve_bytes(case, 3) == solve_bytes(case, 3)


def _lines(rows: Iterable[tuple[Case, WorstErrors]]) -> list[str]:
    lines = [
        "## Calibration",
        "",
        measured_at(),
        "",
        "Rigs 2.2 m (fisheyes 1.5 m) around a waved board of 7 x 5 squares of 60 mm, 1280x720, 40 s at 5 Hz "
        f"(free-running: 15 s at 20 Hz), lenses given, {len(SEEDS)} seeds each with its own lenses, rig and wave. In "
        "every rig one camera "
        "stands on end; rigs of 8 and 16 stand all around, so that some cameras never see the board together with the "
        "first. The solved rig is laid on the true one without changing its size; centres and rotations are those of "
        "all cameras. Worst is the largest over cameras and seeds, in brackets the bound that the test holds. Two "
        "solves of the same corners are equal to the last byte. Two fisheyes at 2.2 m (last row) are beyond 0.1 % of "
        "scale: the board is too small in their images and no third camera helps; the solve itself says so (its second "
        "camera stands to ± 3.3 mm, 0.16 % of the distance between the two).",
        "",
        "| cameras | lens | noise px | what is difficult | centre mm, median | centre mm, worst | rotation deg, worst "
        "| scale error %, worst |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, found in rows:
        centre_mm, rotation_deg, scale_pct = bounds(case)
        lines.append(
            f"| {case.n_cameras} | {'fisheye' if case.fisheye else 'pinhole'} | {case.noise_px:g} | {case.text} "
            f"| {found.centre_median_mm:.2f} | {found.centre_worst_mm:.2f} ({centre_mm:.1f}) "
            f"| {found.rotation_worst_deg:.3f} ({rotation_deg:.2f}) | {found.scale_worst_pct:.3f} ({scale_pct:g}) |"
        )
    return lines
