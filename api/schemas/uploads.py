"""Uploads and the recordings that are made of them, as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.schemas.jobs import Setting
from api.schemas.sent import Code, Flag, Moment, Notes, Sent, Word
from api.schemas.trials import ConditionsDocument
from labsys.core.session import TrialKind
from pipelines.config import Profile


class UploadDocument(BaseModel):
    """A file that is here."""

    sha256: str
    size_bytes: int


class UploadedFile(Sent):
    """A file that was uploaded. Of its name only the ending counts."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    name: str = Field(max_length=200, pattern=r"^[^/\\\x00-\x1f]+\.[A-Za-z0-9]{1,8}$", examples=["cam1.mp4"])


Files = Annotated[
    dict[Code, UploadedFile], Field(default={}, max_length=32, json_schema_extra={"additionalProperties": False})
]
_VIDEO: dict[str, JsonValue] = {"sha256": "ab" * 32, "name": "cam1.mp4"}
_CALIBRATION: dict[str, JsonValue] = {"sha256": "cd" * 32, "name": "calibration.toml"}


class RecordingNew(Sent):
    """A recording, as `labsys import` takes it: videos, 2D landmarks (h5, csv) or 3D markers (trc), and calibration."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "S01",
                    "session": "2026-11-22",
                    "trial": "run1",
                    "kind": "run",
                    "conditions": {"surface": "treadmill", "speed_mps": 3.0},
                    "videos": {"cam1": _VIDEO},
                    "calibration": _CALIBRATION,
                }
            ]
        }
    )

    subject: Code
    session: Code
    trial: Code
    kind: TrialKind
    recorded_at: Moment | None = None
    conditions: ConditionsDocument = ConditionsDocument()
    static: Code | None = None
    notes: Notes = ""
    rate_hz: float | None = Field(default=None, ge=1, le=2000)
    world_axes: Word = Field(default="", description="What the axes of the calibration's world mean: forward=+x,up=+z")
    videos: Files
    landmarks2d: Files
    calibration: UploadedFile | None = None
    timestamps: UploadedFile | None = None
    markers: UploadedFile | None = None
    marker_map: UploadedFile | None = None
    process: Flag = Field(default=True, description="Also make its results; false only brings it in")
    profile: Profile = Profile.DEFAULT
    settings: list[Setting] = Field(default=[], max_length=100, description="KEY=VALUE, as with --set")
    gpu: int = Field(default=0, ge=0, le=16)
    priority: int = Field(default=0, ge=-100, le=100)

    def files(self) -> Iterator[UploadedFile]:
        """Every file that it is made of."""
        yield from (*self.videos.values(), *self.landmarks2d.values())
        single = (self.calibration, self.timestamps, self.markers, self.marker_map)
        yield from (file for file in single if file is not None)
