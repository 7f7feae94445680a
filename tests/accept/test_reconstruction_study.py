"""The default engine beside aniposelib: errors against truth, and the public balancing trial, into docs/accuracy.md.

Long: aniposelib's RANSAC takes minutes for a second of running. Run by `make accept`.
"""

from __future__ import annotations

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
    acceleration_mps2,
    anipose_engine,
    common_medians,
    errors_mm,
    left_out_errors_px,
    limb_variation_pct,
    load_balancing,
    our_engine,
    see_runner,
)

SEEDS, N_FRAMES = (1, 2), 60
CASES = {
    "white 1 px, 5 % outliers, 10 % missing, 2 % swaps": (SPOILT, 0.02),
    "dlc_like": (NoiseModel.dlc_like(), 0.0),
}
PEERS = {"optim": AniposeMethod.OPTIM, "ransac, optim": AniposeMethod.RANSAC_OPTIM}


def test_errors_are_at_most_seven_tenths_of_aniposelibs() -> None:
    rows, lost = [], []
    for name, (noise, swaps) in CASES.items():
        scenes = [see_runner(noise, seed, n_frames=N_FRAMES, swaps=swaps) for seed in SEEDS]
        engines = {"labsys": our_engine(scenes[0].landmarks, RATE_HZ)}
        engines |= {f"aniposelib {n}": anipose_engine(scenes[0].landmarks, m) for n, m in PEERS.items()}
        found = {
            e: np.concatenate([errors_mm(run(s.rig, s.xy_px, s.confidence), s.xyz_m) for s in scenes])
            for e, run in engines.items()
        }
        for engine, errors in found.items():
            median, p95 = np.median(errors), np.percentile(errors, 95)
            rows.append(f"| {name} | {engine} | {median:.2f} | {p95:.2f} | {errors.size} |")
            ratios = np.percentile(found["labsys"], [50, 95]) / [median, p95]
            if engine != "labsys" and max(ratios) > 0.7:
                lost.append(f"{name}, {engine}: {ratios}")
    write_section("reconstruction", [
        "## 3D errors beside aniposelib", "",
        f"{measured_at()} {len(SEEDS)} runners, 4 cameras, {N_FRAMES} frames at {RATE_HZ:g} Hz, 37 landmarks; same "
        "2D for all engines, aniposelib with its defaults and likelihood at least 0.3.", "",
        "| noise | engine | median mm | p95 mm | points |", "|---|---|---|---|---|", *rows, "",
    ])  # fmt: skip
    assert not lost, lost


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
