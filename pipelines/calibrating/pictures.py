"""The pictures behind a report's worst views, read from the videos again."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from calibration.board.clock import set_clock
from calibration.board.detect import CameraCorners
from calibration.board.detector import Gray
from calibration.calibrate import CalibrationOutcome
from calibration.pages.report_page import worst_views
from labsys.core.arrays import FloatArray
from labsys.storage.video import read_gray_frames


def read_worst_pictures(
    outcome: CalibrationOutcome,
    videos: Mapping[str, Path],
    seen: tuple[CameraCorners, ...],
    times_s: Mapping[str, FloatArray] | None,
) -> dict[tuple[int, int], Gray]:
    """(camera, instant) -> the picture of each of the report's worst views; a video is read up to the last of them.

    Args:
        seen: in the order of the outcome's cameras, with frame numbers as times.
        times_s: camera -> time of every frame; None where frame i of every video is one instant.
    """
    clocked = seen if times_s is None else set_clock(seen, times_s)
    wanted: dict[int, dict[int, int]] = {}
    for view in worst_views(outcome):
        frame = view.instant
        if times_s is not None:
            moment = outcome.corners.times_s[view.instant]
            frame = int(np.argmin(np.abs(clocked[view.camera].times_s - moment)))
        wanted.setdefault(view.camera, {})[frame] = view.instant
    pictures: dict[tuple[int, int], Gray] = {}
    for camera, instants in wanted.items():
        frames = islice(read_gray_frames(videos[outcome.corners.cameras[camera]]), max(instants) + 1)
        for frame, picture in enumerate(frames):
            if frame in instants:
                pictures[camera, instants[frame]] = picture
    return pictures
