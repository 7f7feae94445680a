"""What is known of the errors of reconstructed landmarks, with the calibration that they were found with."""

from __future__ import annotations

import numpy as np

from calibration.match import match_cameras
from calibration.triangulation.triangulate import Triangulation
from calibration.uncertainty.uncertainty import Sighting, add_uncertainty
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Calibration
from labsys.core.landmarks import Landmarks2D, Landmarks3D


def with_uncertainty(
    found: Landmarks3D,
    seen: Landmarks2D,
    triangulated: Triangulation,
    calibration: Calibration,
    *,
    error_correlation: FloatArray | None = None,
) -> Landmarks3D:
    """Reconstructed landmarks with all that is known of their errors.

    Args:
        found: from `seen`, with the covariance from pixel noise. triangulated: the same before any smoothing.
        error_correlation: (K, L) of the errors after smoothing; None where nothing was smoothed.

    Raises:
        UnknownNameError: a camera that the calibration lacks.
    """
    matched = match_cameras(calibration.rig.names, seen.cameras)
    own = calibration.select(tuple(matched[name] for name in seen.cameras))
    sighting = Sighting(
        rig=own.rig,
        xy_px=np.moveaxis(seen.xy_px, 1, 2),
        xyz_m=triangulated.xyz_m,
        used=triangulated.used,
        covariance_m2=triangulated.covariance_m2,
    )
    return add_uncertainty(found, sighting, own, error_correlation=error_correlation)
