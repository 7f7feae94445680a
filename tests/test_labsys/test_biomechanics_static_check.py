"""A static trial that is no quiet stance, or of another body, is refused or named; never used in silence."""

from __future__ import annotations

import numpy as np
import pytest

from labsys.biomechanics.preparation import Prepared, prepare_points
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from tests.test_labsys.biomechanics_body import Pose, as_landmarks, place, still, wiggle


def prepare(static: dict[str, FloatArray]) -> Prepared:
    return prepare_points(as_landmarks(place(wiggle(3), 40)), as_landmarks(static), AnalysisSettings())


def test_a_moving_static_is_refused() -> None:
    with pytest.raises(InputError, match=r"no quiet stance: an ankle moves by \d+ mm"):
        prepare(place(wiggle(4), 40))


def test_another_persons_static_is_refused_with_both_lengths() -> None:
    taller = {name: 1.15 * track for name, track in still(place(Pose())).items()}
    with pytest.raises(InputError, match=r"another body: .*shank \d+ mm in it and \d+ mm here"):
        prepare(taller)


def test_a_length_that_is_a_little_off_is_named() -> None:
    standing = still(place(Pose()))
    for s in "RL":
        standing[f"{s}LM"] = standing[f"{s}LM"] - np.array([0.0, 0.03, 0.0])
    assert "another body or sticker placement: shank" in (prepare(standing).static_doubt or "")


def test_swaying_in_ones_own_static_is_fine() -> None:
    standing = still(place(Pose()), 100)
    sway = 0.01 * np.sin(np.linspace(0.0, 12.0, 100))[:, None]
    prepared = prepare({name: track + sway for name, track in standing.items()})
    assert prepared.static is not None
    assert prepared.static_doubt is None
