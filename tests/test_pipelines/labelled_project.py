"""A small DeepLabCut project for tests: grey pictures with coloured squares where the labels are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from calibration.formats import write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration, CameraRig
from labsys.storage.exchange.dlc_project import DlcProject, Labels, create_dlc_project, write_labels
from pipelines.modelling.project import (
    Capture,
    ProjectNotes,
    calibration_file,
    group_name,
    picture_name,
    save_notes,
)
from pipelines.synthetic.rigs import make_rig

PARTS = ("RGT", "LGT", "RLFE", "LLFE", "RLM", "LLM", "RAC", "LAC")
# As in stand_in_network.py.
COLOURS = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255), (255, 128, 0), (0, 128, 255),
)  # fmt: skip
RIG = make_rig(3, size_px=(320, 180))


def make_project(
    folder: Path, *, captures: int = 3, moments: int = 2, made: dict[str, str] | None = None
) -> DlcProject:
    """Every capture through three cameras, every moment another place of eight points; all labelled."""
    project = DlcProject(folder, "squares", "tester", PARTS, (("RGT", "RLFE"), ("LGT", "LLFE")))
    create_dlc_project(project, {}, date="2026-01-01")
    (folder / "calibrations").mkdir()
    noted = {}
    for number in range(captures):
        name = f"take{number}"
        xyz_m = truth_m(number, moments)
        for i, camera in enumerate(RIG.names):
            write_group(project, group_name(name, camera), project_rig(RIG, xyz_m)[:, :, i], RIG, number)
        write_anipose(calibration_file(project, name), Calibration(RIG, "test"))
        cameras = {camera: group_name(name, camera) for camera in RIG.names}
        frames = {camera: tuple(range(moments)) for camera in RIG.names}
        noted[name] = Capture(cameras, frames, f"S0{number}/2026-01-01/run1", calibrated=True)
    save_notes(project, ProjectNotes(noted, made or {}))
    return project


def truth_m(capture: int, moments: int) -> np.ndarray:
    """(moments, 8, 3) m in LAB, about a body's size around the middle of the rig."""
    rng = np.random.default_rng(capture)
    return rng.uniform([-0.3, -0.3, 0.4], [0.3, 0.3, 1.5], (moments, len(PARTS), 3))


def write_group(project: DlcProject, group: str, xy_px: np.ndarray, rig: CameraRig, seed: int) -> None:
    """One camera's pictures with squares of three px, and labels of those that lie inside."""
    folder = project.pictures(group)
    folder.mkdir(parents=True)
    size_px = rig.cameras[0].intrinsics.size_px
    names = tuple(picture_name(moment) for moment in range(len(xy_px)))
    rng = np.random.default_rng([seed, *group.encode()])
    for name, points in zip(names, xy_px, strict=True):
        picture = rng.integers(0, 12, (size_px[1], size_px[0], 3), dtype=np.uint8)
        for (x, y), colour in zip(np.rint(points).astype(int), COLOURS, strict=True):
            picture[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = colour
        cv2.imwrite(str(folder / name), picture[..., ::-1])
    inside = ((xy_px >= 1) & (xy_px <= np.asarray(size_px) - 2)).all(axis=-1, keepdims=True)
    write_labels(project, group, Labels(names, np.where(inside, xy_px, np.nan)))
