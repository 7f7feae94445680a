"""The model that labsys ships: it knows rendered runners only, and is what the demonstration is tracked with."""

from __future__ import annotations

from pathlib import Path

from labsys.core.errors import MissingPartError
from labsys.storage.atomic import is_there
from labsys.storage.lab import Lab
from labsys.storage.models import MODEL_FILE, StoredModel, list_models, read_pack, save_model

SHIPPED = Path(__file__).parent / "shipped" / "rendered-runner37"


def load_shipped_model() -> StoredModel:
    """The pack as it was shipped (MissingPartError: this installation lacks it)."""
    if not is_there(SHIPPED / MODEL_FILE):
        raise MissingPartError(
            "the model that labsys ships is missing",
            where=str(SHIPPED),
            remedy="Install labsys again, or show the job without pictures: labsys demo --landmarks",
        )
    return read_pack(SHIPPED)


def install_shipped_model(lab: Lab) -> str:
    """Put the shipped model among a lab's models, unless it is there; returns its name there."""
    shipped = load_shipped_model()
    if shipped.name not in list_models(lab):
        save_model(lab, shipped.name, shipped.model, snapshot=shipped.snapshot, config=shipped.config)
    return shipped.name
