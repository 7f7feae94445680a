"""Into LAB: what the axes of another system's world mean, and the rotation that follows."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.cameras import Camera, CameraRig
from labsys.core.errors import InputError
from labsys.core.rigid import RigidTransform

_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
_EXAMPLE = "Write for example --world-axes forward=+x,up=+z, or up=+z alone when forward is unknown"


@dataclass(frozen=True, eq=False)
class WorldAxes:
    """How a calibration's world lies in the room.

    Attributes:
        rotation: (3, 3), takes directions in that world to LAB (X forward, Y up, Z right).
        heading_known: False when only up is known; X is then an arbitrary horizontal direction.
        text: as it was written, for the record.
    """

    rotation: FloatArray
    heading_known: bool
    text: str

    @classmethod
    def parse(cls, text: str) -> WorldAxes:
        """From `forward=+x,up=+z`; `right=` may be named too; without forward and right the heading is unknown.

        Raises:
            InputError: unknown words, an axis named twice, or axes that only a mirrored world could have.
        """
        axes = _parse_axes(text)
        if "up" not in axes:
            raise InputError(f"world axes '{text}' do not say which way is up", remedy=_EXAMPLE)
        up = axes["up"]
        heading_known = "forward" in axes or "right" in axes
        forward = axes.get("forward")
        if forward is None:
            forward = np.cross(up, axes["right"]) if "right" in axes else _any_horizontal(up)
        return cls(_rotation_to_lab(forward, up, axes.get("right"), text), heading_known, text)

    @property
    def T_lab_world(self) -> RigidTransform:
        """The rotation as a transform; the origin stays where the calibration put it."""
        return RigidTransform(self.rotation, np.zeros(3))


def place_in_lab(rig: CameraRig, T_lab_world: RigidTransform) -> CameraRig:
    """Express in LAB a rig whose `T_cam_lab` still means camera from its own world."""
    T_world_lab = T_lab_world.inverse()
    return CameraRig(tuple(Camera(c.name, c.intrinsics, c.T_cam_lab @ T_world_lab) for c in rig.cameras))


def _parse_axes(text: str) -> dict[str, FloatArray]:
    axes: dict[str, FloatArray] = {}
    for part in text.replace(" ", "").lower().split(","):
        match = re.fullmatch(r"(forward|up|right)=([+-]?)([xyz])", part)
        if match is None:
            raise InputError(f"'{part}' in world axes '{text}' is not understood", remedy=_EXAMPLE)
        word, sign, axis = match.groups()
        if word in axes:
            raise InputError(f"world axes '{text}' give {word} twice", remedy=_EXAMPLE)
        axes[word] = np.array(_AXES[axis]) * (-1.0 if sign == "-" else 1.0)
    return axes


def _any_horizontal(up: FloatArray) -> FloatArray:
    """The world's own x where that is horizontal, else its y."""
    x, y = np.array(_AXES["x"]), np.array(_AXES["y"])
    return x if abs(up @ x) < 0.5 else y


def _rotation_to_lab(forward: FloatArray, up: FloatArray, right: FloatArray | None, text: str) -> FloatArray:
    if abs(forward @ up) > 0.5 or not np.any(forward):
        raise InputError(f"world axes '{text}' use one axis twice", remedy=_EXAMPLE)
    expected_right = np.cross(forward, up)
    if right is not None and right @ expected_right < 0.5:
        raise InputError(
            f"world axes '{text}' do not form a right-handed world",
            remedy="A mirrored world is refused; check the sign of one axis, or leave 'right' out",
        )
    return np.stack([forward, up, expected_right])
