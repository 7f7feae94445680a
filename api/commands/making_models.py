"""`labsys model render`, `train` and `pack`: from labelled pictures to a model that a lab uses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_pairs, parse_size
from labsys.core.errors import InputError
from labsys.core.pose_model import CropMode

if TYPE_CHECKING:
    from labsys.storage.exchange.dlc_project import DlcProject
    from labsys.storage.models import StoredModel
    from pipelines.modelling.training import Trained

SeedOption = Annotated[int, typer.Option("--seed", min=0)]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Processes that work on pictures; as many as processors if not given.")
]
_PROCESSORS = os.cpu_count() or 1


class RenderSplit(StrEnum):
    """What pictures are for; those of one share no rig, light or look with those of the other."""

    TRAINING = "training"
    EVALUATION = "evaluation"


def register(app: typer.Typer) -> None:
    """Add the commands to `labsys model`."""
    app.command("render")(render)
    app.command("train")(train)
    app.command("pack")(pack)


def render(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New or empty folder.")],
    split: Annotated[RenderSplit, typer.Option("--split")] = RenderSplit.TRAINING,
    labs: Annotated[int, typer.Option("--labs", min=1, help="Labs: rig, room, light, sensors.")] = 60,
    people: Annotated[int, typer.Option("--people", min=1, help="People in each lab.")] = 4,
    cameras: Annotated[int, typer.Option("--cameras", min=2)] = 4,
    moments: Annotated[int, typer.Option("--moments", min=1, help="Pictures of each person by every camera.")] = 8,
    seed: SeedOption = 0,
    workers: WorkersOption = _PROCESSORS,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Render a DeepLabCut project of labelled pictures of runners that never lived.

    \b
    Example: labsys model render rendered --labs 60 && labsys model render unseen --split evaluation --labs 8
    """
    from labsys.core.clock import utc_now
    from pipelines.modelling.rendered import RenderedSet, render_project
    from pipelines.synthetic.pictures.draws import Split

    terminal = Terminal(None, as_json, quiet)
    what = RenderedSet(
        split=Split[split.name],
        n_labs=labs,
        n_people=people,
        n_cameras=cameras,
        n_moments=moments,
        seed=seed,
        held_out=split is RenderSplit.EVALUATION,
    )
    with terminal.progress() as progress:
        project = render_project(folder, what, date=utc_now()[:10], workers=workers, progress=progress)
    count = labs * people * cameras * moments
    terminal.give({"project": str(project.folder), "pictures": count}, f"{project.folder}: {count} labelled pictures")


