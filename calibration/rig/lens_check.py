"""Whether the boards contradict the given lenses, and by how much: every parameter that matters is freed and looked at.

A wrong lens costs few pixels, as cameras and boards step aside to make up for it: all lengths grow with the focal
length, and a shifted principal point turns its camera. So the fit itself does not show it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.lens_jacobian import LENS_PARAMETERS, pack_lenses, rays_of_pixels
from calibration.rig.bundle import BLOCK, POSE, LensPrior, solve_bundle
from calibration.rig.covariance import widening
from calibration.rig.grade import GRADE_C
from calibration.rig.solve import SolvedRig, SolveSettings
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Intrinsics, LensModel
from labsys.core.errors import InputError

_OFF = 0.003  # of the image's scale: as much as the scale itself may be wrong for grade A
_FREE = 6  # fx fy cx cy k1 k2
_FOCAL_SD, _ASPECT_SD, _CENTRE_SD = 0.2, 0.01, 0.02  # priors: relative, relative, image widths
_BENT_SD = {LensModel.PINHOLE: 0.3, LensModel.FISHEYE: 0.1}
_EDGE_PERCENT = 95


@dataclass(frozen=True)
class LensFigure:
    """How far the boards see one property of a given lens from what was given.

    Attributes:
        off, sd: as a share of the focal length (focal length, centre) or of the image's scale (aspect, distortion).
    """

    camera: str
    what: str
    off: float
    sd: float

    @property
    def excess(self) -> float:
        """1 at the limit of grade A, which is 0.3 % and what chance makes (two standard deviations) on top of it."""
        return abs(self.off) / (_OFF + 2.0 * self.sd)

    @property
    def text(self) -> str:
        """The figure in words."""
        limit = 100 * (_OFF + 2.0 * self.sd)
        return (
            f"{self.what} of {self.camera} seen {100 * self.off:+.2f} % (± {100 * self.sd:.2f} %) off the given one "
            f"(grade A: {limit:.2g} %)"
        )

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return f"Calibrate the lens of {self.camera} anew, at the zoom, focus and resolution of this take"


@dataclass(frozen=True)
class LensExam:
    """All figures, and what the bundle costs when the lenses are free, px^2."""

    figures: tuple[LensFigure, ...]
    cost: float

    @property
    def refusal(self) -> InputError | None:
        """Names camera and property where the boards contradict a lens beyond every grade; None where none does."""
        worst = max(self.figures, key=lambda f: f.excess, default=None)
        if worst is None or worst.excess <= GRADE_C:
            return None
        return InputError(
            f"the boards contradict the given lens: {worst.text}", where=f"camera {worst.camera}", remedy=worst.remedy
        )


def examine_lenses(solved: SolvedRig, settings: SolveSettings) -> LensExam:
    """Free every given lens and compare what the boards show with it.

    Standard deviations hold the excess that blocks of instants show over independent corner noise (`widening`).
    """
    lenses = [c.intrinsics for c in solved.rig.cameras]
    prior = _lenses_free(lenses)
    freed = solve_bundle(solved.views, solved.bundle.state, prior=prior, free_lag=True, settings=settings.bundle)
    covariance = freed.covariance * widening(solved.views, freed, settings.bundle)
    figures: list[LensFigure] = []
    for i, camera in enumerate(solved.rig.cameras):
        at = slice(i * BLOCK + POSE, i * BLOCK + POSE + LENS_PARAMETERS)
        off = freed.state.lenses.values[i] - prior.mean[i]
        for what, row in _properties(prior.mean[i], _edge(solved, i)).items():
            sd = float(np.sqrt(max(float(row @ covariance[at, at] @ row), 0.0)))
            figures.append(LensFigure(camera.name, what, float(row @ off), sd))
    return LensExam(tuple(figures), freed.cost)


def _properties(row: FloatArray, edge: float) -> dict[str, FloatArray]:
    """Every property as a row of weights on the lens parameters' deviations, (9,)."""
    unit = np.eye(LENS_PARAMETERS)
    fx, fy = row[0], row[1]
    return {
        "focal length": (unit[0] / fx + unit[1] / fy) / 2.0,
        "pixel aspect": unit[1] / fy - unit[0] / fx,
        "principal point in x": unit[2] / fx,
        "principal point in y": unit[3] / fy,
        "distortion at the edge": edge**2 * unit[4] + edge**4 * unit[5],
    }


def _edge(solved: SolvedRig, index: int) -> float:
    """How far from the axis the outer corners of a camera lie: tangent of the angle, for a fisheye the angle, rad."""
    at = solved.views.camera == index
    xy = solved.views.xy_px[at][solved.views.used[at]]
    lens = solved.rig.cameras[index].intrinsics
    fisheye = lens.model is LensModel.FISHEYE
    radius = np.linalg.norm(rays_of_pixels(xy, pack_lenses([lens]).values[0], fisheye), axis=-1)
    radius = radius[np.isfinite(radius)]
    outer = float(np.percentile(radius, _EDGE_PERCENT)) if radius.size else 0.0
    return float(np.arctan(outer)) if fisheye else outer


def _lenses_free(lenses: list[Intrinsics]) -> LensPrior:
    """Focal lengths, principal point and two distortion terms free about the given values; loose, so that boards speak.

    What the boards cannot tell stays as given, with a large standard deviation.
    """
    rows = pack_lenses(lenses).values
    information = np.zeros((len(rows), LENS_PARAMETERS, LENS_PARAMETERS))
    free = np.zeros(rows.shape, dtype=np.bool_)
    free[:, :_FREE] = True
    for i, (row, lens) in enumerate(zip(rows, lenses, strict=True)):
        tie = np.array([-1.0 / row[0], 1.0 / row[1]]) / _ASPECT_SD
        information[i, :2, :2] = np.outer(tie, tie)
        information[i, 0, 0] += (_FOCAL_SD * row[0]) ** -2
        information[i, [2, 3], [2, 3]] = (_CENTRE_SD * lens.size_px[0]) ** -2
        information[i, [4, 5], [4, 5]] = _BENT_SD[lens.model] ** -2
    return LensPrior(rows, information, free)
