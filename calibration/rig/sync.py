"""Whether the cameras looked at the board at the same moments, read from the board's own motion.

A lag is solved as if the board moved evenly for so long; a hand that waves does not, and of a whole frame at a low rate
the solve shows only a part. So where a lag shows at all, the camera's video is also shifted by whole frames, and what
the rig then leaves of the corners' misfit is compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.board.detect import BoardCorners
from calibration.rig.bundle import residuals_px
from calibration.rig.solve import SolvedRig, SolveSettings, solve_rig
from labsys.core.arrays import FloatArray
from labsys.core.errors import GateRefusedError

MOST_FRAMES = 0.6  # beyond, another frame of the video would have fitted better
SUSPECT_FRAMES = 0.3  # beyond, it is told, and whole frames are tried
_SURE = 5.0  # standard deviations
_CLEARLY = 0.5  # the most that whole frames may leave of the misfit to be the reason alone
_INSTANTS = 120  # enough to compare whole frames
FEWEST_SHARED = 15  # views that a camera must share with others before a lag is told from a board seen badly
_REMEDY = "Give --timestamps, or videos that begin at the same moment; or hold the board still while filming"


@dataclass(frozen=True)
class FrameShift:
    """Whole frames by which one camera's video is late (negative: early), and what shifting it leaves of the misfit."""

    camera: int
    frames: int
    left: float


def count_shared(corners: BoardCorners, camera: int) -> int:
    """Instants at which a camera and at least one other see the board."""
    seen = corners.has_board
    others = np.arange(seen.shape[1]) != camera
    return int((seen[:, camera] & seen[:, others].any(axis=1)).sum())


def lags_in_frames(solved: SolvedRig, times_s: FloatArray) -> FloatArray:
    """How much later each camera looks than the median of all others, in frames, (C,); 0 where chance makes as much."""
    count = len(solved.lag_s)
    against = np.zeros(count)
    if len(times_s) < 2 or count < 2:
        return against
    # The first camera's lag is held, so its spread is that of the others it is compared with.
    for i in range(count):
        others = np.arange(count) != i
        sd = float(np.hypot(solved.lag_sd_s[i], np.median(solved.lag_sd_s[others])))
        lag = float(solved.lag_s[i] - np.median(solved.lag_s[others]))
        against[i] = lag if abs(lag) > _SURE * sd else 0.0
    return against / float(np.median(np.diff(times_s)))


def check_whole_frames(corners: BoardCorners, solved: SolvedRig, settings: SolveSettings | None = None) -> None:
    """Refuse a video that only has to be shifted by whole frames to leave less than half of the misfit.

    Raises:
        GateRefusedError: names the camera and the frames.
    """
    shifts = [s for i in _suspects(corners, solved) if (s := _best_shift(corners, solved, i, settings)) is not None]
    best = min(shifts, key=lambda s: s.left, default=None)
    if best is not None and best.left < _CLEARLY:
        raise _refuse_shift(corners, best)


def check_synchronous(corners: BoardCorners, solved: SolvedRig, settings: SolveSettings | None = None) -> None:
    """Refuse videos of which one runs ahead of or behind the others by more than half a frame.

    Raises:
        GateRefusedError: names the camera and by how much, or says that too few views are shared to tell.
    """
    frames = lags_in_frames(solved, corners.times_s)
    worst = int(np.argmax(np.abs(frames)))
    if abs(frames[worst]) <= MOST_FRAMES:
        return
    shared = count_shared(corners, worst)
    if shared < FEWEST_SHARED:
        raise GateRefusedError(
            f"{corners.cameras[worst]} shares {shared} views of the board with the others and contradicts them: too "
            f"few to tell whether its video runs late ({FEWEST_SHARED} are needed)",
            where=f"camera {corners.cameras[worst]}",
            remedy="Film the board longer where several cameras see it together",
        )
    shift = _best_shift(corners, solved, worst, settings)
    if shift is not None:
        raise _refuse_shift(corners, shift)
    late_s = abs(frames[worst]) * float(np.median(np.diff(corners.times_s)))
    word = "ahead of" if frames[worst] > 0 else "behind"
    raise GateRefusedError(
        f"{corners.cameras[worst]} runs {1000 * late_s:.0f} ms {word} the others, {abs(frames[worst]):.1f} frames",
        where=f"camera {corners.cameras[worst]}",
        remedy=_REMEDY,
    )


def _suspects(corners: BoardCorners, solved: SolvedRig) -> list[int]:
    frames = np.abs(lags_in_frames(solved, corners.times_s))
    late = [int(i) for i in np.argsort(-frames)[:2] if frames[i] > SUSPECT_FRAMES]
    return [i for i in late if count_shared(corners, i) >= FEWEST_SHARED]


def _best_shift(
    corners: BoardCorners, solved: SolvedRig, camera: int, settings: SolveSettings | None
) -> FrameShift | None:
    """The whole frames that leave least of the misfit, tried until more make it worse; None when the first does."""
    frames = lags_in_frames(solved, corners.times_s)[camera]
    lenses = tuple(c.intrinsics for c in solved.rig.cameras)
    few = replace(settings or SolveSettings(), max_instants=_INSTANTS)
    before, best = _misfit_px(solved), None
    for count in range(max(1, int(abs(frames))), int(abs(frames)) + 4):
        late = -count if frames > 0 else count
        try:
            left = _misfit_px(solve_rig(_shifted(corners, camera, late), lenses, settings=few)) / before
        except GateRefusedError:
            break
        if left >= (1.0 if best is None else best.left):
            break
        best = FrameShift(camera, late, left)
    return best


def _shifted(corners: BoardCorners, camera: int, late: int) -> BoardCorners:
    """The take with one camera's video brought forward by as many frames as it is late."""
    xy = corners.xy_px.copy()
    own = np.roll(xy[:, camera], -late, axis=0)
    own[slice(-late, None) if late > 0 else slice(0, -late)] = np.nan
    xy[:, camera] = own
    return replace(corners, xy_px=xy)


def _misfit_px(solved: SolvedRig) -> float:
    """Mean soft-L1 distance of all corners, false ones too: what is left out must not count as explained."""
    squared = np.sum(residuals_px(solved.shown, solved.bundle.state) ** 2, axis=-1)[solved.shown.used]
    return float(np.mean(np.sqrt(1.0 + squared) - 1.0))


def _refuse_shift(corners: BoardCorners, shift: FrameShift) -> GateRefusedError:
    name, count = corners.cameras[shift.camera], abs(shift.frames)
    late_s = count * float(np.median(np.diff(corners.times_s)))
    word = "behind" if shift.frames > 0 else "ahead of"
    pair = len(corners.cameras) == 2
    others = "the other (of two cameras it cannot be told which one is right)" if pair else "the others"
    return GateRefusedError(
        f"{name} runs {1000 * late_s:.0f} ms {word} {others}, {count} frame(s)",
        where=f"camera {name}",
        remedy=_REMEDY,
    )
