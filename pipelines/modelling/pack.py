"""`labsys model pack`: what a training left becomes one folder that can be shared and is named in every result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory

from labsys.core.errors import InputError
from labsys.core.pose_model import PoseModel
from labsys.storage.atomic import hash_file, is_there, read_json, write_text_atomic
from labsys.storage.exchange.dlc import read_config_elsewhere
from labsys.storage.lab import Lab
from labsys.storage.models import CONFIG_FILE, SNAPSHOT_FILE, StoredModel, save_model
from pipelines.modelling.seen import SEEN_FILE
from pipelines.modelling.slimmer import SLIMMER
from pipelines.modelling.training import Trained, load_trained
from pipelines.pose.process import follow_process

RENDERED = "rendered"  # ProjectNotes.made["kind"] of projects without a camera
_KNOWS_RENDERED = "rendered runners only (pictures of the synthetic lab); it never saw a real person"
_KNOWS_RENDERED_LAST = "rendered runners (pictures of the synthetic lab), trained on last"


@dataclass(frozen=True)
class PackWords:
    """What people say about a model, beside what its training says.

    Attributes:
        knows: what it has seen and so can be trusted with; may be "" only for models of rendered runners.
        aliases: body part -> landmark. license: of the weights. evaluation: evaluation.json of this very training.
        created_at: ISO-8601.
    """

    knows: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    license: str = ""
    evaluation: Path | None = None
    created_at: str = ""


def pack_training(
    lab: Lab, name: str, folder: Path, words: PackWords, *, half: bool = True, command: Sequence[str] = SLIMMER
) -> StoredModel:
    """Make a model pack of the lab from a training's folder.

    Args:
        half: kernels in half precision, half the size.

    Raises:
        InputError: no finished training, a missing snapshot, no words on what it knows, an evaluation of other
            weights, a name that is taken. MissingPartError: torch is not installed.
    """
    trained = load_trained(folder)
    for part in (trained.snapshot, trained.config):
        if not is_there(folder / part):
            raise InputError(f"the training lacks its {Path(part).name}", where=str(folder / part))
    knows = describe_knowledge(trained, words.knows)
    evaluation = _read_evaluation(words.evaluation, hash_file(folder / trained.snapshot))
    with TemporaryDirectory(prefix="labsys-pack-") as made:
        snapshot, config = Path(made) / SNAPSHOT_FILE, Path(made) / CONFIG_FILE
        precision = "half" if half else "full"
        for _ in follow_process(
            [*command, str(folder / trained.snapshot), str(snapshot), precision], Path(made) / "slimmer.log"
        ):
            pass
        write_text_atomic(config, read_config_elsewhere(folder / trained.config))
        model = PoseModel(
            body_parts=trained.body_parts,
            snapshot_sha256=hash_file(snapshot),
            config_sha256=hash_file(config),
            aliases=words.aliases,
            net_input_px=trained.recipe.net_input_px,
            crop=trained.recipe.crop,
            knows=knows,
            recipe=describe_recipe(trained, precision),
            evaluation=evaluation,
            license=words.license,
            created_at=words.created_at,
        )
        seen = folder / SEEN_FILE
        beside = (seen,) if is_there(seen) else ()
        return save_model(lab, name, model, snapshot=snapshot, config=config, beside=beside)


def describe_knowledge(trained: Trained, said: str) -> str:
    """What a model knows: rendered runners are always owned up to, and what the model that it started from knew.

    Raises:
        InputError: nobody says what pictures of real people show.
    """
    if trained.made.get("kind") == RENDERED:
        rendered = _say_rendered(trained)
        return f"{rendered}; {said}" if said else rendered
    if not said:
        raise InputError(
            "nobody said what the model knows",
            remedy='Say it in words: --knows "adults on our treadmill, four cameras, shorts"',
        )
    return said


def _say_rendered(trained: Trained) -> str:
    if not trained.started_from or trained.start_knows.startswith(_KNOWS_RENDERED):
        return _KNOWS_RENDERED
    if trained.start_knows:
        return f"{_KNOWS_RENDERED_LAST}; the model that it started from knew: {trained.start_knows}"
    return f"{_KNOWS_RENDERED_LAST}; what the model that it started from had seen is not known"


def describe_recipe(trained: Trained, precision: str) -> dict[str, str]:
    """All that makes the model again, as text."""
    recipe = {f.name: _as_text(getattr(trained.recipe, f.name)) for f in fields(trained.recipe)}
    made = {f"project.{key}": value for key, value in trained.made.items()}
    told = {
        "pictures": str(trained.pictures),
        "started_from": trained.started_from,
        "weights": f"{precision} precision",
        "versions": ", ".join(f"{name} {version}" for name, version in trained.versions.items()),
    }
    return {**made, **recipe, **{key: text for key, text in told.items() if text}}


def _as_text(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={weight:g}" for key, weight in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read_evaluation(path: Path | None, snapshot_sha256: str) -> dict[str, float]:
    """The summary of evaluation.json (InputError: it is none, or it judged other weights)."""
    if path is None:
        return {}
    document = read_json(path)
    summary = document.get("summary")
    if not isinstance(summary, dict):
        raise InputError("is no evaluation", where=str(path), remedy="Write one with labsys model evaluate --out")
    if document.get("snapshot_sha256") != snapshot_sha256:
        raise InputError("judged other weights than these", where=str(path), remedy="Evaluate this training")
    return {str(key): float(value) for key, value in summary.items() if value is not None}
