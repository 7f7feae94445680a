"""Before a take: do the cameras stand as they stood when they were calibrated, each behind its own name.

The board's own videos, which a calibration keeps, show what stood around it; what moved in them is gone in the median.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from calibration.drift.surroundings import compare_views
from labsys.capture.preflight.check import CheckResult, Outcome, Rehearsal
from labsys.capture.preflight.glance import Glance, Gray, make_view
from labsys.core.errors import InputError, LabsysError
from labsys.storage.lab import Lab
from labsys.storage.video import sample_gray_frames
from pipelines.calibrating.source import find_take

_PICTURES = 15
_HALF = 2  # views are half as wide and high as their camera's pictures
# A shift of 2 px is what the tags of a treadmill may drift by (spec of capture); three times as much is no noise.
_DOUBTFUL_PX, _MOVED_PX = 2.0, 6.0


class ViewCheck:
    """Every camera shows what it showed when the calibration was made, and not what another one did."""

    name = "views"

    def __init__(self, lab: Lab, calibration: str) -> None:
        self._lab, self._calibration = lab, calibration

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per camera that could be looked at, or one that says why none could be held against anything."""
        glances = rehearsal.glances
        try:
            videos = find_take(self._calibration, self._lab).videos
        except LabsysError as error:
            yield self._doubt(f"what the cameras saw at {self._calibration} cannot be looked at: {error.what}")
            return
        known = [camera for camera in glances if camera in videos]
        with ThreadPoolExecutor() as pool:
            read = dict(zip(known, pool.map(lambda camera: _try_to_read(videos[camera]), known), strict=True))
        then = {camera: view for camera, view in read.items() if not isinstance(view, str)}
        for camera, glance in glances.items():
            if camera in then and then[camera].shape == glance.view.shape:
                yield self._judge(camera, then, glances)
            else:
                found = read.get(camera, "is missing")
                why = found if isinstance(found, str) else "is of another size"
                yield self._doubt(f"{camera} cannot be held against its video at {self._calibration}, which {why}")

    def _judge(self, camera: str, then: Mapping[str, Gray], glances: Mapping[str, Glance]) -> CheckResult:
        now = glances[camera].view
        own = compare_views(then[camera], now)
        if own.is_same_place:
            return self._judge_shift(camera, _HALF * own.moved_px)
        for other, view in then.items():
            if other != camera and view.shape == now.shape and compare_views(view, now).is_same_place:
                return CheckResult(
                    self.name,
                    Outcome.FAIL,
                    f"{camera} shows what {other} showed when {self._calibration} was made",
                    "Put the cables back into their own ports, or calibrate again as the cameras are now",
                )
        if own.is_plain:
            return self._doubt(f"the view of {camera} is too plain to tell whether it was moved")
        return self._doubt(f"{camera} shows hardly anything of what it showed when {self._calibration} was made")

    def _judge_shift(self, camera: str, moved_px: float) -> CheckResult:
        if moved_px > _MOVED_PX:
            what = f"{camera} was moved: its picture lies {moved_px:.0f} px off where it lay at {self._calibration}"
            return CheckResult(self.name, Outcome.FAIL, what, "Calibrate again")
        if moved_px > _DOUBTFUL_PX:
            what = f"{camera} may have been moved: its picture lies {moved_px:.1f} px off where it lay then"
            fix = f"Check it: labsys calibrate --check --calibration {self._calibration}"
            return CheckResult(self.name, Outcome.WARN, what, fix)
        return CheckResult(self.name, Outcome.PASS, f"{camera} stands as it stood ({moved_px:.1f} px)")

    def _doubt(self, what: str) -> CheckResult:
        return CheckResult(
            self.name, Outcome.WARN, what, "Look at the wall whether all cameras stand as they stood; if not, calibrate"
        )


def _try_to_read(video: Path) -> Gray | str:
    """What a video shows, or what is wrong with it: one that is damaged keeps no other camera from its check."""
    try:
        return _read_view(video)
    except LabsysError as error:
        return error.what


def _read_view(video: Path) -> Gray:
    import cv2

    def halve(picture: Gray) -> Gray:
        height, width = picture.shape
        size = (-(-width // _HALF), -(-height // _HALF))
        return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)

    pictures = [halve(picture) for picture in sample_gray_frames(video, _PICTURES)]
    if not pictures:
        raise InputError("holds no pictures", where=str(video))
    return make_view(pictures)
