"""Finding people in a frame with torchvision's detector, whose weights are a file that labsys has checked."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError

# COCO's number of people, and how sure the detector must be: DeepLabCut's own choice.
_PERSON = 1
_SURE = 0.6


class PersonDetector:
    """Faster R-CNN on MobileNetV3 (torchvision), kept to people."""

    def __init__(self, model: Any, torch: Any, device: str) -> None:
        self._model, self._torch, self._device = model, torch, device

    def find(self, frame: NDArray[np.uint8]) -> FloatArray:
        """People in a (height, width, 3) RGB frame, (N, 5): left, top, right, bottom px and score."""
        picture = self._torch.from_numpy(np.ascontiguousarray(frame)).to(self._device).permute(2, 0, 1).float() / 255.0
        (found,) = self._model([picture])
        people = found["labels"] == _PERSON
        boxes, scores = found["boxes"][people], found["scores"][people]
        return np.concatenate([boxes.cpu().numpy(), scores.cpu().numpy()[:, None]], axis=1).astype(np.float64)


def load_detector(weights: Path, torch: Any, device: str) -> PersonDetector:
    """Load a detector from its weights (InputError: the file holds no such weights)."""
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn

    model = fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None, box_score_thresh=_SURE)
    try:
        # Weights alone are read: a file from elsewhere must not be able to run code.
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except (RuntimeError, KeyError, TypeError, AttributeError, OSError, EOFError, pickle.UnpicklingError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"holds no weights of fasterrcnn_mobilenet_v3_large_fpn: {first}",
            where=str(weights),
            remedy="Fetch the file again, and add the model anew",
        ) from error
    return PersonDetector(model.eval().to(device), torch, device)
