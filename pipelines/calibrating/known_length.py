"""Known-length files: YAML to the calibration's KnownLength."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from calibration.rig.scale import KnownLength
from labsys.capture.strict_yaml import Section, parse_section, read_mapping

_Ends = list[Annotated[list[float], Field(min_length=2, max_length=2)]]


class KnownLengthFile(Section):
    """A length that a tape measured, and where its two ends lie in the images of two cameras or more."""

    section: ClassVar[str] = "known length"
    name: str
    length_m: Annotated[float, Field(gt=0, lt=50, allow_inf_nan=False)]
    ends_px: dict[str, Annotated[_Ends, Field(min_length=2, max_length=2)]]


def load_known_length(path: Path) -> KnownLength:
    """Read a known-length file.

    Raises:
        UnknownNameError: an unknown key; names the nearest. InputError: unreadable, or not two ends of two numbers.
    """
    written = parse_section(KnownLengthFile, read_mapping(path), path=path)
    ends = {camera: np.asarray(points, dtype=np.float64) for camera, points in written.ends_px.items()}
    return KnownLength(written.name, written.length_m, ends)
