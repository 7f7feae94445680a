"""A static trial that is no quiet stance, or of another body, is refused or named; never used in silence."""

from __future__ import annotations

import numpy as np
import pytest

from labsys.biomechanics.cardan import JcsAngles
from labsys.biomechanics.preparation import Prepared, prepare_points
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.skeleton import mirrored_name
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


def _exchange(points: dict[str, FloatArray], *stems: str) -> dict[str, FloatArray]:
    """Left and right exchanged, of landmarks with these names or of all."""
    chosen = {n for n in points if mirrored_name(n) != n and (not stems or n[1:] in stems)}
    return {n: points[mirrored_name(n)] if n in chosen else track for n, track in points.items()}


_KNEES, _FEET = ("GT", "LFE", "MFE"), ("LM", "MM", "HEEL", "TOE", "MT1", "MT5")


@pytest.mark.parametrize(
    ("stems", "said"),
    [
        ((), "pelvis is upside down"),
        (("ASIS", "PSIS"), "pelvis is upside down"),
        ((*_KNEES, *_FEET), r"right knee lies \d+ mm to the left"),
        (_FEET, r"right ankle lies \d+ mm to the left"),
        (("AC",), r"right shoulder lies \d+ mm to the left"),
    ],
)
def test_a_static_with_left_and_right_exchanged_is_refused(stems: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=rf"{said}.*exchanged.*in the static trial.*--static"):
        prepare(_exchange(still(place(Pose())), *stems))


def test_a_static_with_front_and_back_exchanged_is_refused() -> None:
    standing = still(place(Pose()))
    turned = {"RASIS": "RPSIS", "LASIS": "LPSIS", "RPSIS": "RASIS", "LPSIS": "LASIS"}
    with pytest.raises(InputError, match=r"pelvis is upside down.*front and back"):
        prepare({n: standing[turned.get(n, n)] for n in standing})
    feet = {"RHEEL": "RTOE", "RTOE": "RHEEL"}
    with pytest.raises(InputError, match=r"right toe lies \d+ mm behind its heel"):
        prepare({n: standing[feet.get(n, n)] for n in standing})


def test_keypoints_of_a_static_with_left_and_right_exchanged_are_refused() -> None:
    names = {"GT": "Hip", "LFE": "Knee", "LM": "Ankle", "AC": "Shoulder", "HEEL": "Heel", "TOE": "BigToe"}

    def seen(points: dict[str, FloatArray]) -> Landmarks3D:
        return as_landmarks({n[0] + names[n[1:]]: t for n, t in points.items() if n[1:] in names and n[0] in "RL"})

    moving, standing = place(wiggle(3), 40), still(place(Pose()))
    assert prepare_points(seen(moving), seen(standing), AnalysisSettings()).static is not None
    with pytest.raises(InputError, match=r"toe lies \d+ mm behind its heel.*all of left and right"):
        prepare_points(seen(moving), seen(_exchange(standing)), AnalysisSettings())


@pytest.mark.parametrize(
    ("pose", "said"),
    [
        (Pose(knee={"L": JcsAngles(*(np.array([v]) for v in (-0.9, 0.0, 0.0)))}), "left knee is bent by 5"),
        (Pose(ankle={"R": JcsAngles(*(np.array([v]) for v in (-1.0, 0.0, 0.0)))}), "right toe points down by 5"),
        (
            Pose(
                hip={"R": JcsAngles(*(np.array([v]) for v in (0.8, 0.0, 0.0)))},
                knee={"R": JcsAngles(*(np.array([v]) for v in (-0.69, 0.0, 0.0)))},
            ),
            "right foot is 1",
        ),
    ],
)
def test_one_moment_of_a_stride_is_no_standing_posture(pose: Pose, said: str) -> None:
    with pytest.raises(InputError, match=rf"no standing posture: the {said}"):
        prepare(still(place(pose)))
