"""From true landmarks to what a 2D detector would say of every camera."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from labsys.core.cameras import CameraRig
from labsys.core.landmarks import Landmarks2D
from pipelines.synthetic.trial import SyntheticTrial


class NoiseKind(StrEnum):
    """WHITE: independent per frame. DLC_LIKE: heavy-tailed, correlated, pose-dependent, with swaps and occlusion."""

    NONE = "none"
    WHITE = "white"
    DLC_LIKE = "dlc_like"


@dataclass(frozen=True)
class NoiseModel:
    """How 2D landmarks err.

    Attributes:
        sigma_px: WHITE: standard deviation per axis; DLC_LIKE: scale 1.0 px gives the published figures (median radial
            error 2.5 px, 95th percentile 10 px).
        outliers: probability per point of an error of 30..200 px. missing: probability per point of no detection.
        swap_rate_hz: DLC_LIKE: left/right swaps per second and camera.
    """

    kind: NoiseKind = NoiseKind.WHITE
    sigma_px: float = 1.0
    outliers: float = 0.0
    missing: float = 0.0
    swap_rate_hz: float = 0.05

    @classmethod
    def none(cls) -> NoiseModel:
        """Exact projections, full confidence."""
        return cls(kind=NoiseKind.NONE, sigma_px=0.0)

    @classmethod
    def white(cls, sigma_px: float = 1.0, *, outliers: float = 0.0, missing: float = 0.0) -> NoiseModel:
        """Independent Gaussian noise."""
        return cls(kind=NoiseKind.WHITE, sigma_px=sigma_px, outliers=outliers, missing=missing)

    @classmethod
    def dlc_like(cls, *, outliers: float = 0.0, missing: float = 0.0) -> NoiseModel:
        """Errors as DeepLabCut makes them."""
        return cls(kind=NoiseKind.DLC_LIKE, sigma_px=1.0, outliers=outliers, missing=missing)


def observe(trial: SyntheticTrial, rig: CameraRig, noise: NoiseModel, seed: int) -> Landmarks2D:
    """2D landmarks of every camera on the trial's own clock, (T, C, K, 2) px; points outside the image are missing."""
    raise NotImplementedError
