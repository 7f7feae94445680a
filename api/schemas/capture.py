"""Recording as JSON: what the station holds and does, and what it is asked for. Times in s and ms, lengths in mm."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.schemas.sent import Flag, Sent

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Answer = Annotated[str, Field(max_length=200)]
BoardTakeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


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
    """One camera now. `stored` and `lost` are of the take that runs, or of the last one; `said` is in words.
    `rotate_deg`: by how much its picture is turned for people, clockwise."""

    name: str
    label: str
    rotate_deg: int = 0
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


class AfterDocument(BaseModel):
    """What follows the trial that was kept last. `job`: its processing, null where none was queued; `why_not` says why.
    `look_s`: about how long a first look takes, null where none was made in this lab yet; `look_why_not`: why none can
    be had."""

    trial: str
    job: str | None
    why_not: str
    look_s: float | None
    look_why_not: str


class CoverageDocument(BaseModel):
    """Where one camera has seen the board of the calibration that is recorded. `seen`: looks that showed it;
    `together`: those in which another camera saw it too; `cells`: corners in each part of the picture, `columns` of
    them in a row, from the top left. `covered_pct`: of the picture lay inside the outline of some board. `missing`:
    what a calibration of grade A still wants of it, in words; "" where that is enough."""

    camera: str
    seen: int
    together: int
    columns: int
    cells: list[int]
    covered_pct: float = 0.0
    missing: str = ""


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
    to_record: Flag = False
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
    after: AfterDocument | None = None
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

    unchecked: Flag = False


class LookNew(Sent):
    """A first look at a trial that was recorded: 10 s of its middle, indicative at most."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"trial": "S01/2026-11-22/run1"}]})

    trial: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,64}$")


class CalibrationNew(Sent):
    """Record a waved board. `unchecked`: although no check passed lately."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"board": "a3-7x5", "seconds": 40}]})

    board: Name
    seconds: float = Field(default=40.0, gt=0, le=600)
    unchecked: Flag = False


class PlacingNew(Sent):
    """Where LAB is: surveyed `tags` of the lab, or the board that lay on the belt, its columns running `along`, between
    two moments of the take; `level`: it was levelled."""

    tags: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")] = ""
    along: Literal["", "forward", "backward", "left", "right"] = ""
    from_s: float = Field(default=0.0, ge=0, le=3600)
    until_s: float = Field(default=0.0, ge=0, le=3600)
    level: Flag = False

    @model_validator(mode="after")
    def _says_where(self) -> Self:
        if bool(self.tags) == bool(self.along):
            raise ValueError(
                "name tags, or say which way the columns of the board ran that lay on the belt; one of both"
            )
        if self.along and self.until_s - self.from_s < 1.0:
            raise ValueError("the board has to lie on the belt for a second or longer")
        return self


class BoardJobNew(Sent):
    """Calibrate from the take of a waved board. `board`: where none was kept with the take. `lenses`: calibration whose
    lenses are taken over; found from this take where none is named."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"take": "2026-11-22_lab-4cam_001", "placing": {"tags": "treadmill"}}]}
    )

    take: BoardTakeName
    board: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")] = ""
    lenses: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,99})?$")] = ""
    placing: PlacingNew


class BoardCheckNew(Sent):
    """Check a calibration with the take of a waved board. `calibration`: the latest where none is named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"take": "2026-11-22_lab-4cam_001"}]})

    take: BoardTakeName
    board: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")] = ""
    calibration: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,99})?$")] = ""
    tags: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?$")] = ""


class RecoveryDocument(BaseModel):
    """What became of a recording that was cut short."""

    recording: str
    recovered: bool
    state: str


class RecoveriesDocument(BaseModel):
    """All recordings that had been cut short."""

    recordings: list[RecoveryDocument]
