"""Model packs: models/<name>/ with weights, DeepLabCut's configuration and model.json; copying the folder shares it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labsys.core.errors import InputError
from labsys.core.pose_model import PoseModel
from labsys.core.session import check_code
from labsys.storage.atomic import hash_file, is_there, make_folder, sync_folder, sync_tree
from labsys.storage.documents import load_document, save_document
from labsys.storage.exchange.dlc import read_config_names
from labsys.storage.lab import Lab
from labsys.storage.locks import hold_lock
from labsys.storage.nouns import check_new_code, list_codes, require_known

MODEL_FILE = "model.json"
SNAPSHOT_FILE = "snapshot.pt"
CONFIG_FILE = "pytorch_config.yaml"
DETECTOR_FILE = "detector.pt"


@dataclass(frozen=True)
class StoredModel:
    """A model pack in its folder."""

    name: str
    folder: Path
    model: PoseModel

    @property
    def snapshot(self) -> Path:
        """Weights as DeepLabCut saves them."""
        return self.folder / SNAPSHOT_FILE

    @property
    def config(self) -> Path:
        """DeepLabCut's PyTorch configuration."""
        return self.folder / CONFIG_FILE

    @property
    def detector(self) -> Path | None:
        """Weights of the person detector; None where the model needs none."""
        return self.folder / DETECTOR_FILE if self.model.detector_sha256 else None

    @property
    def identity(self) -> str:
        """Name and digest, as results carry them."""
        return f"{self.name} {self.model.digest[:12]}"


def models_folder(lab: Lab) -> Path:
    """models/."""
    return lab.root / "models"


def list_models(lab: Lab) -> tuple[str, ...]:
    """Names of all model packs."""
    return list_codes(models_folder(lab), MODEL_FILE)


def load_model(lab: Lab, name: str) -> StoredModel:
    """Read a pack's description (UnknownNameError; InputError; NewerSchemaError); `verify_model` reads the rest."""
    require_known("model", name, list_models(lab), where=str(models_folder(lab)))
    return read_pack(models_folder(lab) / name)


def read_pack(folder: Path) -> StoredModel:
    """Read the description of a pack that lies anywhere (InputError; NewerSchemaError)."""
    return StoredModel(folder.name, folder, load_document(folder / MODEL_FILE, PoseModel))


def verify_model(stored: StoredModel) -> None:
    """Compare weights, detector and configuration with model.json.

    Raises:
        InputError: a file is missing or differs from its hash, or the configuration is of other body parts.
    """
    model = stored.model
    files = {stored.snapshot: model.snapshot_sha256, stored.config: model.config_sha256}
    if stored.detector is not None:
        files[stored.detector] = model.detector_sha256
    for path, expected in files.items():
        if not is_there(path):
            raise InputError(
                f"model {stored.name} lacks {path.name}", where=str(path), remedy="Copy the whole pack again"
            )
        if hash_file(path) != expected:
            raise InputError(
                f"{path.name} is not the one that model {stored.name} was packed with",
                where=str(path),
                remedy="Copy the whole pack again",
            )
    _check_body_parts(stored)


def save_model(
    lab: Lab,
    name: str,
    model: PoseModel,
    *,
    snapshot: Path,
    config: Path,
    detector: Path | None = None,
    beside: Sequence[Path] = (),
) -> StoredModel:
    """Make a model pack from its files, all at once; models are written once.

    Args:
        detector: weights of the person detector that `model` names.
        beside: other files that go with it under their own names.

    Raises:
        InputError: the name is taken, a file cannot be read, differs from its hash in `model`, or the configuration is
            of other body parts.
    """
    check_code("model", name)
    folder = models_folder(lab) / name
    with hold_lock(models_folder(lab) / ".lock", what="the folder of models", wait=True):
        check_new_code("model", name, list_models(lab))
        if is_there(folder):
            raise InputError(f"there is a model {name} already", where=str(folder), remedy="Choose another name")
        staging = models_folder(lab) / ".partial"
        shutil.rmtree(staging, ignore_errors=True)  # what a crash left
        make_folder(staging)
        try:
            files = {snapshot: SNAPSHOT_FILE, config: CONFIG_FILE}
            if detector is not None:
                files[detector] = DETECTOR_FILE
            _fill(StoredModel(name, staging, model), files, beside)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        sync_folder(models_folder(lab))
    return StoredModel(name, folder, model)


def copy_model(lab: Lab, pack: StoredModel) -> StoredModel:
    """Make a pack that lies elsewhere a model of the lab, with all that is in it (errors as `save_model`)."""
    own = {MODEL_FILE, SNAPSHOT_FILE, CONFIG_FILE, DETECTOR_FILE}
    beside = sorted(path for path in pack.folder.iterdir() if path.is_file() and path.name not in own)
    return save_model(
        lab,
        pack.name,
        pack.model,
        snapshot=pack.snapshot,
        config=pack.config,
        detector=pack.detector,
        beside=beside,
    )


def _fill(staged: StoredModel, files: Mapping[Path, str], beside: Sequence[Path]) -> None:
    for source, target in {**files, **{path: path.name for path in beside}}.items():
        try:
            shutil.copyfile(source, staged.folder / target)
        except OSError as error:
            raise InputError(f"cannot be copied: {error.strerror or error}", where=str(source)) from error
    save_document(staged.folder / MODEL_FILE, staged.model)
    verify_model(staged)
    sync_tree(staged.folder)


def _check_body_parts(stored: StoredModel) -> None:
    found = read_config_names(stored.config)
    if found != stored.model.body_parts:
        differing = sorted(set(found) ^ set(stored.model.body_parts)) or ["their order"]
        raise InputError(
            f"has other body parts than {MODEL_FILE}: {', '.join(differing[:8])}",
            where=str(stored.config),
            remedy="Pack the model again",
        )
