"""Writing Caliscope's camera_array.toml: one table per camera under `cameras`, world to camera, metres.

Caliscope tells cameras apart by whole numbers, which it takes from the tables' keys, and reads rotations as Rodrigues
vectors. It passes over keys that it does not know, so the camera's own name is kept beside its number.
Layout: the loader in github.com/mprib/caliscope, caliscope/persistence.py. Reading is `formats.anipose`'s.
"""

from __future__ import annotations

import re
from typing import Any

import toml

from labsys.core.cameras import Camera, CameraRig, LensModel
from labsys.core.errors import InputError


def format_caliscope(rig: CameraRig) -> str:
    """The rig as text of a camera_array.toml.

    Raises:
        InputError: a lens with skew, which Caliscope does not know; names the camera.
    """
    numbers = number_cameras(rig.names)
    tables = {str(numbers[c.name]): _camera_table(c, numbers[c.name]) for c in rig.cameras}
    return str(toml.dumps({"cameras": tables}))


def number_cameras(names: tuple[str, ...]) -> dict[str, int]:
    """Camera name -> its number: the one at the end of its name where all have one of their own, else its place."""
    found = [re.search(r"(\d{1,9})$", name) for name in names]
    own = [int(match[1]) for match in found if match is not None]
    if len(set(own)) == len(names):
        return dict(zip(names, own, strict=True))
    return {name: i for i, name in enumerate(names)}


def _camera_table(camera: Camera, number: int) -> dict[str, Any]:
    lens = camera.intrinsics
    if lens.matrix[0, 1] != 0.0:
        raise InputError(f"camera {camera.name} has skew, which Caliscope's format cannot hold")
    return {
        "cam_id": number,
        "name": camera.name,
        "size": [int(s) for s in lens.size_px],
        "rotation_count": 0,
        "ignore": False,
        "fisheye": lens.model is LensModel.FISHEYE,
        "matrix": lens.matrix.tolist(),
        "distortions": lens.distortion.tolist(),
        "rotation": camera.T_cam_lab.as_rotvec().tolist(),
        "translation": camera.T_cam_lab.translation_m.tolist(),
    }
