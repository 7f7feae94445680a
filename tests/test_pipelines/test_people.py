"""Two people in the picture: all cameras together know who the subject is."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from calibration.projection import project_rig
from labsys.core.errors import InputError
from labsys.core.session import TrialKind
from labsys.core.skeleton import COCO_17
from labsys.storage.exchange.openpose import OpenPosePeople
from pipelines.people import agree_on_subject
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial

N_CAMERAS = 4
SOME = slice(0, 34, 2)  # 17 landmarks from head to toe, of the 37


@functools.cache
def watched(noise_px: float = 2.0, aside_m: float = 0.9, kind: TrialKind = TrialKind.RUN) -> dict[str, OpenPosePeople]:
    """A runner, and somebody else beside him who runs or stands, in every camera; people in an order that changes."""
    runner = make_trial(RunnerParameters(), seconds=2.0, rate_hz=100.0, seed=3).landmarks
    points = runner.xyz_m[:, SOME]
    beside = make_trial(RunnerParameters(speed_mps=2.5), kind=kind, seconds=2.0, rate_hz=100.0, seed=8)
    other = beside.landmarks.xyz_m[:, SOME]
    rng, rig = np.random.default_rng(1), make_rig(N_CAMERAS)
    both = np.stack([points, other + np.array([0.3, 0.0, aside_m])], axis=1)
    xy = project_rig(rig, both) + rng.normal(0.0, noise_px, (*both.shape[:3], N_CAMERAS, 2))
    people = {}
    for c, name in enumerate(rig.names):
        subject = rng.integers(0, 2, len(xy))
        own = xy[:, :, :, c].copy()
        own[subject == 1] = own[subject == 1][:, ::-1]
        people[name] = OpenPosePeople(COCO_17, 0, own, np.ones(own.shape[:3]), subject)
    return people


def follow_wrongly(people: dict[str, OpenPosePeople], camera: str, frames: slice) -> dict[str, OpenPosePeople]:
    seen = people[camera]
    subject = seen.subject.copy()
    subject[frames] = 1 - subject[frames]
    wrong = OpenPosePeople(seen.landmark_set, seen.first_frame, seen.xy_px, seen.confidence, subject)
    return {**people, camera: wrong}


@pytest.mark.slow
def test_who_was_followed_rightly_stays() -> None:
    people = watched()
    agreed = agree_on_subject(people, make_rig(N_CAMERAS))
    assert set(agreed.changed.values()) == {0}
    assert all(np.array_equal(agreed.people[n].subject, people[n].subject) for n in people)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [slice(50, 90), slice(0, 200)])
def test_a_camera_that_follows_somebody_else_is_put_right(frames: slice) -> None:
    people = watched()
    agreed = agree_on_subject(follow_wrongly(people, "cam2", frames), make_rig(N_CAMERAS))
    assert all(np.array_equal(agreed.people[n].subject, people[n].subject) for n in people)
    assert agreed.changed == {"cam0": 0, "cam1": 0, "cam2": frames.stop - frames.start, "cam3": 0}


def test_a_camera_that_lost_the_subject_finds_him_again() -> None:
    people = watched()
    seen = people["cam1"]
    subject = seen.subject.copy()
    subject[20:60] = -1
    lost = OpenPosePeople(seen.landmark_set, 0, seen.xy_px, seen.confidence, subject)
    agreed = agree_on_subject({**people, "cam1": lost}, make_rig(N_CAMERAS))
    assert np.array_equal(agreed.people["cam1"].subject, seen.subject)
    assert agreed.changed["cam1"] == 40


def test_somebody_whom_only_one_camera_sees_is_not_taken() -> None:
    people = watched()
    seen = people["cam1"]
    hidden = np.where((np.arange(2) == seen.subject[:, None])[..., None, None], np.nan, seen.xy_px)
    subject = np.full(seen.subject.size, -1)
    lost = OpenPosePeople(seen.landmark_set, 0, hidden, np.ones(hidden.shape[:3]), subject)
    agreed = agree_on_subject({**people, "cam1": lost}, make_rig(N_CAMERAS))
    assert (agreed.people["cam1"].subject == -1).all()


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [("cam2",), ("cam0", "cam1"), ("cam2", "cam3"), ("cam0", "cam2", "cam3")])
def test_cameras_that_follow_the_bystander_are_put_right_however_many(wrong: tuple[str, ...]) -> None:
    """A vote would lead the others astray: the one who runs is the subject."""
    people = watched(kind=TrialKind.STATIC)
    misled = people
    for camera in wrong:
        misled = follow_wrongly(misled, camera, slice(0, 200))
    agreed = agree_on_subject(misled, make_rig(N_CAMERAS))
    assert all(np.array_equal(agreed.people[n].subject, people[n].subject) for n in people)
    assert agreed.changed == {n: 200 * (n in wrong) for n in people}
    assert "followed different people" in agreed.remark
    assert "times as much" in agreed.remark


def test_of_two_cameras_the_one_that_follows_the_runner_is_believed() -> None:
    people = dict(list(watched(kind=TrialKind.STATIC).items())[:2])
    rig = make_rig(N_CAMERAS).select(tuple(people))
    agreed = agree_on_subject(follow_wrongly(people, "cam0", slice(0, 200)), rig)
    assert all(np.mean(agreed.people[n].subject == people[n].subject) > 0.95 for n in people)


def test_a_tie_between_two_who_move_alike_is_refused() -> None:
    misled = watched()
    for camera in ("cam1", "cam3"):
        misled = follow_wrongly(misled, camera, slice(0, 200))
    with pytest.raises(InputError, match="different people, who move alike: cam0, cam2 and cam1, cam3") as refused:
        agree_on_subject(misled, make_rig(N_CAMERAS))
    assert "does not guess" in str(refused.value)
