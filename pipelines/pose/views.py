"""What of a frame the network is shown, and the way back from its pixels to the frame's."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray

# A box follows points at least this likely; networks trained on few frames give low likelihoods all over.
_SURE = 0.2
# With fewer such points (a share of all) the subject is lost, and the whole frame is looked at again.
_LOST_SHARE = 0.3
# Space around the points on each side, a share of the larger of their width and height.
_MARGIN = 0.2
_SMALLEST_PX = 32.0
# Space around a detected person on each side, a share of the larger of their width and height: networks learn on boxes
# wider than the person, and limbs move until the detector looks again.
_PERSON_MARGIN = 0.1
# A detected person is the one followed so far where the box that they would be shown in and the followed one share this
# much (intersection over union).
_SAME_OVERLAP = 0.2


@dataclass(frozen=True)
class View:
    """A box of a frame brought to the network's size.

    Attributes:
        box_px: left, top, right, bottom in whole px, right and bottom excluded; may reach over the frame's edges.
        size_px: (width, height) that the box is brought to; None leaves it as it is.
    """

    box_px: tuple[int, int, int, int]
    size_px: tuple[int, int] | None

    @property
    def _scale(self) -> FloatArray:
        """(2,) px of the frame per px that the network sees."""
        left, top, right, bottom = self.box_px
        if self.size_px is None:
            return np.ones(2)
        return np.array([(right - left) / self.size_px[0], (bottom - top) / self.size_px[1]])

    def cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture that the network sees; black where the box reaches over the frame."""
        left, top, right, bottom = self.box_px
        height, width = frame.shape[:2]
        inside = frame[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if left < 0 or top < 0 or right > width or bottom > height:
            picture = np.zeros((bottom - top, right - left, 3), dtype=np.uint8)
            y, x = max(-top, 0), max(-left, 0)
            picture[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        else:
            picture = inside
        if self.size_px is None or picture.shape[1::-1] == self.size_px:
            return np.ascontiguousarray(picture)
        shrinks = float(self._scale.max()) > 1.0
        resized = cv2.resize(picture, self.size_px, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.asarray(resized, dtype=np.uint8)

    def to_frame(self, pose: FloatArray) -> FloatArray:
        """(K, 3) from px of the picture to px of the frame; centres of pixels are whole numbers in both."""
        moved = np.array(pose, dtype=np.float64)
        scale = self._scale
        moved[:, :2] = (moved[:, :2] + 0.5) * scale - 0.5 + np.asarray(self.box_px[:2])
        return moved

    def to_view(self, xy_px: FloatArray) -> FloatArray:
        """(K, 2) from px of the frame to px of the picture: the way back of `to_frame`."""
        return np.asarray((xy_px - np.asarray(self.box_px[:2]) + 0.5) / self._scale - 0.5)

    def moved(self, shift: FloatArray, zoom: float) -> View:
        """A box of the same shape, `zoom` times as large, whose middle is moved by shares of its size."""
        left, top, right, bottom = self.box_px
        size = np.array([right - left, bottom - top], dtype=np.float64)
        middle = np.array([left + right, top + bottom]) / 2.0 + shift * size
        if self.size_px is None:
            width, height = (max(round(float(s) * zoom), 1) for s in size)
            x, y = round(float(middle[0]) - width / 2.0), round(float(middle[1]) - height / 2.0)
            return View((x, y, x + width, y + height), None)
        return _fitted(middle, size * zoom, self.size_px)


def whole_frame(frame_px: tuple[int, int], size_px: tuple[int, int] | None) -> View:
    """All of a (width, height) frame; widened with black to the network's shape, so that nothing is distorted."""
    width, height = frame_px
    if size_px is None:
        return View((0, 0, width, height), None)
    return _fitted(np.array([width, height]) / 2.0, np.array([width, height], dtype=np.float64), size_px)


def around(poses: FloatArray, size_px: tuple[int, int]) -> View | None:
    """The box around what was found in a few frames, (N, K, 3) px of the frame; None where the subject is lost."""
    sure = np.isfinite(poses).all(axis=-1) & (poses[..., 2] >= _SURE)
    if sure.mean() < _LOST_SHARE:
        return None
    # A stray point must not widen the box: what lies far outside where most points are is left out.
    points = poses[sure][:, :2]
    low, high = np.percentile(points, [5, 95], axis=0)
    spread = np.maximum(high - low, _SMALLEST_PX)
    near = ((points >= low - 0.5 * spread) & (points <= high + 0.5 * spread)).all(axis=1)
    low, high = points[near].min(axis=0), points[near].max(axis=0)
    extent = high - low
    margin = _MARGIN * max(float(extent.max()), _SMALLEST_PX)
    return _fitted((low + high) / 2.0, extent + 2.0 * margin, size_px)


def around_person(box_px: FloatArray, size_px: tuple[int, int]) -> View:
    """The box around a detected person, (4,) left, top, right, bottom px."""
    low, high = box_px[:2], box_px[2:4]
    extent = np.maximum(high - low, 1.0)
    return _fitted((low + high) / 2.0, extent + 2.0 * _PERSON_MARGIN * float(extent.max()), size_px)


def choose_person(people: FloatArray, followed: View | None) -> FloatArray | None:
    """Of detected people (N, 5) the one who was followed so far, else the largest; None where there is nobody.

    Like is compared with like: a box in the network's shape is much wider than a narrow person in it, so each person's
    own box in that shape stands for them.
    """
    if not len(people):
        return None
    if followed is not None and followed.size_px is not None:
        shown = np.array([around_person(person[:4], followed.size_px).box_px for person in people], dtype=np.float64)
        overlaps = _overlaps(shown, np.asarray(followed.box_px, dtype=np.float64))
        if overlaps.max() >= _SAME_OVERLAP:
            return np.asarray(people[overlaps.argmax()])
    return np.asarray(people[_areas(people).argmax()])


def _areas(boxes_px: FloatArray) -> FloatArray:
    return np.asarray((boxes_px[..., 2] - boxes_px[..., 0]) * (boxes_px[..., 3] - boxes_px[..., 1]))


def _overlaps(boxes_px: FloatArray, box_px: FloatArray) -> FloatArray:
    low, high = np.maximum(boxes_px[:, :2], box_px[:2]), np.minimum(boxes_px[:, 2:4], box_px[2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=1)
    return np.asarray(shared / (_areas(boxes_px) + _areas(box_px) - shared))


def _fitted(centre_px: FloatArray, extent_px: FloatArray, size_px: tuple[int, int]) -> View:
    """The smallest box of the network's shape that holds an extent."""
    per_px = float((extent_px / np.asarray(size_px)).max())
    width, height = (max(round(per_px * s), 1) for s in size_px)
    left, top = round(float(centre_px[0]) - width / 2.0), round(float(centre_px[1]) - height / 2.0)
    return View((left, top, left + width, top + height), size_px)
