"""Whether two pictures of a camera, taken at two times, were taken from the same place.

Corners of what stands still are found in both and matched (ORB), and a turn and a shift of the whole picture is fitted
to the matches that agree (RANSAC). From there every corner is followed to a fraction of a pixel (Lucas-Kanade) and the
fit is made again. Source: Rublee et al. (2011), ICCV, 2564-2571; Fischler & Bolles (1981), Comm. ACM 24, 381-395;
Lucas & Kanade (1981), IJCAI, 674-679.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.board.detector import Gray

_FEATURES = 2000
_RATIO = 0.8  # a match whose second best is nearly as good says nothing
_COARSE_PX, _FINE_PX = 2.0, 0.5
# By chance, views of two cameras of one room agreed in up to 38 corners, those of one camera in 200 to 1,200: a
# rendered room, board beside runner, and a public recording of a board with its own later half.
LEAST_MATCHES = 60
_AROUND_PX, _NOISE = 6.0, 6.0  # what varies by less than a camera's noise is made nothing of
_MOST_ZOOM = 1.2  # a camera that is bumped keeps its lens


@dataclass(frozen=True)
class ViewShift:
    """How one picture lies on another.

    Attributes:
        n_corners: that could be found in the plainer one. n_matches: of them, those that agree on one shift.
        moved_px: how far the farthest end of the picture moved, in pixels of these pictures; NaN where too few agree.
    """

    n_corners: int
    n_matches: int
    moved_px: float

    @property
    def is_same_place(self) -> bool:
        """Whether both show the same surroundings, shifted or not."""
        return self.n_matches >= LEAST_MATCHES

    @property
    def is_plain(self) -> bool:
        """Whether so few corners are there that nothing can be told."""
        return self.n_corners < 2 * LEAST_MATCHES


def compare_views(then: Gray, now: Gray) -> ViewShift:
    """How far a picture moved (both (H, W), of one size; ValueError)."""
    if then.shape != now.shape:
        raise ValueError(f"pictures of {then.shape} and {now.shape}")
    n_corners, before, after = _match(then, now)
    coarse, n_agreeing = _fit(before, after, _COARSE_PX)
    if coarse is None:
        return ViewShift(n_corners, 0, float("nan"))
    followed = _follow(_even_out(then), _even_out(now), coarse)
    fine, _ = _fit(*followed, _FINE_PX)
    if fine is None:  # turned so far that no shift of a whole picture fits: how far is known to some pixels then
        fine, _ = _fit(*followed, _COARSE_PX)
    if fine is None:
        return ViewShift(n_corners, 0, float("nan"))
    height, width = then.shape
    ends = np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64)
    moved = ends @ fine[:, :2].T + fine[:, 2] - ends
    return ViewShift(n_corners, n_agreeing, float(np.linalg.norm(moved, axis=1).max()))


def _even_out(picture: Gray) -> Gray:
    """The picture as in any other light: each spot against its surroundings, by how much those vary."""
    import cv2

    own = picture.astype(np.float32)
    own -= cv2.GaussianBlur(own, (0, 0), _AROUND_PX)
    spread = np.sqrt(cv2.GaussianBlur(own * own, (0, 0), _AROUND_PX)) + _NOISE
    return np.asarray(np.clip(128.0 + 50.0 * own / spread, 0, 255), np.uint8)


def _fit(before: Any, after: Any, most_px: float) -> tuple[Any, int]:
    """(2, 3) turn, shift and zoom of points (N, 2), and how many agree; None where too few do."""
    import cv2

    if len(before) < LEAST_MATCHES:
        return None, 0
    fitted, agreeing = cv2.estimateAffinePartial2D(
        before, after, method=cv2.RANSAC, ransacReprojThreshold=most_px, maxIters=4000, confidence=0.999
    )
    if fitted is None or int(agreeing.sum()) < LEAST_MATCHES:
        return None, 0
    zoom = float(np.hypot(fitted[0, 0], fitted[1, 0]))
    return (fitted, int(agreeing.sum())) if 1.0 / _MOST_ZOOM < zoom < _MOST_ZOOM else (None, 0)


def _match(then: Gray, now: Gray) -> tuple[int, Any, Any]:
    """Corners of the plainer one, and (N, 2) those of both that are each other's best match."""
    import cv2

    finder = cv2.ORB.create(_FEATURES, fastThreshold=8)
    (at_then, told_then), (at_now, told_now) = (finder.detectAndCompute(p, None) for p in (then, now))
    n_corners = min(len(at_then), len(at_now))
    if n_corners < 2:
        return n_corners, np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(told_then, told_now, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < _RATIO * p[1].distance]
    before = np.array([at_then[m.queryIdx].pt for m in good], np.float32).reshape(-1, 2)
    after = np.array([at_now[m.trainIdx].pt for m in good], np.float32).reshape(-1, 2)
    return n_corners, before, after


def _follow(then: Gray, now: Gray, coarse: Any) -> tuple[Any, Any]:
    """(N, 2) corners of one picture and where they lie in the other, from a first guess."""
    import cv2

    before = np.asarray(cv2.goodFeaturesToTrack(then, _FEATURES, 0.01, 3))
    guess = (before.reshape(-1, 2) @ coarse[:, :2].T + coarse[:, 2]).astype(np.float32).reshape(-1, 1, 2)
    after, found, _ = cv2.calcOpticalFlowPyrLK(
        then, now, before, guess.copy(), winSize=(15, 15), maxLevel=1, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    kept = found.ravel() == 1
    return before.reshape(-1, 2)[kept], after.reshape(-1, 2)[kept]
