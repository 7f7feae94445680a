"""One moment through several cameras: pictures of one name in the folders of a capture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.storage.exchange.dlc_project import DlcProject
from pipelines.modelling.project import Capture, load_calibration
from pipelines.pose.stills import read_picture


@dataclass(frozen=True, eq=False)
class PictureTable:
    """Values of one folder's pictures. Attributes: pictures: N names. values: (N, K, D), NaN where there are none."""

    pictures: tuple[str, ...]
    values: FloatArray


@dataclass(frozen=True, eq=False)
class Moments:
    """Values of a capture's moments. Attributes: pictures: M names. values: (M, K, C, D) in the rig's order."""

    rig: CameraRig
    pictures: tuple[str, ...]
    values: FloatArray


def capture_rig(project: DlcProject, name: str, capture: Capture) -> CameraRig:
    """The cameras of a capture that have pictures.

    Raises:
        InputError: no calibration, one that lacks a camera, or pictures of another size than it is for.
    """
    rig = load_calibration(project, name).rig.select(tuple(capture.cameras))
    for camera in rig.cameras:
        folder = project.pictures(capture.cameras[camera.name])
        picture = next((p for p in sorted(folder.glob("*")) if p.suffix in (".png", ".jpg")), None)
        if picture is None:
            continue
        height, width = read_picture(picture).shape[:2]
        if (width, height) != camera.intrinsics.size_px:
            calibrated = "x".join(map(str, camera.intrinsics.size_px))
            raise InputError(
                f"is {width}x{height} px; the calibration of camera {camera.name} is for {calibrated}",
                where=str(picture),
            )
    return rig


def gather_moments(rig: CameraRig, capture: Capture, tables: Mapping[str, PictureTable]) -> Moments:
    """Put the tables of a capture's folders side by side; a camera without a picture of a moment has NaN there."""
    groups = [capture.cameras[name] for name in rig.names]
    pictures = tuple(sorted({p for group in groups if group in tables for p in tables[group].pictures}))
    shape = next((tables[group].values.shape[1:] for group in groups if group in tables), (0, 0))
    values = np.full((len(pictures), shape[0], len(groups), shape[1]), np.nan)
    for c, group in enumerate(groups):
        if group in tables:
            values[rows_of(pictures, tables[group].pictures), :, c] = tables[group].values
    return Moments(rig, pictures, values)


def rows_of(pictures: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Numbers of the moments that pictures show."""
    number = {picture: row for row, picture in enumerate(pictures)}
    return [number[picture] for picture in wanted]
