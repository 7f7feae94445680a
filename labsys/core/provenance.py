"""What produced a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Provenance:
    """Everything that identifies one processing of a trial; the run's name is a hash of the identifying part.

    Attributes:
        version: labsys version. definition_version: version of the metric definitions.
        inputs: path inside the trial -> sha256 of what was read.
        parameters: dotted config key -> value as text.
        model: name and hash of the 2D model, or the format of imported landmarks.
        calibration: name of the calibration, empty for 3D markers.
        static: trial used for static referencing, empty when none.
        started_at: ISO-8601 UTC; seconds: stage -> wall time. Not part of the identity.
    """

    version: str
    definition_version: int
    inputs: Mapping[str, str]
    parameters: Mapping[str, str]
    model: str
    calibration: str
    static: str
    started_at: str
    seconds: Mapping[str, float]
