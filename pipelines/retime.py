"""Each camera's 2D tracks onto one common clock.

Imported recordings are synchronized by whoever made them: frame i of every camera is the same moment. Cameras that ran
free come with timestamps, which no import brings yet.
"""

from __future__ import annotations

from collections.abc import Mapping

from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D
from labsys.storage.exchange.tracks import CameraTrack, combine_cameras


def retime(tracks: Mapping[str, CameraTrack], *, rate_hz: float) -> Landmarks2D:
    """Put synchronized tracks on one clock that starts at 0 s.

    Raises:
        InputError: a frame rate that is not positive, or tracks that cannot share one clock (unequal lengths or first
            frames; names the cameras).
    """
    if not rate_hz > 0:
        raise InputError(f"frame rate {rate_hz:g} Hz is not positive")
    return combine_cameras(tracks, rate_hz=rate_hz)
