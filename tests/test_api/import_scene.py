"""A standing person seen by four cameras, as files that can be imported, and what a refusal looks like."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from api.cli import main
from calibration.formats import write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics
from labsys.core.landmarks import Landmarks3D
from labsys.core.rigid import RigidTransform
from labsys.core.session import TrialKind
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.trial import make_trial
from tests.test_api.cli_answer import Answer

N_FRAMES = 40
SIZE = (640, 480)
CAMERAS = ("cam_0", "cam_1", "cam_2", "cam_3")


def _looking_at_the_middle(angle_rad: float) -> RigidTransform:
    """A camera on a ring of 4 m at 1.4 m height, level, looking at the vertical axis of LAB."""
    centre = np.array([4.0 * np.cos(angle_rad), 1.4, 4.0 * np.sin(angle_rad)])
    forward = -np.array([np.cos(angle_rad), 0.0, np.sin(angle_rad)])
    down = np.array([0.0, -1.0, 0.0])
    R = np.stack([np.cross(down, forward), down, forward])
    return RigidTransform(R, -R @ centre)


def make_standing_rig(names: tuple[str, ...] = CAMERAS, turned_rad: float = 0.0) -> CameraRig:
    matrix = np.array([[500.0, 0, SIZE[0] / 2], [0, 500.0, SIZE[1] / 2], [0, 0, 1]])
    lens = Intrinsics(matrix, np.zeros(5), SIZE)
    angles = np.array([0.4, 1.7, 3.6, 5.1]) + turned_rad
    return CameraRig(tuple(Camera(n, lens, _looking_at_the_middle(a)) for n, a in zip(names, angles, strict=True)))


@dataclass(frozen=True)
class Scene:
    """A standing person seen by four cameras: 2D landmarks, videos and calibration as files."""

    folder: Path
    landmarks: Landmarks3D

    @property
    def calibration(self) -> Path:
        return self.folder / "calibration.toml"

    def landmarks2d(self, **other: Path) -> list[str]:
        """Words of --landmarks2d; the videos' and files' names spell cameras without the underscore."""
        files = {f"cam{i}": self.folder / f"cam{i}.h5" for i in range(4)} | other
        return ["--landmarks2d", *(f"{camera}={path}" for camera, path in files.items())]

    def videos(self, **other: Path) -> list[str]:
        files = {f"cam{i}": self.folder / f"cam{i}.mp4" for i in range(4)} | other
        return ["--videos", *(f"{camera}={path}" for camera, path in files.items())]


def make_scene(folder: Path) -> Scene:
    """Write the files of the scene into a folder."""
    still = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=N_FRAMES / 100, rate_hz=100.0)
    landmarks = still.landmarks
    xy_px = project_rig(make_standing_rig(), landmarks.xyz_m)[:N_FRAMES]
    for i in range(4):
        track = CameraTrack(landmarks.landmarks, xy_px[:, :, i], np.full(xy_px.shape[:2], 0.95))
        write_dlc_h5(folder / f"cam{i}.h5", track)
        write_video(folder / f"cam{i}.mp4", n_frames=N_FRAMES)
    write_anipose(folder / "calibration.toml", Calibration(make_standing_rig(), "test"))
    return Scene(folder, landmarks)


def write_video(path: Path, *, n_frames: int, size: tuple[int, int] = SIZE) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 100.0, size)
    for i in range(n_frames):
        writer.write(np.full((size[1], size[0], 3), i, dtype=np.uint8))
    writer.release()


def static(trial: str = "static1") -> list[str]:
    return ["import", "--subject", "S01", "--session", "2026-11-22", "--trial", trial, "--kind", "static"]


def refused(answer: Answer, *names: str, code: int = 2) -> None:
    """One message, no traceback, nothing on stdout, and the message names the things."""
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.count("error: ") == 1
    assert "Traceback" not in answer.err
    for name in names:
        assert name in answer.err, answer.err


def nothing_written(lab: Path) -> None:
    assert not list((lab / "subjects").rglob("*"))
    assert not list((lab / "calibrations").rglob("*"))


def project_track(scene: Scene, camera: int, n_frames: int = N_FRAMES) -> CameraTrack:
    xy_px = project_rig(make_standing_rig(), scene.landmarks.xyz_m)[:n_frames, :, camera]
    return CameraTrack(scene.landmarks.landmarks, xy_px, np.full(xy_px.shape[:2], 0.95))


def make_empty_lab(folder: Path) -> Path:
    """A lab without anything in it."""
    with pytest.raises(SystemExit) as left:
        main(["init", str(folder), "--quiet"])
    assert left.value.code == 0
    return folder
