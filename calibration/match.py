"""Whether cameras and videos are those of a calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labsys.core.arrays import check_unique
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError, UnknownNameError


def match_cameras(calibration_names: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Find the calibrated camera of each name, ignoring case, '-', '_' and spaces; camera 0 may be called cam0.

    Returns:
        name -> name in the calibration, in the order of `names`.

    Raises:
        UnknownNameError: a name that no calibrated camera answers to.
        InputError: two names answer to one camera, or two calibrated cameras to one spelling.
    """
    calibrated = tuple(calibration_names)
    by_spelling = {_spelling(n): n for n in calibrated}
    check_unique(
        "camera names of the calibration (ignoring case, '-', '_' and spaces)", tuple(map(_spelling, calibrated))
    )
    matched: dict[str, str] = {}
    for name in names:
        if _spelling(name) not in by_spelling:
            raise UnknownNameError("camera", name, valid=calibrated, where="not in the calibration")
        matched[name] = by_spelling[_spelling(name)]
    check_unique("calibrated cameras asked for", tuple(matched.values()))
    return matched


def check_sizes(
    rig: CameraRig, sizes: Mapping[str, tuple[int, int]], accepted: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    """Compare the size of each video with that of its calibration.

    Args:
        sizes: camera -> (width, height) of its video, px; names as in `match_cameras`.
        accepted: camera -> (width, height) that somebody accepted although the calibration says otherwise.

    Returns:
        The sizes that differ and were accepted, by the names of `sizes`.

    Raises:
        UnknownNameError: a camera that the calibration lacks.
        InputError: a size that differs and was not accepted; names the camera, both sizes and the remedy.
    """
    calibrated = {c.name: c.intrinsics.size_px for c in rig.cameras}
    names = match_cameras(calibrated, sizes)
    accepted_by_camera = {match_cameras(calibrated, [n])[n]: tuple(s) for n, s in accepted.items()}
    differing: dict[str, tuple[int, int]] = {}
    for name, size in sizes.items():
        if tuple(size) == calibrated[names[name]]:
            continue
        if accepted_by_camera.get(names[name]) != tuple(size):
            raise InputError(_wrong_size(name, size, calibrated[names[name]]), remedy=_size_remedy(name, size))
        differing[name] = size
    return differing


def _spelling(name: str) -> str:
    plain = name.casefold().replace("-", "").replace("_", "").replace(" ", "")
    return f"cam{plain}" if plain.isdigit() else plain


def _wrong_size(name: str, size: tuple[int, int], calibrated: tuple[int, int]) -> str:
    return f"video of camera {name} is {size[0]}x{size[1]}, its calibration is for {calibrated[0]}x{calibrated[1]}"


def _size_remedy(name: str, size: tuple[int, int]) -> str:
    return (
        f"Give the calibration of this mode, or, if the video was only cropped at its right or bottom edge, "
        f"accept it with --accept-size {name}={size[0]}x{size[1]}"
    )
