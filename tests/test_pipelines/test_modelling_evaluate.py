"""`labsys model evaluate`, with a stand-in for the network that finds coloured squares."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from _pytest.capture import CaptureResult

import pipelines.modelling.evaluate
from api.cli import main
from labsys.core.errors import InputError
from labsys.core.pose_model import CropMode, PoseModel
from labsys.core.progress import SilentProgress
from labsys.core.skeleton import COCO_17, LABSYS_RUN_37, RUN_MINIMUM, Tier
from labsys.storage.atomic import hash_file
from labsys.storage.exchange.dlc_project import DlcProject, Labels, list_groups, read_labels, write_labels
from labsys.storage.lab import create_lab
from labsys.storage.models import StoredModel, save_model
from pipelines.modelling.evaluate import Evaluation, EvaluationMachine, evaluate_model, summarise
from pipelines.modelling.judged import judge_pack, open_judged
from pipelines.modelling.scoring import (
    LandmarkScore,
    Sample,
    SidesScore,
    Standing,
    score_landmarks,
    score_sides,
    score_tiers,
)
from pipelines.modelling.seen import OTHERS, SEEN_FILE, note_seen, picture_digest
from pipelines.modelling.strayed import StrayScore, score_strays, total_strays
from pipelines.pose.job import PoseJob
from pipelines.pose.process import WorkDone, run_job

from .labelled_project import PARTS, RIG, make_project

COMMAND = (sys.executable, str(Path(__file__).parent / "stand_in_network.py"))
MACHINE = EvaluationMachine(command=COMMAND)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> DlcProject:
    return make_project(tmp_path_factory.mktemp("project") / "labels", captures=2)


def _pack(folder: Path, parts: tuple[str, ...] = PARTS, **changes: object) -> StoredModel:
    folder.mkdir()
    snapshot, config = folder / "weights.pt", folder / "config.yaml"
    snapshot.write_text(json.dumps({"sizes": str(folder / "sizes.txt")}))
    config.write_text(f"metadata:\n  bodyparts: [{', '.join(parts)}]\n")
    model = replace(
        PoseModel(parts, hash_file(snapshot), hash_file(config), knows="coloured squares"),
        **changes,  # type: ignore[arg-type]  # each test changes other fields
    )
    return save_model(create_lab(folder / "lab"), "m1", model, snapshot=snapshot, config=config)


def _evaluate(stored: StoredModel, project: DlcProject) -> Evaluation:
    return evaluate_model(judge_pack(stored), project, machine=MACHINE, progress=SilentProgress())


@pytest.mark.slow
def test_squares_are_found_where_they_are_in_every_view_and_in_space(project: DlcProject, tmp_path: Path) -> None:
    found = _evaluate(_pack(tmp_path / "m"), project)
    assert found.pictures == 2 * 3 * 2
    assert (found.unknown, found.knows) == (True, "coloured squares")
    every = found.scores[-1]
    # Squares lie on whole pixels of pictures 180 px high, and now and then one hides a part of another.
    assert every.found > 0.9
    assert every.median_px < 0.6
    assert every.median_common_px == pytest.approx(4 * every.median_px)
    assert found.sides.n > 0
    assert found.sides.crossed == 0
    assert found.space is not None
    assert found.space.n > 20
    assert found.space.median_mm < 12.0
    assert found.space.label_residual_px < 1e-6 < found.space.residual_px < 1.0
    assert [t.standing for t in found.tiers][1:] == [Standing.LACKING] * 3
    assert summarise(found)["sides_exchanged_pct"] == 0.0
    assert [s.landmark for s in found.strays] == list(PARTS)
    assert total_strays(found.strays).n > 0
    assert summarise(found)["other_side_pct"] == 0.0


@pytest.mark.slow
def test_a_network_that_exchanges_the_sides_is_told(project: DlcProject, tmp_path: Path) -> None:
    exchanged = ("LGT", "RGT", "LLFE", "RLFE", "LLM", "RLM", "LAC", "RAC")
    found = _evaluate(_pack(tmp_path / "m", exchanged), project)
    assert found.sides.share > 0.95
    assert total_strays(found.strays).share > 0.95


@pytest.mark.slow
def test_a_point_on_the_other_leg_is_told_where_the_other_legs_own_point_is_hidden(
    project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The inner knee shows on one leg at a time: nothing is marked on the other, and other views know where it is.
    copy = DlcProject(shutil.copytree(project.folder, tmp_path / "labels"), "squares", "tester", PARTS)
    for group in list_groups(copy)[::3]:
        marked = read_labels(copy, group)
        xy_px = np.where(np.arange(len(PARTS))[:, None] == PARTS.index("LLFE"), np.nan, marked.xy_px)
        write_labels(copy, group, Labels(marked.pictures, xy_px))
    # This network takes the left knee for the right one, and finds the left one nowhere.
    stored = _pack(tmp_path / "m", ("RGT", "LGT", "LLFE", "RLFE", "RLM", "LLM", "RAC", "LAC"))
    found = {s.landmark: s for s in _evaluate(stored, copy).strays}
    everywhere = {s.landmark: s for s in _evaluate(stored, project).strays}
    assert found["RLFE"].n == everywhere["RLFE"].n > 0
    assert found["RLFE"].share > 0.9
    assert found["LLFE"].n < everywhere["LLFE"].n
    assert [found[name].strayed for name in ("RGT", "LLM", "LAC")] == [0, 0, 0]
    monkeypatch.setattr(
        pipelines.modelling.evaluate, "evaluate_model", partial(_with_stand_in, evaluate=evaluate_model)
    )
    said = _terminal(capsys, "model", "evaluate", stored.folder, "--project", copy.folder).out
    strays = found["RLFE"]
    assert f"RLFE {strays.strayed} of {strays.n}" in said.split("on the other side: ")[1].splitlines()[0]


@pytest.mark.slow
def test_pictures_that_were_trained_on_do_not_count(project: DlcProject, tmp_path: Path) -> None:
    stored = _pack(tmp_path / "m")
    groups = list_groups(project)
    note_seen(project, groups[:3], stored.folder / SEEN_FILE)
    found = _evaluate(stored, project)
    assert (found.pictures, found.trained_on, found.unknown) == (6, 6, False)
    note_seen(project, groups[:3], stored.folder / SEEN_FILE, before=frozenset({OTHERS}))
    found = _evaluate(stored, project)
    assert (found.pictures, found.trained_on, found.unknown) == (6, 6, True)
    note_seen(project, groups, stored.folder / SEEN_FILE)
    with pytest.raises(InputError, match="was trained on all 12 labelled pictures"):
        _evaluate(stored, project)


@pytest.mark.slow
def test_pictures_without_labels_were_not_trained_on(project: DlcProject, tmp_path: Path) -> None:
    """Two projects may show one video and label different parts of it: each is for the other to be judged on."""
    copy = DlcProject(shutil.copytree(project.folder, tmp_path / "labels"), "squares", "tester", PARTS)
    group = list_groups(copy)[0]
    marked = read_labels(copy, group)
    xy_px = np.array(marked.xy_px)
    xy_px[0] = np.nan
    write_labels(copy, group, Labels(marked.pictures, xy_px))
    note_seen(copy, [group], tmp_path / SEEN_FILE)
    digests = [picture_digest(copy.pictures(group) / name) for name in marked.pictures]
    assert set((tmp_path / SEEN_FILE).read_text(encoding="utf-8").split()) == set(digests[1:]) != set(digests)


@pytest.mark.slow
def test_every_picture_is_looked_at_whole_then_closer(
    project: DlcProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size_px, jobs = (RIG.cameras[0].intrinsics.size_px[0], 192), []

    def noted(job: PoseJob, *arguments: object, **options: object) -> WorkDone:
        jobs.append(job)
        return run_job(job, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(pipelines.modelling.evaluate, "run_job", noted)
    stored = _pack(tmp_path / "m", net_input_px=size_px, crop=CropMode.FOLLOW)
    found = _evaluate(stored, project)
    looks = [line.split()[0] for line in (tmp_path / "m/sizes.txt").read_text().splitlines()]
    assert sum(map(int, looks)) == 3 * 12
    # Each is read ahead in a thread of its own: as many as there are folders would be hundreds.
    assert len(jobs[0].cameras) == 4 < len(list_groups(project))
    assert found.scores[-1].median_px < 0.7


@pytest.mark.slow
def test_landmarks_are_matched_by_either_name_and_what_is_lacking_is_named(project: DlcProject, tmp_path: Path) -> None:
    parts = ("hip", *PARTS[1:5])
    found = _evaluate(_pack(tmp_path / "m", parts, aliases={"hip": "RGT"}), project)
    assert [s.landmark for s in found.scores] == ["RGT", *parts[1:], "all"]
    assert found.lacking == PARTS[5:]
    with pytest.raises(InputError, match="nothing can be compared"):
        _evaluate(_pack(tmp_path / "other", ("tail",)), project)


@pytest.mark.slow
def test_without_labels_or_models_it_says_what_to_do(project: DlcProject, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model pack and no finished training"):
        open_judged(tmp_path)
    empty = make_project(tmp_path / "empty", captures=1)
    for group in list_groups(empty):
        labels = read_labels(empty, group)
        write_labels(empty, group, Labels(labels.pictures, np.full_like(labels.xy_px, np.nan)))
    with pytest.raises(InputError, match="holds no labelled pictures"):
        _evaluate(_pack(tmp_path / "m"), empty)


@pytest.mark.slow
def test_the_terminal_tells_and_writes_it(
    project: DlcProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        pipelines.modelling.evaluate, "evaluate_model", partial(_with_stand_in, evaluate=evaluate_model)
    )
    stored, out = _pack(tmp_path / "m"), tmp_path / "evaluation.json"
    said = _terminal(capsys, "model", "evaluate", stored.folder, "--project", project.folder, "--out", out)
    for words in (
        "knows: coloured squares",
        "caution: nobody noted",
        "tier T3: not reached",
        "left and right exchanged: 0",
    ):
        assert words in said.out
    told = json.loads(out.read_text())
    assert told["snapshot_sha256"] == stored.model.snapshot_sha256
    assert told["summary"]["error_median_px"] < 0.6
    said = _terminal(capsys, "model", "evaluate", tmp_path, "--project", project.folder, code=2)
    assert "no finished training" in said.err


def test_what_is_no_evaluation_is_not_overwritten_by_one(
    project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, notes = project.config.read_text(), tmp_path / "notes.json"
    notes.write_text('{"mine": 1}')
    for out in (project.config, notes, tmp_path):
        words = ("model", "evaluate", tmp_path, "--project", project.folder, "--out", out)
        assert "is not overwritten" in _terminal(capsys, *words, code=2).err
    assert (project.config.read_text(), notes.read_text()) == (before, '{"mine": 1}')


def _with_stand_in(*given: object, evaluate: object, **named: object) -> Evaluation:
    return evaluate(*given, **{**named, "machine": MACHINE})  # type: ignore[operator, no-any-return]  # a partial


def _terminal(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> CaptureResult[str]:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert left.value.code == code, said.err
    return said


# ---- scores


def _sample(labels: list[list[float]], found: list[list[float]]) -> Sample:
    """One picture 360 px high of two landmarks."""
    return Sample(("RGT", "LGT"), np.array([labels]), np.array([found]), np.array([360.0]))


def test_errors_are_of_found_points_and_double_at_half_the_height() -> None:
    sample = _sample([[10.0, 10.0], [50.0, 50.0]], [[13.0, 14.0, 0.9], [50.0, 50.0, 0.05]])
    right, left, every = score_landmarks(sample)
    assert (right.median_px, right.median_common_px, right.found) == (5.0, 10.0, 1.0)
    assert (left.n, left.found) == (1, 0.0)
    assert np.isnan(left.median_px)
    assert (every.n, every.found, every.p95_px) == (2, 0.5, 5.0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([[10.0, 10.0, 1.0], [50.0, 50.0, 1.0]], (1, 0)),
        ([[50.0, 50.0, 1.0], [10.0, 10.0, 1.0]], (1, 1)),
        ([[48.0, 45.0, 1.0], [15.0, 12.0, 1.0]], (1, 1)),
        # Both on one leg is wrong, and no exchange.
        ([[10.0, 10.0, 1.0], [10.0, 10.0, 1.0]], (1, 0)),
        ([[50.0, 50.0, 1.0], [10.0, 10.0, 0.05]], (0, 0)),
    ],
)
def test_sides_count_as_exchanged_when_both_are(found: list[list[float]], expected: tuple[int, int]) -> None:
    scored = score_sides(_sample([[10.0, 10.0], [50.0, 50.0]], found))
    assert (scored.n, scored.crossed) == expected


def test_sides_that_lie_together_are_not_judged() -> None:
    close = _sample([[10.0, 10.0], [12.0, 10.0]], [[12.0, 10.0, 1.0], [10.0, 10.0, 1.0]])
    assert score_sides(close) == SidesScore(0, 0)
    assert np.isnan(SidesScore(0, 0).share)


def test_one_answer_on_the_other_side_counts_alone() -> None:
    # Both on one leg: no exchange, and a stray.
    sample = _sample([[10.0, 10.0], [50.0, 50.0]], [[12.0, 10.0, 1.0], [11.0, 10.0, 1.0]])
    assert score_strays(sample, sample.labels_px) == (StrayScore("RGT", 1, 0), StrayScore("LGT", 1, 1))
    assert total_strays(score_strays(sample, sample.labels_px)) == StrayScore("all", 2, 1)
    # Halfway is not nearer; what is not found, or of which nobody knows the other side, is not judged.
    halfway = _sample([[10.0, 10.0], [50.0, 10.0]], [[30.0, 10.0, 1.0], [10.0, 10.0, 0.05]])
    assert score_strays(halfway, halfway.labels_px) == (StrayScore("RGT", 1, 0), StrayScore("LGT", 0, 0))
    unknown = np.array([[[10.0, 10.0], [np.nan, np.nan]]])
    assert [s.n for s in score_strays(sample, unknown)] == [0, 1]
    close = _sample([[10.0, 10.0], [12.0, 10.0]], [[12.0, 10.0, 1.0], [10.0, 10.0, 1.0]])
    assert total_strays(score_strays(close, close.labels_px)) == StrayScore("all", 0, 0)
    assert np.isnan(StrayScore("all", 0, 0).share)


def _scores(landmarks: tuple[str, ...], worse: dict[str, float]) -> list[LandmarkScore]:
    return [LandmarkScore(n, 9, 1.0, 1.0, 2.0, worse.get(n, 1.0), 4.0) for n in landmarks]


def test_a_tier_is_as_good_as_the_worst_landmark_that_it_needs() -> None:
    names = LABSYS_RUN_37.landmarks
    tiers = score_tiers(names, _scores(names, {}))
    assert {t.standing for t in tiers} == {Standing.GOOD}
    by_tier = {t.tier: t for t in score_tiers(names, _scores(names, {"L1": 4.0, "RASIS": 9.0, "XP": 50.0}))}
    # Hips come from the trochanters where the pelvis is poor, and nothing needs XP.
    assert by_tier[Tier.T0].standing is Standing.GOOD
    assert (by_tier[Tier.T2].standing, by_tier[Tier.T2].because) == (Standing.WEAK, ("RASIS",))
    assert by_tier[Tier.T3].because == ("RASIS",)
    fair = score_tiers(names, _scores(names, {"L1": 4.0}))
    assert (fair[Tier.T2].standing, fair[Tier.T3].standing) == (Standing.GOOD, Standing.FAIR)
    unlabelled = score_tiers(RUN_MINIMUM, [s for s in _scores(RUN_MINIMUM, {}) if s.landmark != "C7"])
    assert (unlabelled[Tier.T3].standing, unlabelled[Tier.T3].because) == (Standing.UNJUDGED, ("C7",))
    assert score_tiers(COCO_17.landmarks, [])[Tier.T1].standing is Standing.LACKING