def train(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="Folder with DeepLabCut's config.yaml.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="New or empty folder for the training.")],
    epochs: Annotated[int, typer.Option("--epochs", min=1)] = 30,
    net_input: Annotated[
        str | None,
        typer.Option(
            "--net-input",
            metavar="WxH",
            help="Size that pictures are brought to, multiples of 32 px; 288x384, or that of --start.",
        ),
    ] = None,
    crop: Annotated[
        CropMode | None,
        typer.Option(
            "--crop", help="follow: the network is shown a box around the runner; none: all. As --start, else follow."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2)] = 16,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", help="1e-3, or 3e-4 with --start.")] = None,
    weigh: Annotated[
        list[str] | None,
        typer.Option(
            "--weigh", metavar="LANDMARK=N", help="Its errors weigh N times as much, where it is taken for another."
        ),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of recordings kept for the evaluation, where none is marked.")
    ] = 0.05,
    start: Annotated[
        str, typer.Option("--start", metavar="PACK", help="A model of the lab, or a pack's folder, to start from.")
    ] = "",
    no_mirror: Annotated[
        bool, typer.Option("--no-mirror", help="Show no picture mirrored, with left and right landmarks exchanged.")
    ] = False,
    seed: SeedOption = 42,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, …; a GPU where there is one if not given.")] = "",
    threads: Annotated[int, typer.Option("--threads", min=0, help="Of torch; 0 as many as it takes.")] = 0,
    workers: WorkersOption = _PROCESSORS,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network on the labelled pictures of a project; whole recordings are held out for the evaluation.

    \b
    Example: labsys model train labels --out trained --start runner37 --epochs 40
    Then: labsys model evaluate trained --project labels
    """
    from labsys.storage.exchange.dlc_project import read_dlc_project
    from pipelines.modelling.mirroring import why_not_mirrored
    from pipelines.modelling.recipe import TrainingRecipe, begin_with
    from pipelines.modelling.training import TrainingMachine, train_model

    terminal = Terminal(lab, as_json, quiet)
    found = read_dlc_project(project)
    begun = _open_start(terminal, start) if start else None
    recipe = TrainingRecipe(epochs=epochs, batch_size=batch_size, mirror=not no_mirror, held_out=held_out, seed=seed)
    if begun is not None:
        recipe = begin_with(recipe, begun)
    recipe = replace(recipe, emphasis=_parse_weights(weigh or ()), crop=crop or recipe.crop)
    if learning_rate is not None:
        recipe = replace(recipe, learning_rate=learning_rate)
    if net_input is not None:
        recipe = replace(recipe, net_input_px=parse_size(net_input, "--net-input"))
    if recipe.mirror and (why := why_not_mirrored(found.body_parts)):
        terminal.say(f"no picture is shown mirrored: {why}")
    if begun is not None:
        _say_start(terminal, begun, found)
    with terminal.progress() as progress:
        trained = train_model(
            found,
            recipe,
            out,
            start=None if begun is None else begun.snapshot,
            keep_head=begun is None or begun.model.body_parts == found.body_parts,
            machine=TrainingMachine(device, threads, workers),
            progress=progress,
        )
    terminal.say(f"next: labsys model evaluate {out} --project {project}")
    terminal.give(_document(trained, out), _text(trained, out))


def pack(
    training: Annotated[Path, typer.Argument(metavar="TRAINING", help="Folder that labsys model train made.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name in the lab.")],
    knows: Annotated[
        str, typer.Option("--knows", help="In plain words: what it has seen, and so can be trusted with.")
    ] = "",
    evaluation: Annotated[
        Path | None, typer.Option("--evaluation", metavar="FILE", help="What labsys model evaluate --out wrote.")
    ] = None,
    alias: Annotated[
        list[str] | None, typer.Option("--alias", metavar="PART=LANDMARK", help="A body part's landmark; repeatable.")
    ] = None,
    license: Annotated[str, typer.Option("--license", help="Of the weights.")] = "",
    full_precision: Annotated[
        bool, typer.Option("--full-precision", help="Keep all digits of the weights: twice the size.")
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a model of the lab from a training: weights, configuration, recipe and evaluation, in a folder to share.

    \b
    Example: labsys model pack trained treadmill1 --knows "adults on our treadmill" --evaluation evaluation.json
    """
    from api.commands.modelling import contract_text
    from labsys.core.clock import utc_now
    from pipelines.modelling.pack import PackWords, pack_training

    terminal = Terminal(lab, as_json, quiet)
    aliases = parse_pairs(alias or (), "--alias", "hip_r=RGT")
    words = PackWords(knows, aliases, license, evaluation, utc_now())
    stored = pack_training(terminal.open_lab(), name, training, words, half=not full_precision)
    size_mb = sum(path.stat().st_size for path in stored.folder.iterdir()) / 1e6
    document = {"name": name, "folder": str(stored.folder), "sha256": stored.model.digest, "size_mb": round(size_mb, 2)}
    terminal.give(document, f"{contract_text(stored)}\n{stored.folder}: {size_mb:.1f} MB")


def _parse_weights(texts: Sequence[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for name, text in parse_pairs(texts, "--weigh", "LMFE=4").items():
        try:
            weights[name] = float(text)
        except ValueError:
            raise InputError(f"'{text}' is no number", where="--weigh", remedy="Write --weigh LMFE=4") from None
    return weights


def _open_start(terminal: Terminal, start: str) -> StoredModel:
    """A pack by its folder, or by its name in the lab; its files are checked."""
    from labsys.storage.models import MODEL_FILE, load_model, read_pack, verify_model

    folder = Path(start)
    if (folder / MODEL_FILE).is_file():
        stored = read_pack(folder)
    elif folder.is_dir():
        raise InputError("is no model pack", where=start, remedy="Name a pack's folder, or a model of the lab")
    else:
        stored = load_model(terminal.open_lab(), start)
    verify_model(stored)
    return stored


def _say_start(terminal: Terminal, begun: StoredModel, project: DlcProject) -> None:
    if begun.model.body_parts != project.body_parts:
        terminal.say(f"model {begun.name} has other body parts: its landmarks are learnt anew, the rest is kept")
    if begun.model.knows:
        terminal.say(f"starting from model {begun.identity}, which knows: {begun.model.knows}")


def _document(trained: Trained, out: Path) -> dict[str, Any]:
    return {
        "training": str(out),
        "pictures": trained.pictures,
        "held_out_pictures": trained.held_out_pictures,
        "held_out": list(trained.held_out),
        "loss": trained.loss,
        "versions": dict(trained.versions),
    }


def _text(trained: Trained, out: Path) -> str:
    return (
        f"{out}: trained on {trained.pictures} pictures; {len(trained.held_out)} folders of pictures held out "
        f"for the evaluation; last loss {trained.loss:.4g}"
    )
