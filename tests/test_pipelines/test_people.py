"""Two people in the picture: all cameras together know who the subject is."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.projection import project_rig
from labsys.core.skeleton import COCO_17
from labsys.storage.exchange.openpose import OpenPosePeople
from pipelines.people import agree_on_subject
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial

N_CAMERAS = 4


def watched(noise_px: float = 2.0, aside_m: float = 0.9) -> dict[str, OpenPosePeople]:
    """A runner, and somebody else beside the treadmill, in every camera; people in an order that changes."""
    runner = make_trial(RunnerParameters(), seconds=2.0, rate_hz=100.0, seed=3).landmarks
    points = runner.xyz_m[:, :17]
    other = make_trial(RunnerParameters(speed_mps=2.5), seconds=2.0, rate_hz=100.0, seed=8).landmarks.xyz_m[:, :17]
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


def test_who_was_followed_rightly_stays() -> None:
    people = watched()
    agreed, changed = agree_on_subject(people, make_rig(N_CAMERAS))
    assert set(changed.values()) == {0}
    assert all(np.array_equal(agreed[n].subject, people[n].subject) for n in people)


@pytest.mark.parametrize("frames", [slice(50, 90), slice(0, 200)])
def test_a_camera_that_follows_somebody_else_is_put_right(frames: slice) -> None:
    people = watched()
    agreed, changed = agree_on_subject(follow_wrongly(people, "cam2", frames), make_rig(N_CAMERAS))
    assert all(np.array_equal(agreed[n].subject, people[n].subject) for n in people)
    assert changed == {"cam0": 0, "cam1": 0, "cam2": frames.stop - frames.start, "cam3": 0}


def test_a_camera_that_lost_the_subject_finds_him_again() -> None:
    people = watched()
    seen = people["cam1"]
    subject = seen.subject.copy()
    subject[20:60] = -1
    lost = OpenPosePeople(seen.landmark_set, 0, seen.xy_px, seen.confidence, subject)
    agreed, changed = agree_on_subject({**people, "cam1": lost}, make_rig(N_CAMERAS))
    assert np.array_equal(agreed["cam1"].subject, seen.subject)
    assert changed["cam1"] == 40


def test_somebody_whom_only_one_camera_sees_is_not_taken() -> None:
    people = watched()
    seen = people["cam1"]
    hidden = np.where((np.arange(2) == seen.subject[:, None])[..., None, None], np.nan, seen.xy_px)
    subject = np.full(seen.subject.size, -1)
    lost = OpenPosePeople(seen.landmark_set, 0, hidden, np.ones(hidden.shape[:3]), subject)
    agreed, _ = agree_on_subject({**people, "cam1": lost}, make_rig(N_CAMERAS))
    assert (agreed["cam1"].subject == -1).all()
