"""Whether the board was shown in enough different ways, and through the right lenses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.board.detect import BoardCorners
from calibration.board.observations import BoardViews, collect_views
from calibration.lens_jacobian import LENS_PARAMETERS, pack_lenses
from calibration.rig.bundle import LensPrior, solve_bundle
from calibration.rig.extrinsics import ViewPoses, find_view_poses
from calibration.rig.intrinsics import focal_sd
from calibration.rig.solve import SolvedRig, SolveSettings
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Intrinsics, LensModel
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.units import millimetres


@dataclass(frozen=True)
class PoseLimits:
    """What a take must show.

    Attributes:
        poses: fewest different board poses that two cameras saw; different means `apart_m` or `apart_rad`.
        thickness: least spread of all corners across their common plane, relative to their spread along it.
    """

    poses: int = 10
    apart_m: float = 0.02
    apart_rad: float = 0.05
    thickness: float = 0.03


_SAME_PX = 1.0


def check_enough(corners: BoardCorners) -> None:
    """Refuse a take in which hardly any instant was seen by two cameras, before anything is solved.

    Raises:
        InputError: a single camera, or two with the same pictures; names them.
        GateRefusedError: says how many instants two cameras shared.
    """
    if len(corners.cameras) < 2:
        raise InputError(
            f"{corners.cameras[0]} alone is no rig: its place can only be told relative to another camera",
            where=f"camera {corners.cameras[0]}",
            remedy="Give the videos of two cameras or more",
        )
    _check_distinct(corners)
    shared = int((corners.has_board.sum(axis=1) >= 2).sum())
    if shared < PoseLimits().poses:
        raise GateRefusedError(
            f"too few poses: only {shared} instants show the board to two cameras at once",
            where="cameras " + ", ".join(corners.cameras),
            remedy="Wave the board slowly for 30 s where the views overlap; check that the videos belong together",
        )


def _check_distinct(corners: BoardCorners) -> None:
    names = corners.cameras
    for a in range(len(names)):
        for b in range(a + 1, len(names)):
            apart = np.linalg.norm(corners.xy_px[:, a] - corners.xy_px[:, b], axis=-1)
            apart = apart[np.isfinite(apart)]
            if apart.size and corners.sizes_px[a] == corners.sizes_px[b] and np.median(apart) < _SAME_PX:
                raise InputError(
                    f"{names[a]} and {names[b]} see the board at the same pixels: they have the same pictures",
                    where=f"camera {names[b]}",
                    remedy="Give each camera its own video",
                )


def check_spread(solved: SolvedRig, limits: PoseLimits | None = None) -> None:
    """Refuse boards that were all in one place or all in one plane.

    Raises:
        GateRefusedError: says how many different poses there were, or how flat they lay.
    """
    chosen = limits or PoseLimits()
    state = solved.bundle.state
    distinct = _count_distinct(state.R_rig_board, state.t_rig_board_m, chosen)
    if distinct < chosen.poses:
        raise GateRefusedError(
            f"too few poses: the board was held in {distinct} different pose(s)",
            where="cameras " + ", ".join(solved.rig.names),
            remedy=f"Move and tilt the board through the whole volume; at least {chosen.poses} poses are needed",
        )
    corners = np.einsum("fij,nj->fni", state.R_rig_board, solved.views.corners_m) + state.t_rig_board_m[:, None]
    flat = corners.reshape(-1, 3)
    spread = np.linalg.svd(flat - flat.mean(axis=0), compute_uv=False) / np.sqrt(len(flat))
    if spread[2] < chosen.thickness * spread[0]:
        raise GateRefusedError(
            f"all poses lie in one plane: {millimetres(float(spread[2])):.0f} mm across against "
            f"{millimetres(float(spread[0])):.0f} mm along it",
            where="cameras " + ", ".join(solved.rig.names),
            remedy="Lift and tilt the board: hold it high and low, near and far, leaning to every side",
        )


def _count_distinct(R: FloatArray, t_m: FloatArray, limits: PoseLimits) -> int:
    """Poses that differ from every one counted before, in the order of time."""
    counted: list[int] = []
    for f in range(len(t_m)):
        if all(_differ(R[f], R[k], t_m[f], t_m[k], limits) for k in counted):
            counted.append(f)
        if len(counted) >= limits.poses:
            break
    return len(counted)


def _differ(R_a: FloatArray, R_b: FloatArray, t_a: FloatArray, t_b: FloatArray, limits: PoseLimits) -> bool:
    turn = np.arccos(np.clip((np.trace(R_a @ R_b.T) - 1.0) / 2.0, -1.0, 1.0))
    return bool(np.linalg.norm(t_a - t_b) > limits.apart_m or turn > limits.apart_rad)


_SWAP_VIEWS = 12
_SWAP_RATIO = 1.5
_SWAP_LEAST_PX = 0.3


def check_lenses_fit(corners: BoardCorners, lenses: tuple[Intrinsics, ...]) -> None:
    """Refuse videos that fit the lens of another camera clearly better than their own: the files were exchanged.

    Every view by itself is a test of the lens alone, whatever the rig. Cameras with equal lenses cannot be told apart.

    Raises:
        InputError: names the cameras.
    """
    error = _errors_through(corners, lenses)
    own = np.diag(error)
    for c, name in enumerate(corners.cameras):
        better = int(np.nanargmin(np.where(np.isfinite(error[c]), error[c], np.inf)))
        if own[c] > _SWAP_RATIO * error[c, better] and own[c] - error[c, better] > _SWAP_LEAST_PX:
            raise InputError(
                f"the video of {name} does not fit the lens of {name} ({own[c]:.1f} px) but that of "
                f"{corners.cameras[better]} ({error[c, better]:.1f} px)",
                where=f"camera {name}",
                remedy="The video files look swapped: give each video under its own camera's name",
            )


_FOCAL_OFF = 0.03
_FOCAL_SURE = 6.0  # standard deviations
_CLEARLY_BETTER = 0.97  # of the cost through the lenses as given
_AS_GOOD = 1.02  # of the cost with focal lengths free


def find_wrong_lens(corners: BoardCorners, solved: SolvedRig, settings: SolveSettings) -> InputError | None:
    """The refusal of given lenses whose focal length the boards contradict: a zoom that was turned, swapped files.

    A wrong focal length costs few pixels, as the camera steps back to make up for it; so it is freed and looked at.

    Returns:
        Names the camera, both focal lengths and, where that fits better, whose lens it is; None where lenses fit.
    """
    lenses = [c.intrinsics for c in solved.rig.cameras]
    freed = solve_bundle(
        solved.views, solved.bundle.state, prior=_focal_free(lenses), free_lag=True, settings=settings.bundle
    )
    given = np.array([lens.matrix[0, 0] for lens in lenses])
    found = freed.state.lenses.values[:, 0]
    sd = focal_sd(freed.covariance, tuple(lenses))
    off = found / given - 1.0
    wrong = np.flatnonzero(np.abs(off) > np.maximum(_FOCAL_OFF, _FOCAL_SURE * sd))
    if not wrong.size:
        return None
    c = int(wrong[np.argmax(np.abs(off[wrong]))])
    like = _find_own_lens(solved, c, freed.cost, settings)
    return InputError(
        f"the boards show {found[c]:.0f} px of focal length where {given[c]:.0f} px is given{like}",
        where=f"camera {corners.cameras[c]}",
        remedy="Give each video under its own camera's name, with intrinsics of this lens, zoom and focus",
    )


def cost_of_free_lenses(solved: SolvedRig, settings: SolveSettings) -> float:
    """What the bundle comes to when other focal lengths may explain the corners, false detections included, px^2."""
    prior = _focal_free([c.intrinsics for c in solved.rig.cameras])
    return solve_bundle(solved.shown, solved.freed, prior=prior, free_lag=True, settings=settings.bundle).cost


def _find_own_lens(solved: SolvedRig, index: int, free_cost: float, settings: SolveSettings) -> str:
    """What the lens of a camera seems to be instead, in words: another camera's, or its own upside down."""
    lenses = [c.intrinsics for c in solved.rig.cameras]
    tries = {"; its picture seems to stand upside down against its intrinsics": {index: _turned(lenses[index])}}
    for other, name in enumerate(solved.rig.names):
        if other != index and lenses[other].size_px == lenses[index].size_px:
            text = f"; the video files of {solved.rig.names[index]} and {name} look swapped"
            tries[text] = {index: lenses[other], other: lenses[index]}
    given = _cost_through(solved, {}, settings)
    cost = {text: _cost_through(solved, change, settings) for text, change in tries.items()}
    best = min(cost, key=cost.__getitem__)
    return best if cost[best] < min(_CLEARLY_BETTER * given, _AS_GOOD * free_cost) else ""


