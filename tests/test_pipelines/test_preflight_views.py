"""Before a take: cameras that were moved, exchanged or turned since their calibration are told by their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labsys.capture.preflight.check import CheckResult, Outcome, Rehearsal
from labsys.capture.preflight.glance import N_BANDS, Glance, Gray
from labsys.storage.calibrations import save_calibration_folder
from labsys.storage.jpeg_video import JpegVideo
from labsys.storage.lab import Lab, create_lab
from labsys.storage.takes import StagedTake, Take
from pipelines.calibrating.source import CalibrationSource, find_take
from pipelines.preflight import outer_checks
from pipelines.preflight_views import ViewCheck
from tests.test_calibration.test_surroundings import draw_room
from tests.test_labsys.recorded_scene import rig_document, write_rig

SIZE_PX = (640, 480)
ROOMS = {"camA": draw_room(11, size_px=SIZE_PX), "camB": draw_room(12, size_px=SIZE_PX)}


@pytest.fixture(scope="module")
def lab_of_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, str]:
    """A lab with a calibration whose videos show a board that is waved before a room."""
    folder = tmp_path_factory.mktemp("views")
    lab = create_lab(folder / "lab", name="lab")

    def stage(staged: StagedTake) -> Take:
        for camera, room in ROOMS.items():
            staged.add_video(camera, _film(folder / f"{camera}.mkv", room))
        return staged.finish(rate_hz=30.0)

    name = save_calibration_folder(
        lab, label="rig", date="2026-11-30", calibration_toml="", original=None, report={}, stage_take=stage
    )
    return lab, name


def _film(path: Path, room: Gray) -> Path:
    video = JpegVideo(path, size_px=SIZE_PX, rate_hz=30.0)
    board = np.kron(np.indices((6, 4)).sum(axis=0) % 2, np.ones((25, 25))) * 255
    for i in range(45):
        picture = room.copy()
        picture[120 : 120 + board.shape[0], 10 * i : 10 * i + board.shape[1]] = board
        video.write(cv2.imencode(".jpg", picture)[1].tobytes(), i / 30.0)
    video.close()
    return path


def _glance(room: Gray, shift_px: float = 0.0) -> Glance:
    """What the camera sees now, with a runner in a sixth of it."""
    rng = np.random.default_rng(4)
    matrix = np.array([[1.0, 0.0, shift_px], [0.0, 1.0, 0.0]])
    picture = cv2.warpAffine(room, matrix, SIZE_PX, borderMode=cv2.BORDER_REPLICATE).astype(float)
    picture[80:420, 250:380] = rng.uniform(0, 255, (340, 130))
    seen = np.clip(0.8 * picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)
    view = np.asarray(cv2.resize(seen, (320, 240), interpolation=cv2.INTER_AREA), np.uint8)
    return Glance(np.arange(60) / 120.0, np.full((60, N_BANDS), 100.0), 0.0, view)


def _look(folder: Path, lab_of_two: tuple[Lab, str], glances: Mapping[str, Glance]) -> list[CheckResult]:
    rig = write_rig(folder / "rig.yaml", rig_document(cameras=2))
    (check,) = (c for c in outer_checks(*lab_of_two) if isinstance(c, ViewCheck))
    return list(check.look(Rehearsal(rig, folder, 10.0, 5.0, glances=glances)))


def test_cameras_that_stand_as_they_stood_pass(tmp_path: Path, lab_of_two: tuple[Lab, str]) -> None:
    found = _look(tmp_path, lab_of_two, {camera: _glance(room) for camera, room in ROOMS.items()})
    assert [r.outcome for r in found] == [Outcome.PASS, Outcome.PASS], found


@pytest.mark.parametrize(
    ("shift_px", "outcome", "what"),
    [
        (3.5, Outcome.WARN, "camB may have been moved: its picture lies 3."),
        (12.0, Outcome.FAIL, "camB was moved: its picture lies 12 px off"),
    ],
)
def test_a_camera_that_was_bumped_is_named_with_how_far(
    tmp_path: Path, lab_of_two: tuple[Lab, str], shift_px: float, outcome: Outcome, what: str
) -> None:
    moved = {"camA": _glance(ROOMS["camA"]), "camB": _glance(ROOMS["camB"], shift_px)}
    first, second = _look(tmp_path, lab_of_two, moved)
    assert first.outcome is Outcome.PASS
    assert second.outcome is outcome
    assert second.what.startswith(what)
    assert second.fix


def test_exchanged_cameras_are_named(tmp_path: Path, lab_of_two: tuple[Lab, str]) -> None:
    exchanged = {"camA": _glance(ROOMS["camB"]), "camB": _glance(ROOMS["camA"])}
    first, second = _look(tmp_path, lab_of_two, exchanged)
    assert [first.outcome, second.outcome] == [Outcome.FAIL, Outcome.FAIL]
    assert first.what.startswith("camA shows what camB showed when ")
    assert second.what.startswith("camB shows what camA showed when ")


def test_another_place_a_bare_wall_and_a_calibration_without_pictures_are_doubtful(
    tmp_path: Path, lab_of_two: tuple[Lab, str]
) -> None:
    bare = replace(_glance(ROOMS["camB"]), view=np.full((240, 320), 90, np.uint8))
    elsewhere, plain = _look(tmp_path, lab_of_two, {"camA": _glance(draw_room(13, size_px=SIZE_PX)), "camB": bare})
    assert elsewhere.what.startswith("camA shows hardly anything of what it showed")
    assert plain.what.startswith("the view of camB is too plain to tell")
    lab, _ = lab_of_two
    name = save_calibration_folder(
        lab, label="imported", date="2026-11-30", calibration_toml="x", original=None, report={}
    )
    (without,) = _look(tmp_path, (lab, name), {"camA": bare})
    assert "has no take" in without.what
    small = replace(bare, view=np.zeros((90, 160), np.uint8))
    other_size, unknown = _look(tmp_path, lab_of_two, {"camA": small, "camX": bare})
    assert other_size.what.endswith("which is of another size")
    assert unknown.what.endswith("which is missing")
    for found in (elsewhere, plain, without, other_size, unknown):
        assert (found.outcome, bool(found.fix)) == (Outcome.WARN, True)


def test_a_damaged_video_keeps_no_other_camera_from_its_check(
    tmp_path: Path, lab_of_two: tuple[Lab, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find_take(lab_of_two[1], lab_of_two[0])
    (tmp_path / "damaged.mkv").write_bytes(b"no video" * 1000)
    damaged = CalibrationSource({**source.videos, "camA": tmp_path / "damaged.mkv"})
    monkeypatch.setattr("pipelines.preflight_views.find_take", lambda *_: damaged)
    moved = {"camA": _glance(ROOMS["camA"]), "camB": _glance(ROOMS["camB"], 12.0)}
    first, second = _look(tmp_path, lab_of_two, moved)
    assert first.outcome is Outcome.WARN
    assert "which is no readable video" in first.what
    assert second.what.startswith("camB was moved")
    monkeypatch.setattr("pipelines.preflight_views.sample_gray_frames", lambda *_: iter(()))
    assert all("which holds no pictures" in r.what for r in _look(tmp_path, lab_of_two, moved))
