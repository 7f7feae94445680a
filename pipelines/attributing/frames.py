"""The video frames behind an attribution's worst frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from labsys.core.session import TrialName
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import Take, load_take
from labsys.storage.video import read_gray_frames
from pipelines.attributing.evidence import TrialEvidence
from pipelines.attributing.picture import WorstFrame
from pipelines.pose2d import find_landmarks2d
from pipelines.retime import read_clocks
from pipelines.retiming.stamps import TIMESTAMPS, read_stamps


def read_worst_frames(
    lab: Lab, evidence: TrialEvidence, worst: Sequence[WorstFrame]
) -> dict[tuple[str, int], NDArray[np.uint8]]:
    """(camera, frame) -> its picture, for cameras with a video; each video is read once, up to the last frame wanted.

    Raises:
        InputError: a video that cannot be read.
    """
    take = load_take(lab, evidence.trial)
    wanted: dict[str, dict[int, int]] = {}
    for view in worst:
        if view.camera in take.cameras:
            number = _frame_number(lab, evidence, take, view)
            wanted.setdefault(view.camera, {})[number] = view.frame
    pictures: dict[tuple[str, int], NDArray[np.uint8]] = {}
    for camera, numbers in wanted.items():
        path = take_folder(lab, evidence.trial) / take.cameras[camera].path
        for number, picture in enumerate(islice(read_gray_frames(path), max(numbers) + 1)):
            if number in numbers:
                pictures[camera, numbers[number]] = picture
    return pictures


def _frame_number(lab: Lab, evidence: TrialEvidence, take: Take, view: WorstFrame) -> int:
    """Place of the frame in its video; of free-running cameras, of the frame taken nearest to that moment."""
    name: TrialName = evidence.trial
    tracks = find_landmarks2d(lab, name, take, run=evidence.run)
    stamps = take.files.get(TIMESTAMPS)
    if stamps is None:
        return view.frame + tracks[view.camera].first_frame
    noted = read_stamps(take_folder(lab, name) / stamps.path, tracks)
    clocks = read_clocks(tracks, rate_hz=take.rate_hz, stamps=noted)
    moment_s = evidence.audit.starts_at_s + view.time_s
    return int(np.argmin(np.abs(clocks.clocks[view.camera].times_s - moment_s)))
