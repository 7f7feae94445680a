"""What a drift check tells a person, and which earlier trial it may lean on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from labsys.core.camera_audit import CameraMotion, DriftAudit
from labsys.core.session import TrialName
from pipelines.drift import describe_motion, drift_warning

NAME = TrialName("S01", "2026-11-22", "run1")
TURNED = CameraMotion("camB", "turn", 100.0, 0.0052, 0.0003, 0.0, 0.0, 4.8)
STILL = tuple(CameraMotion(c, "shift", 2.0, 0.0, 0.0, 0.0004, 0.0003, 0.1) for c in ("camA", "camC", "camD", "camE"))
ONE = DriftAudit(suspects=("camB",), motions=(TURNED, *STILL), n_frames=200)


def test_a_motion_is_told_in_degrees_and_millimetres() -> None:
    assert describe_motion(TURNED) == "camB turned by 0.30 ± 0.02° (4.8 px in its image)"
    both = replace(TURNED, move="both", shift_m=0.004, shift_sd_m=0.001)
    assert describe_motion(both) == "camB turned by 0.30 ± 0.02° and shifted by 4.0 ± 1.0 mm (4.8 px in its image)"


def test_no_camera_moved_is_no_warning() -> None:
    assert drift_warning(replace(ONE, suspects=()), NAME) is None
    assert drift_warning(DriftAudit(unchecked="12 frames are too few"), NAME) is None


@pytest.mark.parametrize(
    ("drift", "said", "repairable"),
    [
        (ONE, "since its calibration", True),
        (replace(ONE, since="S01/2026-11-22/run0"), "since S01/2026-11-22/run0", True),
        (replace(ONE, suspects=("camB", "camA")), "camB or camA", False),
        (replace(ONE, others_moved=("camA",)), "camA as well", False),
        (replace(ONE, others_moved=("camA", "camC", "camD")), "no longer fit each other", False),
    ],
)
def test_the_warning_names_camera_and_remedy(drift: DriftAudit, said: str, repairable: bool) -> None:
    warning = drift_warning(drift, NAME)
    assert warning is not None
    assert said in warning
    assert (f"labsys recalibrate {NAME}" in warning) is repairable
    assert ("calibrate again with the board" in warning) is not repairable
