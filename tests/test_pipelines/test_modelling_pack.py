"""`labsys model train`, `render` and `pack`, without DeepLabCut: what goes in, what is kept, what is refused."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from _pytest.capture import CaptureResult

import pipelines.modelling.pack
import pipelines.modelling.rendered
import pipelines.modelling.training
from api.cli import main
from labsys.core.errors import InputError, MissingPartError
from labsys.core.pose_model import CropMode
from labsys.core.progress import SilentProgress
from labsys.storage.atomic import hash_file
from labsys.storage.exchange.dlc_project import DlcProject, list_groups, read_labels, write_labels
from labsys.storage.lab import Lab, create_lab
from labsys.storage.models import load_model, verify_model
from pipelines.modelling.cuts import cut_name
from pipelines.modelling.mirroring import mirror_pairs, why_not_mirrored
from pipelines.modelling.pack import PackWords, describe_knowledge, pack_training
from pipelines.modelling.recipe import TrainingRecipe, begin_with
from pipelines.modelling.rendered import RenderedSet
from pipelines.modelling.seen import OTHERS, SEEN_FILE, load_seen, picture_digest, seen_before
from pipelines.modelling.training import load_trained, train_model
from pipelines.pose.stills import write_picture

from .labelled_project import PARTS, make_project

pytestmark = pytest.mark.slow

STAND_IN = str(Path(__file__).parent / "stand_in_trainer.py")
TRAINER, SLIMMER = (sys.executable, STAND_IN, "train"), (sys.executable, STAND_IN, "slim")


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines.modelling.training, "require_deeplabcut", lambda: None)
    monkeypatch.setattr(pipelines.modelling.training, "find_weights", lambda: None)
    monkeypatch.setattr(pipelines.modelling.training, "train_model", partial(train_model, command=TRAINER))
    monkeypatch.setattr(pipelines.modelling.pack, "pack_training", partial(pack_training, command=SLIMMER))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab")


@pytest.fixture
def project(tmp_path: Path) -> DlcProject:
    return make_project(tmp_path / "labels")


def _train(project: DlcProject, out: Path) -> Path:
    train_model(project, TrainingRecipe(epochs=2), out, progress=SilentProgress(), command=TRAINER)
    return out


def _terminal(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> CaptureResult[str]:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert left.value.code == code, said.err
    return said


def test_a_training_becomes_a_model_that_says_what_it_was_made_from(
    lab: Lab, project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trained"
    options = ("--out", out, "--epochs", 2, "--net-input", "96x128", "--weigh", "RGT=4")
    said = _terminal(capsys, "model", "train", project.folder, *options)
    assert f"next: labsys model evaluate {out}" in said.err
    assert "last loss 0.25" in said.out
    trained = load_trained(out)
    assert trained.recipe.net_input_px == (96, 128)
    (held_out,) = {group.split("__")[0] for group in trained.held_out}
    words = ("--knows", "squares", "--alias", "RGT=RHip", "--license", "CC0", "--lab", lab.root, "--json")
    told = json.loads(_terminal(capsys, "model", "pack", out, "squares8", *words).out)
    stored = load_model(lab, "squares8")
    verify_model(stored)
    assert told["sha256"] == stored.model.digest
    assert stored.model.landmarks == ("RHip", *PARTS[1:])
    assert (stored.model.knows, stored.model.license) == ("squares", "CC0")
    assert stored.model.net_input_px == (96, 128)
    assert stored.model.recipe["epochs"] == "2"
    assert stored.model.recipe["emphasis"] == "RGT=4"
    assert stored.model.recipe["weights"] == "half precision"
    assert str(project.folder) not in stored.config.read_text()
    seen = load_seen(stored.folder)
    assert seen == load_seen(out)
    assert seen is not None
    for capture in ("take0", "take1", "take2"):
        digest = picture_digest(project.pictures(f"{capture}__cam1") / "img0001.png")
        assert (digest in seen) == (capture != held_out)


@pytest.mark.parametrize(
    ("names", "pairs", "why"),
    [
        (("left_hip", "right_hip", "nose"), ((0, 1),), ""),
        (("hip_l", "knee_r", "hip_r", "knee_l", "L1"), ((0, 2), (1, 3)), ""),
        (("kneeLeft", "kneeRight"), ((0, 1),), ""),
        (("hip1", "hip2"), (), "do not say which are left and right"),
        (("RHip", "RKnee", "Neck"), (), "of one side, and the other side's is not labelled: RHip, RKnee"),
        (("left_hip", "right_hip", "knee_l"), ((0, 1),), "not labelled: knee_l"),
    ],
)
def test_sides_are_exchanged_in_mirrored_pictures_by_whatever_names_a_lab_has(
    names: tuple[str, ...], pairs: tuple[tuple[int, int], ...], why: str
) -> None:
    assert mirror_pairs(names) == pairs
    found = why_not_mirrored(names)
    assert why in found
    assert bool(why) == bool(found)


def test_without_a_partner_for_every_side_no_picture_is_mirrored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, out = make_project(tmp_path / "labels"), tmp_path / "trained"
    alone = DlcProject(project.folder, project.task, project.scorer, ("RGT", "a", "b", "c", "d", "e", "f", "g"))
    for group in list_groups(project):
        write_labels(alone, group, read_labels(project, group))
    config = yaml.safe_load(project.config.read_text())
    project.config.write_text(yaml.safe_dump({**config, "bodyparts": list(alone.body_parts), "skeleton": []}))
    said = _terminal(capsys, "model", "train", project.folder, "--out", out, "--epochs", 2)
    assert "no picture is shown mirrored: of one side, and the other side's is not labelled: RGT" in said.err
    assert load_trained(out).recipe.mirror is False
    assert json.loads((out / "job.json").read_text())["recipe"]["mirror"] is False


@pytest.mark.parametrize(
    ("weight", "said"),
    [("RGT=heavy", "'heavy' is no number"), ("RGT=0", "RGT weighs 0"), ("RTG=2", "RTG"), ("RGT", "is not understood")],
)
def test_weights_that_cannot_be_are_refused_before_pictures_are_cut(
    weight: str, said: str, project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "trained"
    told = _terminal(capsys, "model", "train", project.folder, "--out", out, "--weigh", weight, code=2)
    assert said in told.err
    assert not out.exists()


def test_a_training_starts_from_a_model_and_learns_other_landmarks_anew(
    lab: Lab, project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first"
    recipe = TrainingRecipe(epochs=2, net_input_px=(96, 128), crop=CropMode.NONE)
    train_model(project, recipe, first, progress=SilentProgress(), command=TRAINER)
    pack_training(lab, "first", first, PackWords(knows="squares"), command=SLIMMER)
    more = ("--start", "first", "--lab", lab.root, "--epochs", 2)
    said = _terminal(capsys, "model", "train", project.folder, "--out", tmp_path / "second", *more)
    assert "which knows: squares" in said.err
    job = json.loads((tmp_path / "second/job.json").read_text())
    assert (job["start"], job["keep_head"]) == (str(lab.root / "models/first/snapshot.pt"), True)
    assert job["recipe"]["learning_rate"] == 3e-4
    assert (job["recipe"]["net_input_px"], job["recipe"]["crop"]) == ([96, 128], "none")
    stored = load_model(lab, "first")
    # Held out in another part of the project than before: what the first one saw does not count as unseen.
    before, again = load_seen(stored.folder), ("--start", "first", "--lab", lab.root, "--seed", 1, "--epochs", 2)
    _terminal(capsys, "model", "train", project.folder, "--out", tmp_path / "again", *again)
    assert load_trained(tmp_path / "again").held_out != load_trained(first).held_out
    assert before is not None
    assert before < (load_seen(tmp_path / "again") or frozenset())
    assert seen_before(stored.folder) == before
    (stored.folder / SEEN_FILE).unlink()
    assert seen_before(stored.folder) == {OTHERS}
    with pytest.raises(InputError, match="does not say what network it is"):
        begin_with(TrainingRecipe(), replace(stored, model=replace(stored.model, recipe={})))
    assert load_trained(tmp_path / "second").started_from == load_model(lab, "first").model.snapshot_sha256
    assert load_trained(tmp_path / "second").start_knows == "squares"
    other = make_project(tmp_path / "other")
    other.config.write_text(other.config.read_text().replace("- LAC", "- HEAD"))
    for table in other.folder.glob("labeled-data/*/CollectedData*"):
        table.unlink()
    said = _terminal(capsys, "model", "train", other.folder, "--out", tmp_path / "third", *more[:-2], code=2)
    assert "learnt anew" in said.err
    assert "labels of 0 recording(s)" in said.err


def test_models_of_rendered_runners_own_up_to_it_and_others_need_words(
    lab: Lab, project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = _train(project, tmp_path / "trained")
    said = _terminal(capsys, "model", "pack", trained, "m1", "--lab", lab.root, code=2)
    assert "nobody said what the model knows" in said.err
    rendered = make_project(tmp_path / "rendered", made={"kind": "rendered", "seed": "7"})
    out = _train(rendered, tmp_path / "trained2")
    said = _terminal(capsys, "model", "pack", out, "m2", "--knows", "grey labs", "--lab", lab.root)
    assert "knows: rendered runners only" in said.out
    assert "it never saw a real person; grey labs" in said.out
    assert load_model(lab, "m2").model.recipe["project.seed"] == "7"
    # Begun from a model that saw people, "never saw a real person" would be untrue.
    begun = replace(load_trained(out), started_from="0123", start_knows="adults on a treadmill")
    assert describe_knowledge(begun, "") == (
        "rendered runners (pictures of the synthetic lab), trained on last; the model that it started from knew: "
        "adults on a treadmill"
    )
    assert "had seen is not known" in describe_knowledge(replace(begun, start_knows=""), "")
    again = replace(begun, start_knows=load_model(lab, "m2").model.knows)
    assert describe_knowledge(again, "").endswith("it never saw a real person")


def test_no_two_cut_pictures_share_a_name_and_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    pictures = [("a_b", "c.png"), ("a", "b_c.png"), ("a", "c.png"), ("a", "c.jpg"), ("a_", "b_c.png")]
    assert len({cut_name(*picture) for picture in pictures}) == len(pictures)
    with pytest.raises(InputError, match="cannot be written"):
        write_picture(tmp_path / "none" / "a.jpg", np.zeros((4, 4, 3), np.uint8), quality=90)


def test_one_damaged_pack_does_not_hide_the_other_models(
    lab: Lab, project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack_training(lab, "good", _train(project, tmp_path / "trained"), PackWords(knows="squares"), command=SLIMMER)
    (lab.root / "models" / "bad").mkdir()
    (lab.root / "models" / "bad" / "model.json").write_text("{")
    said = _terminal(capsys, "model", "list", "--lab", lab.root)
    assert "good " in said.out
    assert "bad  cannot be read: " in said.out
    told = json.loads(_terminal(capsys, "model", "list", "--lab", lab.root, "--json").out)
    assert [m["name"] for m in told["models"]] == ["good"]
    assert [m["name"] for m in told["unreadable"]] == ["bad"]


def test_an_evaluation_goes_into_the_pack_only_if_it_judged_these_weights(
    lab: Lab, project: DlcProject, tmp_path: Path
) -> None:
    out = _train(project, tmp_path / "trained")
    path = tmp_path / "evaluation.json"
    told = {"snapshot_sha256": hash_file(out / "train/snapshot-002.pt"), "summary": {"error_px": 2.5, "missing": None}}
    path.write_text(json.dumps(told))
    words = PackWords(knows="squares", evaluation=path)
    assert pack_training(lab, "m1", out, words, command=SLIMMER).model.evaluation == {"error_px": 2.5}
    path.write_text(json.dumps({**told, "snapshot_sha256": "0"}))
    with pytest.raises(InputError, match="judged other weights"):
        pack_training(lab, "m2", out, words, command=SLIMMER)
    path.write_text("{}")
    with pytest.raises(InputError, match="is no evaluation"):
        pack_training(lab, "m2", out, words, command=SLIMMER)


def test_what_cannot_be_packed_is_refused_and_leaves_nothing(
    lab: Lab, project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _terminal(capsys, "model", "pack", project.folder, "m1", "--lab", lab.root, code=2)
    assert "holds no finished training" in said.err
    out = _train(project, tmp_path / "trained")
    text = (out / "train/pytorch_config.yaml").read_text()
    (out / "train/pytorch_config.yaml").write_text(text.replace("- LAC", "- HEAD"))
    words = ("--knows", "squares", "--lab", lab.root)
    said = _terminal(capsys, "model", "pack", out, "m1", *words, code=2)
    assert "other body parts than model.json: HEAD, LAC" in said.err
    (out / "train/snapshot-002.pt").unlink()
    said = _terminal(capsys, "model", "pack", out, "m1", *words, code=2)
    assert "lacks its snapshot-002.pt" in said.err
    assert not list((lab.root / "models").glob("m1*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--net-input", "300x400"), "multiples of 32"),
        (("--net-input", "wide"), "no size"),
        (("--held-out", "1.5"), "lies between 0 and 1"),
        (("--start", "nobody"), "Unknown model 'nobody'"),
        (("--out", "{project}"), "is not an empty folder"),
    ],
)
def test_trainings_that_cannot_be_are_refused(
    lab: Lab,
    project: DlcProject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    given = [word.format(project=project.folder) for word in words]
    out = () if "--out" in given else ("--out", tmp_path / "out")
    assert said in _terminal(capsys, "model", "train", project.folder, *out, "--lab", lab.root, *given, code=2).err
    assert not (tmp_path / "out").exists()


def test_without_weights_to_begin_with_nothing_is_cut_and_no_folder_is_left(
    project: DlcProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise MissingPartError("the weights to begin with are not installed")

    monkeypatch.setattr(pipelines.modelling.training, "find_weights", absent)
    recipe, silent = TrainingRecipe(epochs=2), SilentProgress()
    with pytest.raises(MissingPartError, match="the weights to begin with"):
        train_model(project, recipe, tmp_path / "out", progress=silent, command=TRAINER)
    assert not (tmp_path / "out").exists()
    start = tmp_path / "start.pt"
    start.write_text("{}")
    # Who starts with a model needs none of them.
    train_model(project, recipe, tmp_path / "out", start=start, progress=silent, command=TRAINER)


@pytest.mark.skipif(importlib.util.find_spec("deeplabcut") is not None, reason="DeepLabCut is installed")
def test_without_deeplabcut_a_training_says_what_to_install(
    project: DlcProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(MissingPartError, match=r"pip install 'labsys\[pose\]'"):
        train_model(project, TrainingRecipe(), tmp_path / "out", progress=SilentProgress())


def test_render_asks_for_what_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[RenderedSet] = []

    def note(folder: Path, what: RenderedSet, **_: object) -> DlcProject:
        asked.append(what)
        return DlcProject(folder, "task", "nobody", PARTS)

    monkeypatch.setattr(pipelines.modelling.rendered, "render_project", note)
    words = ("--labs", 2, "--people", 3, "--moments", 4, "--seed", 5, "--split", "evaluation", "--json")
    told = json.loads(_terminal(capsys, "model", "render", tmp_path / "new", *words).out)
    assert told["pictures"] == 2 * 3 * 4 * 4
    assert (asked[0].n_labs, asked[0].seed, asked[0].split.name, asked[0].held_out) == (2, 5, "EVALUATION", True)
