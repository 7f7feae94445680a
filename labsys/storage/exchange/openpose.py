"""OpenPose JSON: a folder per camera, a file per frame, any number of people per file in no lasting order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.skeleton import LandmarkSet
from labsys.storage.exchange.tracks import CameraTrack


@dataclass(frozen=True, eq=False)
class OpenPosePeople:
    """All people of one camera, and which of them is the subject.

    Attributes:
        landmark_set: named by the caller or recognised from the number of points and the geometry.
        first_frame: number of the first file.
        xy_px: (T, P, K, 2) px, people in the order of the files, NaN where missing. confidence: (T, P, K).
        subject: (T,) index of the subject among the people, -1 where the subject was not found.
        n_frames_with_several: frames with more than one person.
        n_identity_switches: times that the subject's index changed from one frame to the next in which it was found.
    """

    landmark_set: LandmarkSet
    first_frame: int
    xy_px: FloatArray
    confidence: FloatArray
    subject: IntArray
    n_frames_with_several: int
    n_identity_switches: int

    def subject_track(self) -> CameraTrack:
        """The subject alone."""
        raise NotImplementedError


def read_openpose_folder(folder: Path, *, landmark_set: LandmarkSet | None = None) -> OpenPosePeople:
    """Read a folder of OpenPose JSON and choose the subject by continuity.

    Raises:
        InputError: no files, a missing frame (named), a corrupt file, an unknown number of points, an order of points
            that the geometry cannot decide, nobody in any frame, or two people equally present.
    """
    raise NotImplementedError
