"""Heads in the videos of a trial, from what a run of it found in the cameras and in space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from calibration.projection import project
from labsys.biomechanics.points import is_seen
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Camera
from labsys.core.landmarks import Landmarks3D
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.results import LANDMARKS3D_FILE, read_landmarks3d
from labsys.storage.runs import load_run, run_file
from labsys.storage.takes import load_take
from pipelines.playback.heads import HEAD_REACH_M, NECK_REACH_M, Heads, Sights, place_heads, size_of_metre
from pipelines.playback.sources import CameraSource
from pipelines.trial_inputs import load_calibration


def find_heads(lab: Lab, name: TrialName, run: str, sources: Sequence[CameraSource]) -> dict[str, Heads]:
    """Camera -> where the head is in each frame of its video.

    Raises:
        InputError: the run's landmarks or calibration cannot be read.
    """
    landmarks = read_landmarks3d(run_file(lab, name, run, LANDMARKS3D_FILE))
    calibrated = replace(load_take(lab, name), calibration=load_run(lab, name, run).provenance.calibration)
    calibration = load_calibration(lab, calibrated)
    rig = {} if calibration is None else {camera.name: camera for camera in calibration.rig.cameras}
    return {s.camera: heads_in(_by_name(s), s.times_s, rig.get(s.camera), landmarks) for s in sources}


def heads_in(
    own_px: Mapping[str, FloatArray], times_s: FloatArray, camera: Camera | None, landmarks: Landmarks3D
) -> Heads:
    """Where the head is in each frame of a camera.

    Args:
        own_px: landmark -> (N, 2) px where it was seen in this camera. times_s: (N,) of its frames, on the landmarks'
            clock. camera: None where it is not calibrated; then only what it saw itself counts.
    """
    sights, px_per_m = [Sights(own_px)], np.full(times_s.size, np.nan)
    if camera is not None and landmarks.times_s.size > 1:
        in_space = _at(landmarks, times_s)
        wanted = {name: xyz for name, xyz in in_space.items() if name in HEAD_REACH_M or name in NECK_REACH_M}
        sights.append(Sights({name: project(camera, xyz_m) for name, xyz_m in wanted.items()}))
        px_per_m = _filled(_metre_at(camera, in_space))
    px_per_m = np.where(np.isfinite(px_per_m), px_per_m, size_of_metre(own_px))
    return place_heads(sights, px_per_m, times_s)


def _by_name(source: CameraSource) -> dict[str, FloatArray]:
    return {name: source.xy_px[:, k] for k, name in enumerate(source.landmarks)}


def _at(landmarks: Landmarks3D, times_s: FloatArray) -> dict[str, FloatArray]:
    """Landmark -> (N, 3) m in LAB at these moments, on the line through measured neighbours; NaN elsewhere.

    The cameras' first and last frames may lie a little outside the landmarks' clock: a frame of it is carried on.
    """
    clock_s = landmarks.times_s
    measured = np.where(landmarks.interpolated[..., None], np.nan, landmarks.xyz_m)
    after = np.clip(np.searchsorted(clock_s, times_s), 1, clock_s.size - 1)
    share = (times_s - clock_s[after - 1]) / (clock_s[after] - clock_s[after - 1])
    between = measured[after - 1] + share[:, None, None] * (measured[after] - measured[after - 1])
    on_first, on_next = (np.isclose(share, at, atol=1e-6) for at in (0.0, 1.0))
    between[on_first], between[on_next] = measured[after - 1][on_first], measured[after][on_next]
    between[(share < -1.0) | (share > 2.0)] = np.nan
    return {name: between[:, k] for k, name in enumerate(landmarks.landmarks)}


def _metre_at(camera: Camera, points_m: Mapping[str, FloatArray]) -> FloatArray:
    """(N,) px that a metre across the line of sight takes where the runner is; NaN where nothing is known."""
    all_m = np.stack(list(points_m.values()), axis=1)
    known = is_seen(all_m)
    middle_m = np.where(known[..., None], all_m, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)[:, None]
    middle_m[~known.any(axis=1)] = np.nan
    across_m = camera.T_cam_lab.inverse().rotation[:, 0]
    step_m = 0.1
    ends = [project(camera, middle_m + sign * step_m / 2 * across_m) for sign in (-1.0, 1.0)]
    return np.asarray(np.linalg.norm(ends[1] - ends[0], axis=1) / step_m)


def _filled(values: FloatArray) -> FloatArray:
    """Where a value is unknown, the last known one, or the next."""
    known = np.flatnonzero(np.isfinite(values))
    if not known.size:
        return values
    return values[known[np.clip(np.searchsorted(known, np.arange(values.size), side="right") - 1, 0, None)]]
