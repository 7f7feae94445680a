"""The default engine beside aniposelib: errors against truth, and the public balancing trial, into docs/accuracy.md.

Long: aniposelib's RANSAC takes minutes for a second of running. Run by `make accept`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from calibration.triangulation.anipose import AniposeMethod
from calibration.triangulation.triangulate import triangulate_pose2sim, triangulate_robust
from pipelines.synthetic.noise import NoiseModel
from tests.accept.document import measured_at, write_section
from tests.accept.reconstruction import (
    BALANCING_HZ,
    RATE_HZ,
    SPOILT,
    Beside,
    acceleration_mps2,
    anipose_engine,
    beside_peer,
    common_medians,
    left_out_errors_px,
    limb_variation_pct,
    load_balancing,
    our_engine,
)

CASES = {
    "white 1 px, 5 % outliers, 10 % missing, 2 % swaps": (SPOILT, 0.02),
    "dlc_like": (NoiseModel.dlc_like(), 0.0),
}
# Method, seeds (runners that nothing was tuned on), frames: RANSAC does five or six points a second.
PEERS = {
    "optim": (AniposeMethod.OPTIM, (31, 32, 33, 34), 60),
    "ransac, optim": (AniposeMethod.RANSAC_OPTIM, (31,), 24),
}
Compared = dict[tuple[str, str], list[Beside]]


def test_errors_are_at_most_seven_tenths_of_aniposelibs() -> None:
    compared: Compared = {
        (case, peer): [beside_peer(noise, method, seed, n_frames=n, swaps=swaps) for seed in seeds]
        for case, (noise, swaps) in CASES.items()
        for peer, (method, seeds, n) in PEERS.items()
    }
    write_section("reconstruction", report_lines(compared))
    lost = [f"{key}: {ratios(runs)}" for key, runs in compared.items() if max(ratios(runs)) > 0.7]
    assert not lost, lost


def pooled(runs: Sequence[Beside]) -> tuple[np.ndarray, np.ndarray]:
    """Median and 95th percentile over all runners, mm: ours, theirs."""
    ours, theirs = (np.concatenate([getattr(r, whose) for r in runs]) for whose in ("ours_mm", "theirs_mm"))
    return np.percentile(ours, [50, 95]), np.percentile(theirs, [50, 95])


def ratios(runs: Sequence[Beside]) -> tuple[float, float]:
    """Our median and 95th percentile over theirs."""
    ours, theirs = pooled(runs)
    return float(ours[0] / theirs[0]), float(ours[1] / theirs[1])


def report_lines(compared: Mapping[tuple[str, str], Sequence[Beside]]) -> list[str]:
    """The section of the document."""
    rows = []
    for (case, peer), runs in compared.items():
        (ours, theirs), n_frames = pooled(runs), PEERS[peer][2]
        cells = (f"{a:.2f} / {b:.2f} = {a / b:.2f}" for a, b in zip(ours, theirs, strict=True))
        n_points = sum(r.ours_mm.size for r in runs)
        rows.append(f"| {case} | {peer} | {len(runs)} x {n_frames} | {n_points} | " + " | ".join(cells) + " |")
    return [
        "## 3D errors beside aniposelib",
        "",
        f"{measured_at()} Runners of their own body, style and speed, seeds that nothing was tuned on; 4 cameras, "
        f"{RATE_HZ:g} Hz, 37 landmarks; the same 2D for both engines, aniposelib with its defaults and likelihood at "
        "least 0.3. Asked for are ratios of at most 0.7.",
        "",
        "| noise | aniposelib | runners x frames | points | median mm, ours / theirs | p95 mm, ours / theirs |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


@pytest.mark.real_data
def test_balancing_trial_is_calmer_at_no_larger_left_out_error(public_data: Path) -> None:
    rig, names, xy, confidence, published = load_balancing(public_data)
    engines = {
        "labsys": our_engine(names, BALANCING_HZ),
        "labsys, rule robust": lambda r, p, c: triangulate_robust(r, p, c).xyz_m,
        "labsys, rule pose2sim": lambda r, p, c: triangulate_pose2sim(r, p, c).xyz_m,
        "aniposelib triangulate": anipose_engine(names, AniposeMethod.TRIANGULATE),
        "aniposelib optim": anipose_engine(names, AniposeMethod.OPTIM),
    }
    whole = {n: run(rig, xy, confidence) for n, run in engines.items()} | {"published .trc": published}
    left_out = common_medians({n: left_out_errors_px(run, rig, xy, confidence) for n, run in engines.items()})
    figures = {n: (limb_variation_pct(x, names), acceleration_mps2(x, BALANCING_HZ)) for n, x in whole.items()}
    write_section("balancing", [
        "## The public balancing trial", "",
        f"{measured_at()} Pose2Sim's balancing trial, OpenPose 2D, 4 cameras, 100 frames. Left-out error: median "
        "distance between a camera's pixels and the points found without it, over the cells that all engines answer.",
        "", "| engine | limb lengths, SD % | acceleration rms, m/s² | left-out error, px |", "|---|---|---|---|",
        *(f"| {n} | {a:.2f} | {b:.1f} | {left_out.get(n, np.nan):.2f} |" for n, (a, b) in figures.items()), "",
    ])  # fmt: skip
    for peer in ("aniposelib triangulate", "aniposelib optim", "published .trc"):
        assert figures["labsys"][0] < figures[peer][0], peer
        assert figures["labsys"][1] < figures[peer][1], peer
        assert left_out["labsys"] <= left_out.get(peer, left_out["labsys, rule pose2sim"]), peer
