"""A network that only looks, and learns no more, made lighter: the same answers but for rounding, in less time.

Used in a network's own process only. On a processor most of the time goes into memory that is read and written, not
into sums: normalisation is folded into the weights before it, channels lie next to each other, layers that look further
to one side than to the other get a zero on the short side instead of a copy of their whole input with a border on the
long one, and heads that look at one pixel at a time are asked before coarse layers are blown up to the size of the
finest, not after (both are linear, so that the order is free).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any


def lighten(model: Any) -> None:
    """Change a loaded DeepLabCut model in place; it must not be trained afterwards.

    Any model gets its channels laid next to each other; labsys's own backbone the rest, too.
    """
    import torch

    if hasattr(model.backbone, "branches"):
        _fold_normalisation(model.backbone)
        _pad_within(model.backbone)
        heads = {name: _pointwise(head) for name, head in model.heads.items()}
        if model.neck is None and all(heads.values()):
            model.forward = _heads_first(model.backbone, heads)
    model.to(memory_format=torch.channels_last)


def _fold_normalisation(backbone: Any) -> None:
    """In timm's blocks a convolution is registered right before its normalisation, which holds the activation."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for block in backbone.modules():
        for (name, layer), (after, norm) in pairwise(list(block.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(block, name, fuse_conv_bn_eval(layer, norm))
                setattr(block, after, getattr(norm, "act", nn.Identity()))
    for layer in backbone.modules():
        if isinstance(layer, (nn.ReLU, nn.ReLU6)):
            layer.inplace = True


def _pad_within(backbone: Any) -> None:
    """TensorFlow's border of layers that halve a picture (its sizes even): on the right and below one more than before.

    With a row and a column of zeros before their weights, both sides are alike, and the layer pads while it sums.
    """
    from timm.layers.conv2d_same import Conv2dSame

    for layer in backbone.modules():
        if isinstance(layer, Conv2dSame) and _halves(layer) and layer.weight.device.type == "cpu":
            layer.forward = _padding_within(layer)


def _halves(layer: Any) -> bool:
    rows, columns = layer.kernel_size
    return bool(rows == columns and rows % 2 and layer.stride == (2, 2) and layer.dilation == (1, 1))


def _padding_within(layer: Any) -> Callable[[Any], Any]:
    """What the layer does to pictures (N, C, H, W), without a copy of them where their sizes are even."""
    import torch
    from torch.nn import functional

    weight = functional.pad(layer.weight.detach(), (1, 0, 1, 0)).contiguous(memory_format=torch.channels_last)
    before, reach, bias, groups = layer.forward, layer.kernel_size[0] // 2, layer.bias, layer.groups

    def look(pictures: Any) -> Any:
        if pictures.shape[-2] % 2 or pictures.shape[-1] % 2:
            return before(pictures)
        return functional.conv2d(pictures, weight, bias, 2, reach, groups=groups)

    return look


def _pointwise(head: Any) -> dict[str, tuple[Any, Any]]:
    """Both layers of each answer of a head, where they look at one pixel at a time; else nothing."""
    answers = {name: getattr(head, f"{name}_head", None) for name in ("heatmap", "locref")}
    layers = {name: list(part.deconv_layers) for name, part in answers.items() if part is not None}
    if all(map(_two_pointwise, layers.values())) and all(
        type(part.final_conv).__name__ == "Identity" for part in answers.values() if part is not None
    ):
        return {name: (first, second) for name, (first, _, second) in layers.items()}
    return {}


def _two_pointwise(layers: Sequence[Any]) -> bool:
    kinds = [type(layer).__name__ for layer in layers]
    pixels = [(k.kernel_size, k.stride) for k in layers if hasattr(k, "kernel_size")]
    return kinds == ["ConvTranspose2d", "ReLU", "ConvTranspose2d"] and pixels == [((1, 1), (1, 1))] * 2


def _heads_first(backbone: Any, heads: dict[str, dict[str, tuple[Any, Any]]]) -> Callable[[Any], Any]:
    """What the model does to pictures (N, 3, H, W), the heads' first layer asked per branch."""
    import torch
    from torch.nn import functional

    pairs = [pair for head in heads.values() for pair in head.values()]
    # All answers side by side: (answers' channels, branches' channels, 1, 1).
    weight = torch.cat([first.weight for first, _ in pairs], dim=1).transpose(0, 1)
    bias = torch.cat([first.bias for first, _ in pairs])
    second = [layer.weight.transpose(0, 1).contiguous() for _, layer in pairs]
    biases, sizes = [layer.bias for _, layer in pairs], [first.out_channels for first, _ in pairs]

    def look(pictures: Any) -> dict[str, dict[str, Any]]:
        branches = backbone.branches(pictures)
        parts: Any = torch.split(weight, [b.shape[1] for b in branches], dim=1)
        seen = functional.conv2d(branches[0], parts[0].contiguous(), bias)
        for branch, part in zip(branches[1:], parts[1:], strict=True):
            seen += backbone.enlarge(functional.conv2d(branch, part.contiguous()), branches[0])
        halves: Any = torch.split(functional.relu_(seen), sizes, dim=1)
        answers = iter([functional.conv2d(*each) for each in zip(halves, second, biases, strict=True)])
        return {name: {answer: next(answers) for answer in head} for name, head in heads.items()}

    return look
