"""A network that finds landmarks in pictures: what it gives, what it was made from, and what it knows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from labsys.core.errors import InputError
from labsys.core.names import check_unique

# How far apart a detector may look: so divide the blocks of frames that are shown together, and the parts that
# interrupted work resumes at.
DETECT_EVERY_FRAMES = (4, 8, 16, 32, 64, 128, 256)


class CropMode(StrEnum):
    """What of a frame the network is shown: all of it, or a box that follows the subject."""

    NONE = "none"
    FOLLOW = "follow"


@dataclass(frozen=True)
class PoseModel:
    """A model pack's own description (model.json); its name is that of its folder.

    Attributes:
        body_parts: K names as the network gives them, in its order.
        snapshot_sha256, config_sha256: of the weights and of DeepLabCut's PyTorch configuration.
        aliases: body part -> landmark; a body part without one is a landmark of that very name.
        net_input_px: (width, height) that every picture is brought to; None shows the network frames as they are.
        crop: how the model was trained to be shown a frame; FOLLOW needs `net_input_px`.
        knows: in plain words, what the model has seen and so can be trusted with.
        detector_sha256: of the weights of a person detector that says where the box is; "" where the model needs none.
        detect_every: frames of a camera from one look of the detector to the next; between, the box follows the points.
        recipe: how to make it again, key -> text. evaluation: name with unit -> value.
        license, created_at: "" where unknown.
    """

    body_parts: tuple[str, ...]
    snapshot_sha256: str
    config_sha256: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    net_input_px: tuple[int, int] | None = None
    crop: CropMode = CropMode.NONE
    detector_sha256: str = ""
    detect_every: int = 0
    knows: str = ""
    recipe: Mapping[str, str] = field(default_factory=dict)
    evaluation: Mapping[str, float] = field(default_factory=dict)
    license: str = ""
    created_at: str = ""

    def __post_init__(self) -> None:
        if not self.body_parts:
            raise InputError("the model has no body parts")
        check_unique("body parts", self.body_parts)
        strangers = sorted(set(self.aliases) - set(self.body_parts))
        if strangers:
            raise InputError(f"aliases of body parts that the model lacks: {', '.join(strangers)}")
        check_unique("landmarks after renaming", self.landmarks)
        if self.net_input_px is not None and min(self.net_input_px) < 1:
            raise InputError(f"network input of {self.net_input_px[0]}x{self.net_input_px[1]} px")
        if self.crop is CropMode.FOLLOW and self.net_input_px is None:
            raise InputError("a model that is shown a box needs the size that boxes are brought to (net_input_px)")
        if self.detector_sha256:
            self._check_detector()

    def _check_detector(self) -> None:
        if self.crop is not CropMode.FOLLOW:
            raise InputError("a model with a detector is shown boxes (crop: follow)")
        if self.detect_every not in DETECT_EVERY_FRAMES:
            valid = ", ".join(map(str, DETECT_EVERY_FRAMES))
            raise InputError(f"a detector that looks at every {self.detect_every}th frame; can be: {valid}")

    @property
    def landmarks(self) -> tuple[str, ...]:
        """K landmark names, in the order of `body_parts`."""
        return tuple(self.aliases.get(name, name) for name in self.body_parts)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what the model finds; words about it leave it as it is."""
        deciding: dict[str, object] = {
            "snapshot": self.snapshot_sha256,
            "config": self.config_sha256,
            "body_parts": self.body_parts,
            "landmarks": self.landmarks,
            "net_input_px": self.net_input_px,
            "crop": self.crop,
        }
        if self.detector_sha256:
            deciding |= {"detector": self.detector_sha256, "detect_every": self.detect_every}
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
