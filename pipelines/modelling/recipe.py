"""All that decides what a training makes of labelled pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.pose_model import CropMode
from labsys.storage.models import StoredModel

_RATE_FROM_MODEL = 3e-4  # a third of that without a model: more would undo what it knows
_DIVISOR = 32  # of the network's picture: other sizes would be padded


@dataclass(frozen=True)
class TrainingRecipe:
    """How a model is trained.

    Attributes:
        backbone: timm's name of the backbone; its first still_stages stages do not learn. head_channels: between the
            backbone and the landmarks.
        net_input_px: (width, height) that boxes are brought to. crop: how the model will be shown frames.
        epochs, batch_size, learning_rate: one cosine from the rate to zero, after one epoch of warming up.
        heatmap_px: radius of DeepLabCut's targets (its `pos_dist_thresh`; 1.5 standard deviations).
        turn_deg, scale, shift_px, noise: how pictures are varied. mirror: also mirrored, with sides exchanged.
        emphasis: landmark -> how much its errors weigh beside the others' (1), for one that another is taken for.
        held_out: share of the captures (of the pictures, where they belong to none) that is not trained on.
    """

    backbone: str = "tf_efficientnet_lite0"
    still_stages: int = 2
    head_channels: int = 64
    net_input_px: tuple[int, int] = (288, 384)
    crop: CropMode = CropMode.FOLLOW
    epochs: int = 30
    batch_size: int = 16
    learning_rate: float = 1e-3
    heatmap_px: int = 10
    turn_deg: float = 10.0
    scale: tuple[float, float] = (0.85, 1.15)
    shift_px: int = 16
    noise: float = 4.0
    mirror: bool = True
    held_out: float = 0.05
    seed: int = 42
    emphasis: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(size < _DIVISOR or size % _DIVISOR for size in self.net_input_px):
            width, height = self.net_input_px
            raise InputError(f"a network input of {width}x{height} px; both must be multiples of {_DIVISOR}")
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError("training needs an epoch and batches of two pictures or more")
        if not 0.0 < self.held_out < 1.0:
            raise InputError(f"a held-out share of {self.held_out:g}; it lies between 0 and 1")
        for name, weight in self.emphasis.items():
            if not 0.0 < weight < math.inf:
                raise InputError(f"{name} weighs {weight:g}; a weight is a number above 0")

    def weights(self, landmarks: Sequence[str]) -> tuple[float, ...]:
        """How much each landmark's errors weigh (UnknownNameError: emphasis on one that is not among them)."""
        for name in self.emphasis:
            if name not in landmarks:
                raise UnknownNameError("landmark", name, valid=landmarks)
        return tuple(self.emphasis.get(name, 1.0) for name in landmarks)


def begin_with(recipe: TrainingRecipe, stored: StoredModel) -> TrainingRecipe:
    """A recipe for a training that starts from a model: its network, its input, its crop, and a lower rate.

    Raises:
        InputError: the pack does not say what network it is, as those that labsys made do.
    """
    told = stored.model.recipe
    if not {"backbone", "head_channels"} <= told.keys():
        raise InputError(
            f"model {stored.name} does not say what network it is, so nothing can start from it",
            where=str(stored.folder),
            remedy="Start from a model that labsys model pack made, or without --start",
        )
    return replace(
        recipe,
        backbone=told["backbone"],
        head_channels=int(told["head_channels"]),
        net_input_px=stored.model.net_input_px or recipe.net_input_px,
        crop=stored.model.crop,
        learning_rate=_RATE_FROM_MODEL,
    )
