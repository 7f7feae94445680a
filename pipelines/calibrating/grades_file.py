"""Grade files: YAML to what a lab asks of its calibrations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from calibration.rig.grade import GradeLimits
from labsys.capture.strict_yaml import Section, parse_section, read_mapping

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


class GradesFile(Section):
    """Limits of grade A; B allows twice, C four times as much. What is left out stays as it is."""

    section: ClassVar[str] = "grades"
    board_fit_mm: _Positive | None = None
    heldout_px: _Positive | None = None
    heldout_freerun_px: _Positive | None = None
    scale_pct: _Percent | None = None
    square_pct: _Percent | None = None
    boards: Annotated[int, Field(ge=1)] | None = None
    coverage_pct: _Percent | None = None
    kept_pct: _Percent | None = None


def load_grades(path: Path) -> GradeLimits:
    """Read a grades file.

    Raises:
        UnknownNameError: an unknown key; names the nearest. InputError: unreadable, or a value that cannot be.
    """
    written = parse_section(GradesFile, read_mapping(path), path=path).model_dump(exclude_none=True)
    factor = {"mm": 1e-3, "pct": 1e-2}
    new = {"board_fit_mm": "board_fit_m", **{f"{k}_pct": k for k in ("scale", "square", "coverage", "kept")}}
    values = {new.get(key, key): value * factor.get(key.rsplit("_", 1)[-1], 1) for key, value in written.items()}
    return GradeLimits(**values)
