"""Tags on the chassis: found to a fraction of a pixel, surveyed, and named when they are not what the file says."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from calibration.placing.tags import (
    TagViews,
    find_tags,
    lab_from_tags,
    measure_treadmill,
    survey_tags,
    surveyed_corners,
    tag_corners,
)
from labsys.capture.tags import TagSet, format_tags, load_tags
from labsys.core.cameras import CameraRig
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.rigid import RigidTransform
from labsys.storage.video import read_gray_frames
from tests.test_api.rendered_lab import TAG_M, TAGS, TAGS_YAML, film, make_rig, mark

FAR = RigidTransform(np.diag([1.0, -1.0, -1.0]), np.array([0.0, -5.0, 0.0]))


@pytest.fixture
def tags(tmp_path: Path) -> TagSet:
    path = tmp_path / "tags.yaml"
    path.write_text(TAGS_YAML)
    return load_tags(path)


def see(rig: CameraRig, *, moved: dict[int, RigidTransform] | None = None, noise_px: float = 0.1) -> TagViews:
    """What the cameras see of the tags, each moved from its place by `moved`."""
    rng = np.random.default_rng(0)
    xy = np.empty((len(rig.cameras), len(TAGS), 4, 2))
    for i, (number, T) in enumerate(TAGS.items()):
        now = (moved or {}).get(number, RigidTransform.identity()) @ T
        for k, corner in enumerate(now.apply(tag_corners(TAG_M))):
            xy[:, i, k] = list(mark(rig, list(corner), rig.names).values())
    return TagViews(rig.names, tuple(TAGS), xy + rng.normal(0, noise_px, xy.shape))


def surveyed(tags: TagSet, **settings: float) -> TagSet:
    sd = {"up_sd_rad": 0.002, "heading_sd_rad": 0.003} | settings
    return survey_tags(see(make_rig(0)), make_rig(0), tags, day=date(2026, 11, 22), **sd)


def test_corners_are_found_to_a_fraction_of_a_pixel(tags: TagSet, tmp_path: Path) -> None:
    rig = make_rig(0)
    for given, camera in zip(film(tmp_path, rig, [FAR]), rig.cameras, strict=True):
        found = find_tags(read_gray_frames(Path(given.partition("=")[2])), tags)
        for quad, T in zip(found, TAGS.values(), strict=True):
            for corner, point in zip(quad, T.apply(tag_corners(TAG_M)), strict=True):
                assert np.linalg.norm(corner - mark(rig, list(point), [camera.name])[camera.name]) < 0.3


def test_a_survey_is_kept_as_a_file_that_reads_back(tags: TagSet, tmp_path: Path) -> None:
    known = surveyed(tags)
    path = tmp_path / "surveyed.yaml"
    path.write_text(format_tags(known))
    assert load_tags(path) == known
    truth = np.stack([T.apply(tag_corners(TAG_M)) for T in TAGS.values()])
    assert np.abs(surveyed_corners(known) - truth).max() < 0.003


def test_lab_from_tags_inherits_how_surely_the_survey_knew_it(tags: TagSet) -> None:
    T_elsewhere = RigidTransform.from_rotvec([0.5, -1.0, 0.3], [1.0, 2.0, 3.0])
    rig = make_rig(4)
    views = see(rig)
    turned = CameraRig(tuple(type(c)(c.name, c.intrinsics, c.T_cam_lab @ T_elsewhere) for c in rig.cameras))
    found = lab_from_tags(views, turned, surveyed(tags))
    both = found.T_lab_rig @ T_elsewhere.inverse()
    assert np.degrees(np.linalg.norm(both.as_rotvec())) < 0.1
    assert np.linalg.norm(both.translation_m) < 0.002
    assert 0.002 < found.up_sd_rad < 0.004
    assert 0.003 < found.heading_sd_rad < 0.005
    vague = lab_from_tags(views, turned, surveyed(tags, heading_sd_rad=float("nan")))
    assert np.isnan(vague.heading_sd_rad)


def test_a_tag_that_fell_off_is_named(tags: TagSet) -> None:
    known = surveyed(tags)
    fell = {7: RigidTransform(np.eye(3), np.array([0.05, 0.0, 0.03]))}
    with pytest.raises(InputError, match="tag 7 is not where it was surveyed"):
        lab_from_tags(see(make_rig(0), moved=fell), make_rig(0), known)


def test_what_the_survey_refuses(tags: TagSet) -> None:
    with pytest.raises(GateRefusedError, match="while up is unknown"):
        surveyed(tags, up_sd_rad=float("nan"))
    larger = tags.model_copy(update={"tags": tuple(t.model_copy(update={"size_m": 0.25}) for t in tags.tags)})
    with pytest.raises(InputError, match=r"tag 3 measures 200\.\d mm, its file says 250\.0 mm"):
        surveyed(larger)
    views = see(make_rig(0))
    hidden = np.where(np.arange(4)[None, :, None, None] == 1, np.nan, views.xy_px)
    with pytest.raises(InputError, match="tag 4 is not seen by two cameras"):
        survey_tags(
            TagViews(views.cameras, views.ids, hidden),
            make_rig(0),
            tags,
            day=date(2026, 11, 22),
            up_sd_rad=0.01,
            heading_sd_rad=0.01,
        )


def test_too_few_tags_say_who_sees_which(tags: TagSet) -> None:
    views = see(make_rig(0))
    hidden = views.xy_px.copy()
    hidden[1:, 2:] = np.nan
    with pytest.raises(InputError, match=r"2 tags are seen by two cameras.*cam1 sees 3, 4"):
        lab_from_tags(TagViews(views.cameras, views.ids, hidden), make_rig(0), surveyed(tags))


@pytest.mark.parametrize("incline_pct", [1.0, 10.0])
def test_the_incline_is_the_pitch_of_all_tags(tags: TagSet, incline_pct: float) -> None:
    pitched = RigidTransform.from_rotvec([0.0, 0.0, np.arctan(incline_pct / 100)], np.zeros(3))
    move = measure_treadmill(see(make_rig(0), moved=dict.fromkeys(TAGS, pitched)), make_rig(0), surveyed(tags))
    assert move is not None
    assert 100 * np.tan(move.pitch_rad) == pytest.approx(incline_pct, abs=0.15)
    assert abs(move.roll_rad) < 0.003
    assert move.misfit_m < 0.003
