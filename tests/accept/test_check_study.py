"""Sweeps of the board before the first runner of the day: what `labsys calibrate --check` says, into docs/accuracy.md.

Long: run by `make accept`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from calibration.drift.check import CalibrationCheck, Verdict, check_rig
from calibration.rig.solve import solve_rig
from tests.accept.document import measured_at, write_section
from tests.test_calibration.board_scenes import make_scene, see_corners
from tests.test_calibration.test_check import move_camera

SEEDS = range(300, 348)
NOISE_PX, SWEEP_S = 0.5, 30.0
MOVES = {
    "nothing": (0.0, 0.0),
    "one camera by 0.1°": (0.1, 0.0),
    "one camera by 0.3°": (0.3, 0.0),
    "one camera by 2 mm": (0.0, 0.002),
    "one camera by 4 mm": (0.0, 0.004),
}
Sweeps = dict[str, list[tuple[CalibrationCheck, str]]]


@pytest.fixture(scope="module")
def sweeps() -> Sweeps:
    """Move -> what was said, and the camera that moved ("" for none)."""
    said: Sweeps = defaultdict(list)
    for seed in SEEDS:
        n_cameras = 3 + seed % 6
        arc_rad = min(np.pi, 0.8 * (n_cameras - 1))
        scene = make_scene(n_cameras, seed=seed, seconds=40.0, arc_rad=arc_rad)
        lenses = tuple(c.intrinsics for c in scene.rig.cameras)
        known = solve_rig(see_corners(scene, noise_px=NOISE_PX, seed=seed), lenses).rig
        sweep = replace(make_scene(n_cameras, seed=5000 + seed, seconds=SWEEP_S, arc_rad=arc_rad), rig=scene.rig)
        index = int(np.random.default_rng([seed, 3]).integers(n_cameras))
        for i, (move, (turn_deg, shift_m)) in enumerate(MOVES.items()):
            moved = turn_deg > 0 or shift_m > 0
            rig = move_camera(scene.rig, index, turn_deg=turn_deg, shift_m=shift_m, seed=seed) if moved else scene.rig
            corners = see_corners(sweep, noise_px=NOISE_PX, seed=10 * seed + i, rig=rig)
            said[move].append((check_rig(corners, known), rig.names[index] if moved else ""))
    return said


def test_a_check_names_the_camera_and_lets_an_untouched_rig_be(sweeps: Sweeps) -> None:
    _write(sweeps)
    assert _count(sweeps["nothing"], Verdict.MOVED) == 0
    assert _count(sweeps["nothing"], Verdict.STILL_VALID) >= 0.95 * len(SEEDS)
    assert _named(sweeps["one camera by 0.3°"]) >= 0.95 * len(SEEDS)
    # Of 4 mm, what shifts the image by less than 0.8 px still serves: 38 of 48 were named.
    assert _named(sweeps["one camera by 4 mm"]) >= 0.65 * len(SEEDS)
    for move in MOVES:
        assert _named_wrong(sweeps[move]) == 0, move


def _count(said: list[tuple[CalibrationCheck, str]], verdict: Verdict) -> int:
    return sum(check.verdict is verdict for check, _ in said)


def _moved(check: CalibrationCheck) -> set[str]:
    return {c.name for c in check.cameras if c.moved} if not check.suspects else set()


def _named(said: list[tuple[CalibrationCheck, str]]) -> int:
    return sum(check.verdict is Verdict.MOVED and _moved(check) == {truth} for check, truth in said)


def _named_wrong(said: list[tuple[CalibrationCheck, str]]) -> int:
    return sum(bool(_moved(check) - {truth}) for check, truth in said)


def _write(sweeps: Sweeps) -> None:
    lines = [
        "## Daily check of a calibration",
        "",
        measured_at(),
        "",
        f"{len(SEEDS)} rigs of 3 to 8 cameras, each calibrated from 40 s of a waved board with corners off by "
        f"{NOISE_PX} px, then checked with one sweep of {SWEEP_S:.0f} s (`labsys calibrate --check`). Named: the right "
        "camera and no other. Where a move shifts the image of what the camera looks at by less than 0.8 px, the "
        "calibration still serves and is called so.",
        "",
        "| moved since | sweeps | still valid | moved | named | named wrongly | cannot tell | image shift px, median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for move, said in sweeps.items():
        shifts = [c.image_px for check, truth in said for c in check.cameras if c.name == truth]
        shift = f"{np.nanmedian(shifts):.1f}" if shifts else "–"
        lines.append(
            f"| {move} | {len(said)} | {_count(said, Verdict.STILL_VALID)} | {_count(said, Verdict.MOVED)} | "
            f"{_named(said)} | {_named_wrong(said)} | {_count(said, Verdict.CANNOT_TELL)} | {shift} |"
        )
    write_section("check", lines)
