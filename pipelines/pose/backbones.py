"""Backbones that DeepLabCut does not bring. Used in a network's own process only, before a model is built.

A program of its own that opens a pack calls `register_backbones` first.
"""

from __future__ import annotations

from functools import cache
from typing import Any

TIMM_BRANCHES = "TimmBranches"
_BRANCHES = (1, 2, 3, 4)  # of timm's stages: those at 1/4, 1/8, 1/16 and 1/32 of the picture
STRIDE = 4


@cache
def register_backbones() -> Any:
    """Make labsys's backbone known to DeepLabCut, once; returns its class.

    Raises:
        ImportError: DeepLabCut is not installed.
    """
    import timm
    import torch
    from deeplabcut.pose_estimation_pytorch.models.backbones.base import BACKBONES, BaseBackbone
    from torch.nn.functional import interpolate

    class TimmBranches(BaseBackbone):  # type: ignore[misc]
        """A classifier of timm whose four last resolutions are laid over each other at the finest.

        Args:
            model_name: timm's name of it. still_stages: so many of its first stages, the stem before them too, do not
                learn: what edges and textures look like is known, and they cost most of the time.
            options: of DeepLabCut's own (freeze_bn_weights, freeze_bn_stats).
        """

        def __init__(self, model_name: str, *, still_stages: int = 0, pretrained: bool = False, **options: Any) -> None:
            if pretrained:
                raise ValueError("weights come from a snapshot; nothing is fetched")
            super().__init__(stride=STRIDE, **options)
            network: Any = timm.create_model(model_name, features_only=True, out_indices=_BRANCHES)
            self.model = network
            if still_stages:
                for part in (network.conv_stem, network.bn1, *network.blocks[:still_stages]):
                    part.requires_grad_(False)

        def forward(self, x: Any) -> Any:
            """Pictures (N, 3, H, W) to (N, channels, H/4, W/4)."""
            finest, *coarser = self.branches(x)
            return torch.cat([finest, *(self.enlarge(b, finest) for b in coarser)], dim=1)

        def branches(self, x: Any) -> list[Any]:
            """Each resolution by itself, the finest (1/4 of the picture) first."""
            return list(self.model(x))

        @staticmethod
        def enlarge(coarse: Any, finest: Any) -> Any:
            """A layer laid over the finest."""
            return interpolate(coarse, size=finest.shape[-2:], mode="bilinear")

    BACKBONES.register_module(TimmBranches)
    return TimmBranches


def count_channels(model_name: str) -> int:
    """Channels of TimmBranches of a timm network."""
    import timm

    network: Any = timm.create_model(model_name, features_only=True, out_indices=_BRANCHES)
    return sum(map(int, network.feature_info.channels()))
