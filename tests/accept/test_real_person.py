"""A real person on real video: Pose2Sim's balancing trial, new -> train -> evaluate -> pack -> process, split in time.

Labels are its published OpenPose 2D, which err themselves: what is shown is that the loop runs, and how far a network
that saw 0.8 s of one person comes. Run by `make accept` where DeepLabCut and the recording are; LABSYS_REAL_EPOCHS (60)
and LABSYS_REAL_INPUT (192x256) say how long it trains and on how large a picture.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from labsys.core.progress import SilentProgress
from labsys.core.session import TrialName
from labsys.core.skeleton import BODY_25B
from labsys.core.units import millimetres
from labsys.storage.exchange.dlc_project import DlcProject, Labels, read_dlc_project, write_labels
from labsys.storage.exchange.trc import read_trc
from labsys.storage.lab import Lab, create_lab
from labsys.storage.results import load_trial_result
from labsys.storage.takes import load_landmarks2d
from pipelines.config import load_config
from pipelines.demonstration.recording import pose2sim_request
from pipelines.importing.trial import import_trial
from pipelines.modelling.evaluate import Evaluation, evaluate_model
from pipelines.modelling.judged import open_judged
from pipelines.modelling.new_project import LabellingPlan, make_project
from pipelines.modelling.pack import PackWords, pack_training
from pipelines.modelling.project import load_notes, picture_name, save_notes
from pipelines.modelling.recipe import TrainingRecipe
from pipelines.modelling.training import Trained, TrainingMachine, train_model
from pipelines.run import run_trial
from tests.accept.document import measured_at, write_section

EPOCHS = int(os.environ.get("LABSYS_REAL_EPOCHS", "60"))
WIDTH, HEIGHT = (int(n) for n in os.environ.get("LABSYS_REAL_INPUT", "192x256").split("x"))
FRAMES, SURE = 100, 0.3
PUBLISHED = "results_a948c20/T01/pose-3d/S00_P00_T01_BalancingTrial_0-100.trc"
# The recording as two trials, one labelled in its first half to learn from, one in its second to be judged on.
LEARN, JUDGE, FILM = (TrialName("pose2sim", "balancing", name) for name in ("learn", "judge", "film"))
HALVES = {LEARN: range(FRAMES // 2), JUDGE: range(FRAMES // 2, FRAMES)}


@dataclass(frozen=True)
class Loop:
    """What came of it. Attributes: apart_m: (T, K) m from the published points, second half."""

    trained: Trained
    evaluation: Evaluation
    apart_m: np.ndarray
    published: int


@pytest.fixture(scope="module")
def loop(public_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    if importlib.util.find_spec("deeplabcut") is None:
        pytest.skip("DeepLabCut is not installed (make pose)")
    folder, data = tmp_path_factory.mktemp("real"), public_data / "pose2sim_balancing"
    lab, silent = create_lab(folder / "lab"), SilentProgress()
    for name in HALVES:
        import_trial(lab, pose2sim_request(data, name), progress=silent)
    import_trial(lab, replace(pose2sim_request(data, FILM), landmarks2d={}), progress=silent)
    project = _label(lab, folder / "project")
    recipe = TrainingRecipe(net_input_px=(WIDTH, HEIGHT), epochs=EPOCHS, batch_size=8)
    machine = TrainingMachine("cpu", threads=1, workers=1)
    trained = train_model(project, recipe, folder / "trained", machine=machine, progress=silent)
    evaluation = evaluate_model(open_judged(folder / "trained"), project, progress=silent)
    pack_training(lab, "balancer", folder / "trained", PackWords(knows="0.8 s of one person who balances"))
    run_trial(lab, FILM, config=load_config(sets=("pose2d.model=balancer", "reconstruct.rule=robust")), progress=silent)
    return Loop(trained, evaluation, *_beside(lab, data / PUBLISHED))


def test_the_loop_runs_on_real_video_and_learns(loop: Loop) -> None:
    """What was learnt on the first half is of use on the second: much nearer than a guess, no claim beyond that."""
    every = loop.evaluation.scores[-1]
    assert loop.trained.pictures > 100
    assert loop.evaluation.trained_on > 100, "pictures of the first half are left out"
    _write(loop)
    assert every.n > 1000
    assert every.found > 0.5
    # A point that is always guessed in the middle of the person is some 150 px off at 720.
    assert every.median_common_px < 40.0


def _label(lab: Lab, folder: Path) -> DlcProject:
    """A project of both trials, labelled with what OpenPose found in each one's own half."""
    plan = LabellingPlan(BODY_25B.landmarks, BODY_25B.bones, moments=2 * FRAMES, scorer="openpose")
    make_project(lab, folder, tuple(HALVES), plan, date="2026-01-01", progress=SilentProgress())
    project = read_dlc_project(folder)
    notes = load_notes(project)
    captures = {}
    for label, capture in notes.captures.items():
        name = TrialName.parse(capture.source)
        for camera, group in capture.cameras.items():
            track = load_landmarks2d(lab, name, camera)
            frames = np.array(capture.frames[camera])
            columns = [track.landmarks.index(n) for n in project.body_parts]
            xy_px = np.where((track.confidence >= SURE)[..., None], track.xy_px, np.nan)[frames][:, columns]
            xy_px[~np.isin(frames, HALVES[name])] = np.nan
            write_labels(project, group, Labels(tuple(picture_name(m) for m in range(len(frames))), xy_px))
        captures[label] = replace(capture, held_out=name == JUDGE)
    save_notes(project, replace(notes, captures=captures))
    return project


def _beside(lab: Lab, published: Path) -> tuple[np.ndarray, int]:
    theirs, ours = read_trc(published), load_trial_result(lab, FILM).landmarks
    second = slice(FRAMES // 2, FRAMES)
    mine = ours.xyz_m[second][:, [ours.index(n) for n in theirs.markers]]
    return np.linalg.norm(mine - theirs.xyz_m[second], axis=-1), int(np.isfinite(theirs.xyz_m[second][..., 0]).sum())


def _write(loop: Loop) -> None:
    every, sides = loop.evaluation.scores[-1], loop.evaluation.sides
    found = loop.apart_m[np.isfinite(loop.apart_m)]
    rows = [
        f"pictures trained on | {loop.trained.pictures}, {EPOCHS} epochs at {WIDTH}x{HEIGHT} px, last loss "
        f"{loop.trained.loss:.4f}",
        f"labels judged | {every.n} in {loop.evaluation.pictures} pictures of the second half",
        f"found (likelihood 0.1 or more) | {100 * every.found:.1f} %",
        f"error, median and 95 % | {every.median_px:.1f}, {every.p95_px:.1f} px in pictures 1920 px high "
        f"({every.median_common_px:.1f}, {every.p95_common_px:.1f} px at 720)",
        f"left and right exchanged | {100 * sides.share:.1f} % of {sides.n} pairs",
        f"3D beside the published .trc, second half | {found.size} of {loop.published} points; median "
        f"{millimetres(float(np.median(found))):.0f} mm, 95 % {millimetres(float(np.percentile(found, 95))):.0f} mm",
    ]
    lines = [
        "## A network that saw a real person",
        "",
        f"{measured_at()} Pose2Sim's balancing trial, four cameras: labels are its OpenPose 2D, trained on frames "
        "0-49, judged on frames 50-99 of the same person. It shows that new, train, evaluate, pack and process run on "
        "real video, not that such a network is of use: one person, 50 moments, labels that err, a calibration of "
        "which one camera is 23 px off.",
        "",
        "| what | measured |",
        "|---|---|",
        *(f"| {row} |" for row in rows),
    ]
    write_section("real person", lines)
