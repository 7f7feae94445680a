"""The classifier's features of a picture beside a beginning network's, in a process of its own.

torch is slow to import.

Prints the typical feature, the largest difference where no edge is seen, and a refusal.
"""

from __future__ import annotations

import sys

import timm
import torch

from labsys.core.errors import InputError
from pipelines.modelling.beginning import BACKBONE, begin, find_weights
from pipelines.pose.backbones import register_backbones

MEAN, SD = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def main() -> None:
    """Compare the finest branch of both, as each is shown pictures."""
    weights = torch.load(find_weights(), map_location="cpu", weights_only=True)
    network = register_backbones()(BACKBONE)
    network.eval()
    begin(network, weights)
    classifier = timm.create_model(BACKBONE).eval()
    classifier.load_state_dict(dict(zip(classifier.state_dict(), weights.values(), strict=True)))
    torch.manual_seed(0)
    picture = torch.randint(0, 256, (1, 3, 128, 128)).float()
    with torch.no_grad():
        ours = network.model((picture / 255.0 - MEAN) / SD)[0]
        x = classifier.bn1(classifier.conv_stem((picture - 127.0) / 128.0))
        theirs = classifier.blocks[1](classifier.blocks[0](x))
    apart = (ours - theirs).abs()
    sys.stdout.write(f"{theirs.abs().mean():g}\n{apart[..., 4:-4, 4:-4].max():g}\n")
    try:
        begin(network, dict(list(weights.items())[6:]))
    except InputError as error:
        sys.stdout.write(f"{error}\n")


if __name__ == "__main__":
    main()
