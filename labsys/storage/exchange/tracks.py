"""2D landmarks of one camera as any program gives them, and several cameras put together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray, as_floats, check_unique
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks2D

_LIKELIHOOD_MAX = 2.0


@dataclass(frozen=True, eq=False)
class CameraTrack:
    """2D landmarks of one person in one camera, frame by frame.

    Attributes:
        landmarks: K names.
        xy_px: (T, K, 2) px in IMAGE, NaN where missing. confidence: (T, K) in 0..1, 0 where missing.
        first_frame: frame number of row 0 as the source counts.
        source: format and scorer, in words ("DeepLabCut h5, scorer …").
    """

    landmarks: tuple[str, ...]
    xy_px: FloatArray
    confidence: FloatArray
    first_frame: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        check_unique("landmark names", self.landmarks)
        n = len(self.landmarks)
        xy = as_floats("2D landmarks", self.xy_px, (None, n, 2))
        object.__setattr__(self, "xy_px", xy)
        object.__setattr__(self, "confidence", as_floats("confidence", self.confidence, (xy.shape[0], n), finite=True))

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.xy_px.shape[0])


def clean_landmarks(xy_px: FloatArray, likelihood: FloatArray, *, where: str) -> tuple[FloatArray, FloatArray]:
    """Positions and confidence as labsys means them, from what a 2D network wrote.

    A point without a position or with likelihood 0 is missing: NaN and 0. Some networks give likelihoods slightly above
    1; they count as 1.

    Raises:
        InputError: likelihoods that are none (negative, or far above 1).
    """
    known = likelihood[np.isfinite(likelihood)]
    if known.size and (known.min() < 0.0 or known.max() > _LIKELIHOOD_MAX):
        raise InputError(f"likelihoods are in {known.min():g}..{known.max():g}, expected 0..1", where=where)
    seen = np.isfinite(xy_px).all(axis=-1) & np.isfinite(likelihood) & (likelihood > 0.0)
    return np.where(seen[..., None], xy_px, np.nan), np.where(seen, np.minimum(likelihood, 1.0), 0.0)


def combine_cameras(tracks: Mapping[str, CameraTrack], *, rate_hz: float) -> Landmarks2D:
    """Put the cameras of one synchronized recording on one clock that starts at 0 s; cameras in the order given.

    Raises:
        InputError: no cameras, no frames, unequal numbers of frames, unequal first frames or different landmarks
            (the message names the cameras).
    """
    if not tracks:
        raise InputError("no camera has 2D landmarks")
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise InputError(f"frame rate {rate_hz:g} Hz is not positive")
    first = next(iter(tracks.values()))
    _require_equal("numbers of frames", {camera: t.n_frames for camera, t in tracks.items()})
    _require_equal("first frame numbers", {camera: t.first_frame for camera, t in tracks.items()})
    require_same_landmarks(tracks)
    if first.n_frames == 0:
        raise InputError("the 2D landmarks hold no frames", where=", ".join(tracks))
    return Landmarks2D(
        cameras=tuple(tracks),
        landmarks=first.landmarks,
        times_s=np.arange(first.n_frames) / rate_hz,
        xy_px=np.stack([t.xy_px for t in tracks.values()], axis=1),
        confidence=np.stack([t.confidence for t in tracks.values()], axis=1),
    )


def _require_equal(what: str, by_camera: Mapping[str, int]) -> None:
    if len(set(by_camera.values())) > 1:
        listing = ", ".join(f"{camera} {n}" for camera, n in by_camera.items())
        raise InputError(
            f"2D landmarks have unequal {what}: {listing}", remedy="Give files of the same recording, frame by frame"
        )


def require_same_landmarks(tracks: Mapping[str, CameraTrack]) -> None:
    """Refuse cameras whose landmarks differ (InputError names the cameras and the landmarks)."""
    (reference, first), *others = tracks.items()
    for camera, track in others:
        if track.landmarks != first.landmarks:
            differing = sorted(set(track.landmarks) ^ set(first.landmarks)) or ["their order"]
            raise InputError(
                f"cameras {reference} and {camera} have different landmarks: {', '.join(differing[:5])}",
                remedy="Use one model for all cameras",
            )
