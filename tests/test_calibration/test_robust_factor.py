"""By how much the fading loss widens a covariance: against the scatter of very many estimates of one point."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.trajectory.spread import RobustSums

SCALE = 3.0
N_ESTIMATES = 4000


def estimate(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (E, 2) of least Geman-McClure cost among observations (E, N, 2) of unit weight, and beliefs (E, N)."""
    place = np.median(seen, axis=1)
    for _ in range(30):
        belief = 1.0 / (1.0 + np.square(seen - place[:, None]).sum(axis=-1) / SCALE**2) ** 2
        place = (belief[..., None] * seen).sum(axis=1) / belief.sum(axis=1)[:, None]
    return place, belief


def stated_over_true(seen: np.ndarray) -> float:
    """Variance that the normal equations and the robust factor state, over that of the estimates about 0."""
    place, belief = estimate(seen)
    variance = 1.0 / belief.sum(axis=1)
    distance = np.square(seen - place[:, None]).sum(axis=-1)
    explained = np.broadcast_to(2.0 * variance[:, None], distance.shape)
    factor = RobustSums.of(distance.reshape(-1, 1), explained.reshape(-1, 1), SCALE).factor()[0]
    return float(factor * variance.mean() / np.square(place).mean())


@pytest.mark.parametrize("n_seen", [8, 30])
def test_normal_noise_is_stated_as_it_is(n_seen: int) -> None:
    seen = np.random.default_rng(n_seen).standard_normal((N_ESTIMATES, n_seen, 2))
    # 8,000 values show their variance to 1.6 %; residuals whose points follow them are told from errors to the rest.
    assert stated_over_true(seen) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("n_seen", [8, 30])
def test_noise_in_bursts_is_stated_nearly_as_it_is(n_seen: int) -> None:
    rng = np.random.default_rng(100 + n_seen)
    size = np.exp(0.69 * rng.standard_normal((N_ESTIMATES, n_seen, 1)))
    assert stated_over_true(size * rng.standard_normal((N_ESTIMATES, n_seen, 2))) == pytest.approx(1.0, abs=0.1)
