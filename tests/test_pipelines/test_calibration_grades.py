"""A lab may ask other figures of its calibrations; the report says so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from calibration.calibrate import CalibrateSettings, calibrate_corners
from calibration.pages.document import report_document
from calibration.rig.grade import GradeLimits, lag_criteria
from calibration.rig.report import check_gate
from labsys.core.errors import GateRefusedError, InputError, UnknownNameError
from pipelines.calibrating.grades_file import load_grades
from tests.test_calibration.board_scenes import make_scene, see_corners


def test_limits_are_read_in_the_words_of_the_report(tmp_path: Path) -> None:
    path = tmp_path / "grades.yaml"
    path.write_text("board_fit_mm: 2.5\nscale_pct: 1\nboards: 10\ncoverage_pct: 40\n")
    expected = asdict(GradeLimits()) | {"board_fit_m": 0.0025, "scale": 0.01, "boards": 10, "coverage": 0.4}
    assert asdict(load_grades(path)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [("board_fit: 2", "board_fit_mm"), ("boards: 0", "boards"), ("coverage_pct: 140", "coverage_pct"), ("- 1", "keys")],
)
def test_limits_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "grades.yaml"
    path.write_text(text)
    with pytest.raises((InputError, UnknownNameError), match=r"grades|keys") as refused:
        load_grades(path)
    assert message in f"{refused.value.what} {refused.value.remedy}"
    assert str(path) in refused.value.where


@pytest.mark.slow
def test_stricter_limits_give_a_refusal_and_are_told() -> None:
    scene = make_scene(3, seed=0, rate_hz=3.0)
    corners = see_corners(scene, noise_px=0.3, seed=0)
    usual = calibrate_corners(corners, lenses=scene.lenses).report
    limit_m = usual.quality.board_fit_m / 5
    strict = CalibrateSettings(grades=GradeLimits(board_fit_m=limit_m))
    report = calibrate_corners(corners, lenses=scene.lenses, settings=strict).report
    check_gate(usual)
    with pytest.raises(GateRefusedError, match=r"board fit .*grade A"):
        check_gate(report)
    assert report.criteria[0].excess == pytest.approx(5.0)
    assert report_document(report, calibration=None)["own_limits"] is True
    assert report_document(usual, calibration=None)["own_limits"] is False


def test_a_camera_half_a_frame_late_costs_the_grade_and_is_named() -> None:
    (late,) = lag_criteria(("cam0", "cam1", "cam2"), np.array([0.0, 0.45, -0.1]))
    assert "cam1 looks 0.45 of a frame after the others" in late.text
    assert 2.0 < late.excess < 4.0, "grade C"
    assert lag_criteria(("cam0", "cam1"), np.array([0.29, -0.29])) == ()
