"""Whether the cameras looked at the board at the same moments, read from the board's own motion."""

from __future__ import annotations

import numpy as np

from calibration.detect import BoardCorners
from calibration.solve import SolvedRig
from labsys.core.errors import GateRefusedError

_MOST_FRAMES = 0.6  # beyond, another frame of the video would have fitted better
_SURE = 5.0  # standard deviations


def check_synchronous(corners: BoardCorners, solved: SolvedRig) -> None:
    """Refuse videos of which one runs ahead of or behind the others by more than half a frame.

    Raises:
        GateRefusedError: names the camera and by how much.
    """
    if len(corners.times_s) < 2 or len(corners.cameras) < 2:
        return
    period = float(np.median(np.diff(corners.times_s)))
    against = solved.lag_s - np.median(solved.lag_s)
    worst = int(np.argmax(np.abs(against)))
    if abs(against[worst]) > max(_MOST_FRAMES * period, _SURE * solved.lag_sd_s.max()):
        word = "ahead of" if against[worst] > 0 else "behind"
        raise GateRefusedError(
            f"{corners.cameras[worst]} runs {1000 * abs(against[worst]):.0f} ms {word} the others, "
            f"{abs(against[worst]) / period:.1f} frames",
            where=f"camera {corners.cameras[worst]}",
            remedy="Give --timestamps, or videos that begin at the same moment; or hold the board still while filming",
        )
