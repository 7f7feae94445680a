"""`labsys model propose`: labels of two views, carried into the others; what people did is never undone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from _pytest.capture import CaptureResult

from api.cli import main
from calibration.formats import write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind
from labsys.storage.exchange.dlc_project import DlcProject, Labels, list_groups, read_labels, write_labels
from pipelines.modelling.carrying import carry_points
from pipelines.modelling.project import calibration_file
from pipelines.modelling.proposals import ProposalBook, load_book, save_book
from pipelines.modelling.propose import ProposedSet, propose_labels
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial

from .labelled_project import PARTS, RIG, make_project, truth_m

pytestmark = pytest.mark.slow

CAMERAS = RIG.names


@pytest.fixture
def project(tmp_path: Path) -> DlcProject:
    """One recording by three cameras, of which the third has no labels yet."""
    made = make_project(tmp_path / "labels", captures=1)
    for table in made.pictures(f"take0__{CAMERAS[2]}").glob("CollectedData*"):
        table.unlink()
    return made


def _propose(project: DlcProject) -> ProposedSet:
    return propose_labels(project, progress=SilentProgress())


def _labels(project: DlcProject, camera: int) -> np.ndarray:
    return read_labels(project, f"take0__{CAMERAS[camera]}").xy_px


def _change(project: DlcProject, camera: int, picture: int, part: int, xy_px: object) -> None:
    """What a person does in the labelling tool."""
    group = f"take0__{CAMERAS[camera]}"
    labels = read_labels(project, group)
    labels.xy_px[picture, part] = xy_px
    write_labels(project, group, Labels(labels.pictures, labels.xy_px))


# ---- what is carried


def test_two_of_six_views_give_the_other_four_within_three_px() -> None:
    """Clicks 1.5 px off per axis (standard deviation) in pictures 720 px high."""
    rig = make_rig(6, size_px=(1280, 720))
    trial = make_trial(RunnerParameters(), kind=TrialKind.RUN, seconds=2.0, rate_hz=50.0, seed=4)
    truth_px = project_rig(rig, trial.landmarks.xyz_m[::5])
    rng = np.random.default_rng(0)
    for pair in ((0, 1), (0, 2), (3, 5)):
        labels_px = np.full_like(truth_px, np.nan)
        labels_px[:, :, pair] = truth_px[:, :, pair] + rng.normal(0.0, 1.5, (*truth_px.shape[:2], 2, 2))
        carried = carry_points(rig, labels_px)
        others = [c for c in range(6) if c not in pair]
        errors_px = np.linalg.norm(carried.xy_px - truth_px, axis=-1)[:, :, others]
        assert np.isfinite(errors_px).mean() > 0.97
        assert np.nanmedian(errors_px) < 2.0
        assert np.nanpercentile(errors_px, 95) < 5.0


def test_cameras_that_face_each_other_leave_depth_open_and_it_is_said() -> None:
    rig = make_rig(6, size_px=(1280, 720))
    trial = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=1.0, rate_hz=10.0, seed=4)
    truth_px = project_rig(rig, trial.landmarks.xyz_m[:3])
    labels_px = np.full_like(truth_px, np.nan)
    labels_px[:, :, [0, 3]] = truth_px[:, :, [0, 3]]
    carried = carry_points(rig, labels_px)
    assert any("leave its depth open" in why or "nearly one side" in why for _, _, why in carried.doubts)
    errors_px = np.linalg.norm(carried.xy_px - truth_px, axis=-1)
    assert np.nanmax(errors_px) < 1e-3


def test_labels_of_two_places_are_refused_and_named() -> None:
    truth_px = project_rig(RIG, truth_m(0, 2))
    labels_px = truth_px.copy()
    labels_px[:, :, 2] = np.nan
    labels_px[1, 3, 0] += [0.0, 30.0]
    carried = carry_points(RIG, labels_px)
    ((moment, part, why),) = carried.doubts
    assert (moment, part) == (1, 3)
    assert "do not meet" in why
    assert np.isnan(carried.xy_px[1, 3]).all()
    labels_px[:, :, 2] = truth_px[:, :, 2]
    ((moment, part, why),) = carry_points(RIG, labels_px).doubts
    assert f"the label in {CAMERAS[0]} is 30 px from where the others put it" in why


# ---- what is written


def test_the_third_view_gets_what_two_have_and_the_work_saved_is_said(project: DlcProject) -> None:
    by_hand = {camera: _labels(project, camera) for camera in (0, 1)}
    done = _propose(project)
    truth_px = project_rig(RIG, truth_m(0, 2))
    both = np.isfinite(by_hand[0]).all(axis=-1) & np.isfinite(by_hand[1]).all(axis=-1)
    inside = ((truth_px[:, :, 2] >= 0) & (truth_px[:, :, 2] <= [319, 179])).all(axis=-1)
    found = _labels(project, 2)
    assert done.proposed == np.isfinite(found[..., 0]).sum() > 8
    np.testing.assert_array_equal(np.isfinite(found[..., 0]), both & inside)
    np.testing.assert_allclose(found[both & inside], truth_px[:, :, 2][both & inside], atol=1e-6)
    n_by_hand = sum(int(np.isfinite(xy[..., 0]).sum()) for xy in by_hand.values())
    assert done.by_hand == n_by_hand
    assert done.saved == done.proposed / (done.proposed + n_by_hand)
    for camera, xy_px in by_hand.items():
        np.testing.assert_array_equal(_labels(project, camera), xy_px)


def test_a_second_run_keeps_what_a_person_did_and_makes_the_rest_anew(project: DlcProject) -> None:
    _propose(project)
    first = _labels(project, 2)
    moved, deleted, left = np.flatnonzero(np.isfinite(first[0, :, 0]))[:3]
    _change(project, 2, 0, moved, first[0, moved] + 4.0)
    _change(project, 2, 0, deleted, np.nan)
    _change(project, 0, 0, left, _labels(project, 0)[0, left] + [0.0, 1.0])
    done = _propose(project)
    again = _labels(project, 2)
    np.testing.assert_allclose(again[0, moved], first[0, moved] + 4.0)
    assert np.isnan(again[0, deleted]).all()
    assert done.kept_away == 1
    assert 0.01 < np.linalg.norm(again[0, left] - first[0, left]) < 5.0
    assert PARTS[moved] not in load_book(project).proposed[f"take0__{CAMERAS[2]}"]["img0000.png"]
    np.testing.assert_allclose(again[1], first[1])
    third = _propose(project)
    assert third.proposed == done.proposed
    assert third.kept_away == 1


def test_what_a_person_left_out_of_a_picture_is_not_filled_in(project: DlcProject) -> None:
    _change(project, 1, 0, 2, np.nan)
    _propose(project)
    assert np.isnan(_labels(project, 1)[0, 2]).all()


def test_a_crash_between_book_and_tables_takes_no_proposal_for_a_persons_label(project: DlcProject) -> None:
    before = _propose(project)
    book = load_book(project)
    save_book(project, ProposalBook(book.proposed, book.removed, written=False))
    group = f"take0__{CAMERAS[2]}"
    labels = read_labels(project, group)
    write_labels(project, group, Labels(labels.pictures, np.full_like(labels.xy_px, np.nan)))
    after = _propose(project)
    assert (after.proposed, after.kept_away) == (before.proposed, 0)


# ---- what cannot be


def test_projects_without_calibration_or_common_moments_are_refused(
    project: DlcProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _terminal(capsys, "model", "propose", project.folder)
    assert "% of all labels of these moments" in said.out
    assert "delete points that are hidden" in said.err
    both = np.isfinite(_labels(project, 0) + _labels(project, 1)).all(axis=-1)
    part = int(both[0].argmax())
    _change(project, 0, 0, part, _labels(project, 0)[0, part] + [0.0, 40.0])
    said = _terminal(capsys, "model", "propose", project.folder)
    assert "to look at: 1 of " in said.out
    assert f"look at take0 img0000.png {PARTS[part]}: labels in cam0, cam1 do not meet" in said.out
    told = json.loads(_terminal(capsys, "model", "propose", project.folder, "--json").out)
    assert 0.1 < told["saved"] < 0.5
    for group in list_groups(project)[1:]:
        for table in project.pictures(group).glob("CollectedData*"):
            table.unlink()
    (project.folder / "proposals.json").unlink()
    said = _terminal(capsys, "model", "propose", project.folder, code=2)
    assert "no point is labelled in two views of a moment" in said.err
    other = make_rig(3, size_px=(640, 360))
    write_anipose(calibration_file(project, "take0"), Calibration(other, "test"))
    with pytest.raises(InputError, match="is 320x180 px; the calibration of camera cam0 is for 640x360"):
        _propose(project)
    (project.folder / "labsys.json").unlink()
    with pytest.raises(InputError, match="no calibrated recording"):
        _propose(project)


def _terminal(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> CaptureResult[str]:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert left.value.code == code, said.err
    return said
