"""What a machine-vision camera is set to besides size and rate."""

from __future__ import annotations

from dataclasses import dataclass

Node = tuple[str, bool | int | float | str, bool]


@dataclass(frozen=True)
class NodeSetup:
    """GenICam nodes in the order of writing: name, value, whether the camera must have it; quality of its JPEG."""

    nodes: tuple[Node, ...] = ()
    jpeg_quality: int = 92
