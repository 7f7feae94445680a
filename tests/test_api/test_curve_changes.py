"""When a stretch of the stride may be called larger than error, and what is said otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from api.commands.comparison_text import _curve_lines
from api.report.comparison import _stretches
from api.views import curve_changes
from labsys.core.motion import StrideCurves
from labsys.core.skeleton import Side
from labsys.core.units import radians
from labsys.longitudinal import Visit
from tests.test_labsys.compared_visits import make_visit


def _curves(n: int, shift_deg: float, seed: int) -> tuple[StrideCurves, ...]:
    noise = radians(1.0) * np.random.default_rng(seed).standard_normal((n, 1))
    hip = np.radians(20.0 * np.sin(np.linspace(0.0, 2.0 * np.pi, 101)) + shift_deg) + noise
    return (StrideCurves("hip_flexion", Side.LEFT, tuple(range(n)), hip),)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two visits whose hip flexes 20° apart throughout the stride, with so many strides each."""

    def compare(n: int, pre: Visit, post: Visit) -> dict[str, Any]:
        kept = {
            capture.name: _curves(n, shift, i)
            for i, (visit, shift) in enumerate(((pre, 0.0), (post, 20.0)))
            for capture in visit.captures
        }
        monkeypatch.setattr(curve_changes, "_read", lambda _, capture: kept[capture.name])
        found = curve_changes.compare_curves(None, pre, post, angle="hip_flexion")  # type: ignore[arg-type]
        return next(c for c in found if c["side"] == "left")

    return compare


def test_strides_enough_for_a_verdict_make_a_stretch_count(compared: Any) -> None:
    curve = compared(28, make_visit("2026-01-01"), make_visit("2026-03-01"))
    assert curve["reason"] is None
    assert [c["larger_than_error"] for c in curve["clusters"]] == [True]
    assert "hip_flexion left: 0-100 % of the stride" in "\n".join(_curve_lines([curve]))


def test_with_fewer_strides_than_a_verdict_needs_nothing_counts(compared: Any) -> None:
    curve = compared(20, make_visit("2026-01-01"), make_visit("2026-03-01"))
    assert curve["reason"] == "indicative only, 20 strides: no stretch can count below 25"
    assert [c["larger_than_error"] for c in curve["clusters"]] == [False]
    said = "\n".join(_curve_lines([curve]))
    assert "nothing" not in said
    assert "no verdict on 1 of 1 curves: indicative only, 20 strides" in said
    assert "further stretches" not in said, "what another day would do is not known of them"
    assert _stretches([curve]).startswith("no verdict on 1 of 1 curves (indicative only")


def test_angles_from_standing_are_not_laid_over_absolute_ones(compared: Any) -> None:
    curve = compared(28, make_visit("2026-01-01", has_static=True), make_visit("2026-03-01", has_static=False))
    assert "no static trial for 2026-03-01/run1" in curve["reason"]
    assert curve["clusters"] == []
