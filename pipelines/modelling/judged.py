"""What can be evaluated: a model pack, or what a training left before it was packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labsys.core.errors import InputError
from labsys.core.pose_model import CropMode
from labsys.storage.atomic import hash_file, is_there
from labsys.storage.models import MODEL_FILE, StoredModel, read_pack, verify_model
from pipelines.modelling.pack import RENDERED, describe_knowledge
from pipelines.modelling.seen import load_seen
from pipelines.modelling.training import TRAINED_FILE, load_trained


@dataclass(frozen=True)
class JudgedModel:
    """Weights with all that is known about them.

    Attributes:
        name: what people call it. body_parts: K names. landmarks: K names in labsys.
        knows: in words. seen: as `load_seen` gives it.
        detector, detect_every: as in the pack.
    """

    name: str
    snapshot: Path
    config: Path
    body_parts: tuple[str, ...]
    landmarks: tuple[str, ...]
    net_input_px: tuple[int, int] | None
    crop: CropMode
    knows: str
    snapshot_sha256: str
    seen: frozenset[str] | None
    detector: Path | None = None
    detect_every: int = 0


def open_judged(folder: Path) -> JudgedModel:
    """A pack's folder, or a training's (InputError: it is neither, a file is missing, or the pack is damaged)."""
    if is_there(folder / MODEL_FILE):
        return judge_pack(read_pack(folder))
    if not is_there(folder / TRAINED_FILE):
        raise InputError(
            "is no model pack and no finished training",
            where=str(folder),
            remedy="Name a model of the lab, a pack's folder, or what labsys model train made",
        )
    return _judge_training(folder)


def judge_pack(stored: StoredModel) -> JudgedModel:
    """A model pack (InputError: it is damaged)."""
    verify_model(stored)
    model = stored.model
    return JudgedModel(
        name=stored.identity,
        snapshot=stored.snapshot,
        config=stored.config,
        body_parts=model.body_parts,
        landmarks=model.landmarks,
        net_input_px=model.net_input_px,
        crop=model.crop,
        knows=model.knows,
        snapshot_sha256=model.snapshot_sha256,
        seen=load_seen(stored.folder),
        detector=stored.detector,
        detect_every=model.detect_every,
    )


def _judge_training(folder: Path) -> JudgedModel:
    trained = load_trained(folder)
    for part in (trained.snapshot, trained.config):
        if not is_there(folder / part):
            raise InputError(f"the training lacks its {Path(part).name}", where=str(folder / part))
    rendered = trained.made.get("kind") == RENDERED
    return JudgedModel(
        name=folder.name,
        snapshot=folder / trained.snapshot,
        config=folder / trained.config,
        body_parts=trained.body_parts,
        landmarks=trained.body_parts,
        net_input_px=trained.recipe.net_input_px,
        crop=trained.recipe.crop,
        knows=describe_knowledge(trained, "") if rendered else "",
        snapshot_sha256=hash_file(folder / trained.snapshot),
        seen=load_seen(folder),
    )
