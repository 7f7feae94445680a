"""`labsys model train`: boxes cut from a project's labelled pictures, and a network trained on them in its process."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from labsys.core.errors import InputError, LabsysError
from labsys.core.progress import Progress
from labsys.storage.atomic import hash_file, is_there, make_folder
from labsys.storage.documents import load_document, save_document
from labsys.storage.exchange.dlc_project import DlcProject, list_groups
from labsys.storage.models import MODEL_FILE, read_pack
from pipelines.dlc import require_deeplabcut
from pipelines.modelling.beginning import find_weights
from pipelines.modelling.cuts import CutSet, cut_pictures
from pipelines.modelling.job import TrainingJob
from pipelines.modelling.mirroring import mirror_pairs, why_not_mirrored
from pipelines.modelling.project import load_notes
from pipelines.modelling.recipe import TrainingRecipe
from pipelines.modelling.seen import SEEN_FILE, note_seen, seen_before
from pipelines.pose.job import Kind
from pipelines.pose.process import follow_process

TRAINER = (sys.executable, "-P", "-m", "pipelines.modelling.trainer")
TRAINED_FILE = "trained.json"
_TRAINED_WITH = ("labsys", "deeplabcut", "torch", "timm")
_EPOCH = re.compile(r"^Epoch (\d+)/(\d+) .*train loss ([0-9.]+)")


@dataclass(frozen=True)
class Trained:
    """What a training left behind, trained.json in its folder.

    Attributes:
        snapshot, config: file names in that folder. body_parts: K names.
        pictures, held_out_pictures: how many; held_out: groups of pictures that it never saw.
        started_from: SHA-256 of the weights that it started from; "" where no model was named.
        start_knows: what that model knew, in words; "" where nobody said.
        loss: of the last epoch. versions: of what trained it. made: how the project was made, as its notes say.
    """

    snapshot: str
    config: str
    body_parts: tuple[str, ...]
    recipe: TrainingRecipe
    pictures: int
    held_out_pictures: int
    held_out: tuple[str, ...]
    started_from: str = ""
    start_knows: str = ""
    loss: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingMachine:
    """What a training may use: none of it is meant to decide what comes out.

    Attributes:
        device: "" a GPU where torch sees one. threads: of torch, 0 as many as it takes. workers: processes that cut.
    """

    device: str = ""
    threads: int = 0
    workers: int = 1


def train_model(
    project: DlcProject,
    recipe: TrainingRecipe,
    folder: Path,
    *,
    start: Path | None = None,
    keep_head: bool = True,
    machine: TrainingMachine | None = None,
    progress: Progress,
    command: Sequence[str] = TRAINER,
) -> Trained:
    """Train on all labelled pictures of a project but those held out.

    Pictures are mirrored only where every landmark's partner is known (see `mirroring`), whatever the recipe says.

    Args:
        folder: new folder for pictures, snapshots, pictures.txt (what it saw) and trained.json.
        start: snapshot of a pack to begin with; what that has seen counts as seen.
        keep_head: its landmarks are the project's.

    Raises:
        MissingPartError: DeepLabCut is not installed, or without `start` the weights to begin with. InputError: the
            folder holds something, too few labels, or weight for no landmark of the project. LabsysError: the
            process died.
    """
    require_deeplabcut()
    if start is None:
        find_weights()  # before pictures are cut for minutes, and before there is a folder to clear away
    recipe.weights(project.body_parts)  # before pictures are cut: names that are not there
    if why_not_mirrored(project.body_parts):
        recipe = replace(recipe, mirror=False)
    machine = machine or TrainingMachine()
    if is_there(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not an empty folder", where=str(folder), remedy="Name a new folder")
    make_folder(folder)
    cuts = cut_pictures(project, recipe, folder / "data", workers=machine.workers, progress=progress)
    trained_on = [g for g in list_groups(project) if g not in cuts.held_out]
    before = seen_before(None if start is None else start.parent)
    note_seen(project, trained_on, folder / SEEN_FILE, before=before)
    make_folder(folder / "train")
    job = TrainingJob(
        project_config=str(project.config),
        data=str(cuts.folder),
        out=str(folder / "train"),
        recipe=recipe,
        symmetries=mirror_pairs(project.body_parts),
        start="" if start is None else str(start),
        keep_head=keep_head,
        device=machine.device,
        threads=machine.threads,
    )
    loss = _run(job, folder, progress, command)
    return _keep(project, recipe, folder, cuts, start, loss)


def load_trained(folder: Path) -> Trained:
    """Read trained.json (InputError: there is no finished training)."""
    if not is_there(folder / TRAINED_FILE):
        raise InputError("holds no finished training", where=str(folder), remedy="Run labsys model train")
    return load_document(folder / TRAINED_FILE, Trained)


def _run(job: TrainingJob, folder: Path, progress: Progress, command: Sequence[str]) -> float:
    """Follow the trainer, an epoch a step; returns the last loss."""
    save_document(folder / "job.json", job)
    progress.stage("train", job.recipe.epochs)
    loss = float("nan")
    with (folder / "trainer.log").open("w", encoding="utf-8") as log:
        for kind, values in follow_process([*command, str(folder / "job.json")], folder / "trainer-errors.log"):
            if kind is not Kind.NOTE:
                continue
            log.write(values["text"] + "\n")
            log.flush()
            if found := _EPOCH.match(values["text"]):
                loss = float(found.group(3))
                progress.advance()
    return loss


def _keep(
    project: DlcProject, recipe: TrainingRecipe, folder: Path, cuts: CutSet, start: Path | None, loss: float
) -> Trained:
    snapshots = sorted((folder / "train").glob("snapshot-*.pt"), key=lambda p: int(p.stem.rsplit("-", 1)[1]))
    if not snapshots:
        raise LabsysError("the training left no snapshot", where=str(folder / "train"))
    trained = Trained(
        snapshot=f"train/{snapshots[-1].name}",
        config="train/pytorch_config.yaml",
        body_parts=project.body_parts,
        recipe=recipe,
        pictures=cuts.n_train,
        held_out_pictures=cuts.n_test,
        held_out=cuts.held_out,
        started_from="" if start is None else hash_file(start),
        start_knows=_knowledge(start),
        loss=loss,
        versions={name: metadata.version(name) for name in _TRAINED_WITH if find_spec(name)},
        made=load_notes(project).made,
    )
    save_document(folder / TRAINED_FILE, trained)
    return trained


def _knowledge(start: Path | None) -> str:
    """What the pack of these weights knows, in words; "" where they are of no pack."""
    if start is None or not is_there(start.parent / MODEL_FILE):
        return ""
    return read_pack(start.parent).model.knows
