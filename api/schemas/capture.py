"""Recording as JSON: what the station holds and does, and what it is asked for. Times in s and ms, lengths in mm."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.sent import Sent

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Answer = Annotated[str, Field(max_length=200)]


class StationPhase(StrEnum):
    """What the station is doing; closed: there is none."""

    CLOSED = "closed"
    OPENING = "opening"
    WALL = "wall"
    CHECKING = "checking"
    STARTING = "starting"
    RECORDING = "recording"
    FINISHING = "finishing"

    @property
    def is_taking(self) -> bool:
        """Whether a take is under way."""
        return self in (StationPhase.STARTING, StationPhase.RECORDING, StationPhase.FINISHING)


class ProblemDocument(BaseModel):
    """Why something did not go as asked, and what to do."""

    what: str
    fix: str


class StationCamera(BaseModel):
    """One camera now. `stored` and `lost` are of the take that runs, or of the last one; `said` is in words."""

    name: str
    label: str
    port: str
    state: str
    is_well: bool
    said: str
    fix: str
    wanted_hz: float
    rate_hz: float | None
    stored: int
    lost: int


class CheckLine(BaseModel):
    """One line of a check."""

    check: str
    outcome: Literal["pass", "warn", "fail"]
    what: str
    fix: str


class CheckDocument(BaseModel):
    """The last check of all cameras together."""

    at: str
    seconds: float
    passed: bool
    results: list[CheckLine]


class StepDocument(BaseModel):
    """A step of the visit. `trial` is the one that was kept."""

    number: int
    kind: str
    seconds: float
    speed_mps: float | None
    incline_pct: float
    state: Literal["waiting", "now", "done", "skipped"]
    trial: str | None


class VisitDocument(BaseModel):
    """The visit that is led. `missing`: why it is not complete yet, "" where it is."""

    subject: str
    session: str
    protocol: str
    calibration: str
    steps: list[StepDocument]
    missing: str


class CameraTally(BaseModel):
    """What became of one camera's frames."""

    name: str
    due: int
    stored: int
    lost: int


class VerdictDocument(BaseModel):
    """What the last take is worth. `trial`: its name or its folder in calibrations/; `after_s`: since its end."""

    trial: str
    advice: Literal["KEEP", "KEEP WITH NOTES", "REPEAT"]
    reasons: list[str]
    grade: str
    timing_ms: float | None
    error_mm: float | None
    after_s: float
    cameras: list[CameraTally]


class CoverageDocument(BaseModel):
    """Where one camera has seen the board of the calibration that is recorded. `seen`: looks that showed it;
    `together`: those in which another camera saw it too; `cells`: corners in each part of the picture, `columns` of
    them in a row, from the top left."""

    camera: str
    seen: int
    together: int
    columns: int
    cells: list[int]


class StationDocument(BaseModel):
    """The station of a lab: its rig, what it does, and its visit.

    `rig_file`: name of the rig's file in the lab, by whom and when its cameras were opened. `to_record`: a take follows
    the check that runs. `waiting`: what holds it up now. `take`: name of the trial that is recorded, or the folder of
    the calibration. `free_bytes`: null where the disk does not say.
    """

    version: str
    rig: str
    rig_file: str = ""
    opened_by: str = ""
    opened_at: str = ""
    phase: StationPhase
    to_record: bool = False
    problem: ProblemDocument | None = None
    waiting: ProblemDocument | None = None
    take: str = ""
    cameras: list[StationCamera] = []
    elapsed_s: float = 0.0
    planned_s: float = 0.0
    free_bytes: int | None = None
    minutes_left: float | None = None
    check: CheckDocument | None = None
    visit: VisitDocument | None = None
    verdict: VerdictDocument | None = None
    coverage: list[CoverageDocument] = []


class StationNew(Sent):
    """Open the cameras of a rig of the lab."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rig": "lab-4cam"}]})

    rig: Name


class VisitNew(Sent):
    """Begin a visit, or go on with one of this name; answers are texts, as they are typed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"subject": "S01", "protocol": "run-visit", "answers": {"shoes": "own"}}]}
    )

    subject: Name
    protocol: Name
    session: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")] = ""
    calibration: Annotated[str, Field(max_length=100)] = ""
    answers: dict[str, Answer] = Field(default={}, max_length=50)


class TakeNew(Sent):
    """Record the step that is next. `unchecked`: although no check passed lately."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"unchecked": False}]})

    unchecked: bool = False


class CalibrationNew(Sent):
    """Record a waved board. `unchecked`: although no check passed lately."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"board": "a3-7x5", "seconds": 40}]})

    board: Name
    seconds: float = Field(default=40.0, gt=0, le=600)
    unchecked: bool = False


class RecoveryDocument(BaseModel):
    """What became of a recording that was cut short."""

    recording: str
    recovered: bool
    state: str


class RecoveriesDocument(BaseModel):
    """All recordings that had been cut short."""

    recordings: list[RecoveryDocument]
