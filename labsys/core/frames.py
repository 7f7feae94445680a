"""The frames. A transform is `T_to_from`, a point carries its frame in its name (`points_lab`)."""

from __future__ import annotations

from enum import StrEnum


class Frame(StrEnum):
    """Where coordinates are expressed.

    IMAGE: pixels, origin at the centre of the top-left pixel, x right, y down.
    CAMERA: OpenCV's, metres, x right, y down, z forward along the optical axis.
    LAB: ISB's and OpenSim's, metres, right-handed; X forward (against belt travel), Y up (against gravity), Z to the
        runner's right, origin on the belt.
    SEGMENT: anatomical axes of one body segment; x forward, y up, z to the runner's right in neutral stance.
    """

    IMAGE = "image"
    CAMERA = "camera"
    LAB = "lab"
    SEGMENT = "segment"
