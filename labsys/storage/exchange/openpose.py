"""OpenPose JSON: a folder per camera, a file per frame, any number of people per file in no lasting order."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.errors import InputError
from labsys.core.skeleton import BODY_25, BODY_25B, COCO_17, HALPE_26, LandmarkSet
from labsys.storage.atomic import read_json
from labsys.storage.exchange.people import choose_subject, count_switches
from labsys.storage.exchange.tracks import CameraTrack, clean_landmarks
from labsys.storage.nouns import list_folder

_SETS_BY_COUNT = {17: (COCO_17,), 25: (BODY_25, BODY_25B), 26: (HALPE_26,)}
_NUMBER = re.compile(r"(\d+)\D*$")
# Under the wrong names, bones join points that are no neighbours; under the right ones they are clearly shorter.
_MIN_RATIO = 1.15
_MIN_AGREEMENT = 0.8
_MIN_BONES = 8


@dataclass(frozen=True, eq=False)
class OpenPosePeople:
    """All people of one camera, and which of them is the subject.

    Attributes:
        landmark_set: named by the caller, or recognised from the number of points and the geometry.
        first_frame: number of the first file.
        xy_px: (T, P, K, 2) px, people in the order of the files, NaN where missing. confidence: (T, P, K) in 0..1.
        subject: (T,) index of the subject among the people, -1 where the subject was not found.
    """

    landmark_set: LandmarkSet
    first_frame: int
    xy_px: FloatArray
    confidence: FloatArray
    subject: IntArray

    @property
    def n_frames_with_several(self) -> int:
        """Frames with more than one person."""
        return int(((self.confidence > 0).any(axis=-1).sum(axis=1) > 1).sum())

    @property
    def n_frames_without_subject(self) -> int:
        """Frames in which the subject was not found."""
        return int((self.subject < 0).sum())

    @property
    def n_identity_switches(self) -> int:
        """How often the subject changed place among the people, from one frame in which it was found to the next."""
        return count_switches(self.subject)

    def subject_track(self) -> CameraTrack:
        """The subject alone."""
        frames = np.arange(self.subject.size)
        found = self.subject >= 0
        return CameraTrack(
            landmarks=self.landmark_set.landmarks,
            xy_px=np.where(found[:, None, None], self.xy_px[frames, self.subject], np.nan),
            confidence=np.where(found[:, None], self.confidence[frames, self.subject], 0.0),
            first_frame=self.first_frame,
            source=f"OpenPose JSON, {self.landmark_set.name}",
        )


def read_openpose_folder(folder: Path, *, landmark_set: LandmarkSet | None = None) -> OpenPosePeople:
    """Read a folder of OpenPose JSON and choose the subject by continuity.

    Raises:
        InputError: no files, a missing frame (named), a corrupt file, an unknown number of points, an order of points
            that the geometry cannot decide, nobody in any frame, or two people equally present.
    """
    paths = _list_frames(folder)
    frames = [_read_people(path) for path in paths.values()]
    # The clearest person of each frame: others may be cut by the edge of the picture.
    clearest = [people[np.argmax(people[..., 2].sum(axis=1))] for people in frames if len(people)]
    if not clearest:
        raise InputError("nobody is in the picture in any frame", where=str(folder))
    if len({pose.shape for pose in clearest}) > 1:
        raise InputError("holds frames with different numbers of points per person", where=str(folder))
    points = np.stack(clearest)
    chosen = _check_set(landmark_set, points, folder) if landmark_set else _recognise_set(points, folder)
    stacked = _stack(frames, len(chosen.landmarks))
    xy_px, confidence = clean_landmarks(stacked[..., :2], stacked[..., 2], where=str(folder))
    subject = choose_subject(xy_px, confidence, where=str(folder))
    return OpenPosePeople(chosen, next(iter(paths)), xy_px, confidence, subject)


def _list_frames(folder: Path) -> dict[int, Path]:
    """Files by frame number, in order, without a gap."""
    by_number: dict[int, Path] = {}
    for path in list_folder(folder):
        if path.suffix.lower() != ".json":
            continue
        match = _NUMBER.search(path.stem.removesuffix("_keypoints"))
        if match is None:
            raise InputError("has no frame number in its name", where=str(path))
        number = int(match.group(1))
        if number in by_number:
            raise InputError(f"and {by_number[number].name} are both frame {number}", where=str(path))
        by_number[number] = path
    if not by_number:
        raise InputError("holds no OpenPose JSON", where=str(folder))
    numbers = sorted(by_number)
    missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers)) if _is_dense(numbers) else [numbers[0] + 1]
    if missing:
        raise InputError(
            f"frame {missing[0]} is missing (frames {numbers[0]} to {numbers[-1]}, {len(numbers)} files)",
            where=str(folder),
            remedy="Copy the whole folder, or run OpenPose again",
        )
    return {number: by_number[number] for number in numbers}


def _is_dense(numbers: list[int]) -> bool:
    # A date or a serial in one name must not make a range of a billion frames.
    return numbers[-1] - numbers[0] < 10 * len(numbers) + 1000


def _read_people(path: Path) -> FloatArray:
    """(P, K, 3) x, y, likelihood of everybody in one frame."""
    people = read_json(path).get("people")
    if not isinstance(people, list):
        raise InputError("is no OpenPose JSON (no list 'people')", where=str(path))
    poses = [_read_pose(person, path) for person in people]
    if len({pose.shape for pose in poses}) > 1:
        raise InputError("has people with different numbers of points", where=str(path))
    return np.stack(poses) if poses else np.empty((0, 0, 3))


def _read_pose(person: Any, path: Path) -> FloatArray:
    numbers = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
    if not isinstance(numbers, list) or len(numbers) % 3 or not numbers:
        raise InputError("has a person without 'pose_keypoints_2d' in threes", where=str(path))
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise InputError("has a coordinate that is no number", where=str(path))
    return np.array(numbers, dtype=np.float64).reshape(-1, 3)


def _stack(frames: list[FloatArray], n_points: int) -> FloatArray:
    stacked = np.full((len(frames), max(len(people) for people in frames), n_points, 3), np.nan)
    for i, people in enumerate(frames):
        if len(people):
            stacked[i, : len(people)] = people
    return stacked


def _check_set(landmark_set: LandmarkSet, points: FloatArray, folder: Path) -> LandmarkSet:
    if points.shape[1] != len(landmark_set.landmarks):
        raise InputError(
            f"holds {points.shape[1]} points per person, {landmark_set.name} has {len(landmark_set.landmarks)}",
            where=str(folder),
        )
    return landmark_set


def _recognise_set(points: FloatArray, folder: Path) -> LandmarkSet:
    candidates = _SETS_BY_COUNT.get(points.shape[1], ())
    if not candidates:
        known = ", ".join(f"{n} ({' or '.join(s.name for s in sets)})" for n, sets in _SETS_BY_COUNT.items())
        raise InputError(f"holds {points.shape[1]} points per person; known: {known}", where=str(folder))
    if len(candidates) == 1:
        return candidates[0]
    first, second = (_relative_bone_length(points, s) for s in candidates)
    usable = np.isfinite(first) & np.isfinite(second)
    ratio = second[usable] / first[usable]
    for chosen, advantage in ((candidates[0], ratio), (candidates[1], 1.0 / ratio)):
        if ratio.size and np.median(advantage) >= _MIN_RATIO and (advantage > 1.0).mean() >= _MIN_AGREEMENT:
            return chosen
    raise InputError(
        f"the order of the {points.shape[1]} points could be {candidates[0].name} or {candidates[1].name}",
        where=str(folder),
        remedy="Name the landmark set",
    )


def _relative_bone_length(points: FloatArray, landmark_set: LandmarkSet) -> FloatArray:
    """Mean length of the bones in body diagonals, one per pose, (N,); NaN where too few points were found.

    points: (N, K, 3) x, y, likelihood.
    """
    index = {name: i for i, name in enumerate(landmark_set.landmarks)}
    ends = np.array([[index[a], index[b]] for a, b in landmark_set.bones])
    seen = points[..., 2] > 0
    xy = np.where(seen[..., None], points[..., :2], np.nan)
    lengths = np.linalg.norm(xy[:, ends[:, 0]] - xy[:, ends[:, 1]], axis=-1)
    known = np.isfinite(lengths)
    enough = known.sum(axis=1) >= _MIN_BONES
    result = np.full(len(points), np.nan)
    if enough.any():
        span = np.nanmax(xy[enough], axis=1) - np.nanmin(xy[enough], axis=1)
        result[enough] = np.nanmean(lengths[enough], axis=1) / np.maximum(np.linalg.norm(span, axis=-1), 1.0)
    return result