def _cost_through(solved: SolvedRig, change: dict[int, Intrinsics], settings: SolveSettings) -> float:
    """What the bundle comes to when some cameras have other lenses."""
    lenses = [change.get(i, c.intrinsics) for i, c in enumerate(solved.rig.cameras)]
    start = replace(solved.bundle.state, lenses=pack_lenses(lenses))
    return solve_bundle(solved.views, start, free_lag=True, settings=settings.bundle).cost


def _turned(lens: Intrinsics) -> Intrinsics:
    """The lens as it is for pictures turned by half a turn."""
    matrix, distortion = lens.matrix.copy(), lens.distortion.copy()
    matrix[:2, 2] = np.array(lens.size_px) - 1 - matrix[:2, 2]
    if lens.model is LensModel.PINHOLE:
        distortion[2:4] *= -1.0
    return Intrinsics(matrix, distortion, lens.size_px, lens.model)


def _focal_free(lenses: list[Intrinsics]) -> LensPrior:
    """Focal length free (square pixels kept as given), the first two distortion terms nearly so, the rest as given."""
    rows = pack_lenses(lenses).values
    information = np.zeros((len(rows), LENS_PARAMETERS, LENS_PARAMETERS))
    free = np.zeros(rows.shape, dtype=np.bool_)
    free[:, [0, 1, 4, 5]] = True
    for i, row in enumerate(rows):
        ratio = row[1] / row[0]
        tie = np.array([[ratio**2, -ratio], [-ratio, 1.0]]) / (0.001 * row[0]) ** 2
        information[i, :2, :2] = tie
        information[i, 4, 4] = information[i, 5, 5] = 0.05**-2
    return LensPrior(rows, information, free)


def _errors_through(corners: BoardCorners, lenses: tuple[Intrinsics, ...]) -> FloatArray:
    """RMS px of single views of camera row through the lens of camera column, median over views."""
    count = len(lenses)
    error = np.full((count, count), np.inf)
    for c in range(count):
        views = _some_views(corners, c)
        for other, lens in enumerate(lenses):
            if lens.size_px == lenses[c].size_px and len(views.camera):
                poses: ViewPoses = find_view_poses(views, [lens])
                error[c, other] = float(np.median(poses.error_px))
    return error


def _some_views(corners: BoardCorners, index: int) -> BoardViews:
    """Views of one camera with all their corners, those nearest to its image's edges, where lenses differ most."""
    alone = corners.of_cameras((corners.cameras[index],))
    views = collect_views(alone)
    centre = np.array(alone.sizes_px[0]) / 2.0
    off = np.where(views.used[..., None], views.xy_px - centre, 0.0)
    reach = np.where(views.used.sum(axis=1) >= corners.board.n_corners // 2, (off**2).sum(axis=(1, 2)), 0.0)
    keep = np.zeros(len(views.camera), dtype=np.bool_)
    keep[np.argsort(-reach, kind="stable")[:_SWAP_VIEWS]] = True
    return views.rows(keep)
