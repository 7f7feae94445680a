"""Rigs of UVC cameras: the rig file's part for driver v4l2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, model_validator

from labsys.capture.behaviour import VirtualCameras
from labsys.capture.device import Mode
from labsys.capture.rig_base import (
    SUPER_SPEED_BUS_MBPS,
    TRIGGER_SHARE,
    BusShare,
    FreeRun,
    HardwareTrigger,
    Positive,
    PositiveInt,
    RigBase,
    check_distinct,
    check_exposure,
    check_names,
)
from labsys.capture.strict_yaml import AS_TUPLE, Section, file_of
from labsys.core.errors import InputError, UnknownNameError

# Unit of the UVC control exposure_time_absolute.
UVC_EXPOSURE_S = 1e-4
# Pictures pass through unchanged: what is no JPEG fits neither the recorder's checks nor its container.
JPEG_FORMATS = ("MJPG", "JPEG")
_SUPER_SPEED_MBPS = 5000
# What a camera must not set by itself during a take, and the value with which it does not.
_AUTOMATIC = {"auto_exposure": 1, "white_balance_automatic": 0, "focus_automatic_continuous": 0}


class RollingShutter(Section):
    """Rows are exposed one after the other."""

    section: ClassVar[str] = "defaults.shutter (rolling)"
    kind: Literal["rolling"]
    row_us: Positive


class Expect(Section):
    """What a healthy stream looks like."""

    section: ClassVar[str] = "defaults.expect"
    jpeg_kb: Annotated[tuple[Positive, Positive], AS_TUPLE, Field(alias="jpeg_kB")]


class UvcMode(Section):
    """Format, size and rate that a UVC camera is set to."""

    section: ClassVar[str] = "defaults.mode (v4l2)"
    fourcc: Annotated[str, Field(min_length=4, max_length=4)]
    width: PositiveInt
    height: PositiveInt
    fps: Positive


class ControlStep(Section):
    """One control that is written on the way into or out of triggered mode."""

    section: ClassVar[str] = "defaults.trigger_enter, defaults.trigger_exit"
    control: str
    value: int


class UvcDefaults(Section):
    """What holds for every UVC camera that does not say otherwise."""

    section: ClassVar[str] = "defaults (v4l2)"
    mode: UvcMode
    buffers: Annotated[int, Field(ge=4, le=64)] = 32
    shutter: Literal["global"] | RollingShutter
    expect: Expect | None = None
    controls: dict[str, int]
    optional_controls: Annotated[tuple[str, ...], AS_TUPLE] = ()
    trigger_enter: Annotated[tuple[ControlStep, ...], AS_TUPLE] = ()
    trigger_exit: Annotated[tuple[ControlStep, ...], AS_TUPLE] = ()
    settle_frames: Annotated[int, Field(ge=0)] = 30


class UvcCamera(Section):
    """One UVC camera, found by the port that it is plugged into."""

    section: ClassVar[str] = "cameras.NAME (v4l2)"
    by_path: Annotated[str, Field(min_length=1)]
    usb_id: Annotated[str, Field(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]
    label: str = ""
    rotate: Literal[0, 90, 180, 270] = 0
    mode: UvcMode | None = None
    controls: dict[str, int] = Field(default_factory=dict)


class Record(Section):
    """How a UVC take is written: compressed frames pass through unchanged."""

    section: ClassVar[str] = "record (v4l2)"
    container: Literal["mkv"] = "mkv"
    codec: Literal["copy"] = "copy"
    flush_packets: Literal[True] = True
    fsync_s: Positive = 2.0
    queue_s: Positive = 3.0
    max_minutes: Positive = 20.0


class UvcRig(RigBase):
    """A rig of UVC cameras (driver v4l2), or of what stands in for them (opencv on other systems, virtual)."""

    section: ClassVar[str] = "rig (v4l2)"
    driver: Literal["v4l2", "opencv", "virtual"]
    virtual: VirtualCameras | None = None
    defaults: UvcDefaults
    cameras: Annotated[dict[str, UvcCamera], Field(min_length=1)]
    record: Record = Record()

    def mode_of(self, camera: str) -> UvcMode:
        """Mode of one camera: its own, else the default."""
        return self.cameras[camera].mode or self.defaults.mode

    def controls_of(self, camera: str) -> dict[str, int]:
        """Controls of one camera: the defaults, with its own over them."""
        return {**self.defaults.controls, **self.cameras[camera].controls}

    def stream_of(self, camera: str) -> Mode:
        """What a camera is set to deliver."""
        mode = self.mode_of(camera)
        return Mode(mode.fourcc, mode.width, mode.height, mode.fps)

    def port_of(self, camera: str) -> str:
        """Where a camera is found."""
        return self.cameras[camera].by_path

    def label_of(self, camera: str) -> str:
        """What people call it, "" where it has no other name."""
        return self.cameras[camera].label

    def rotation_of(self, camera: str) -> int:
        """By how much its picture is turned for people, degrees clockwise."""
        return self.cameras[camera].rotate

    def plug_in(self, camera: str) -> str:
        """What to do where a camera is not there."""
        return f"Plug {camera} into the port {self.port_of(camera)}"

    def identity_of(self, camera: str) -> str:
        """USB vendor:product that the port should show."""
        return self.cameras[camera].usb_id

    def bus_share(self, camera: str, told: Mapping[str, object]) -> BusShare:  # noqa: ARG002
        """What a camera sends on its bus is what it was seen to send: it compresses by itself."""
        speed = told.get("speed_mbps", 0)
        fast = isinstance(speed, int) and speed >= _SUPER_SPEED_MBPS
        return BusShare(str(told.get("bus", "")), SUPER_SPEED_BUS_MBPS if fast else self.limits.hs_bus_mbps)

    @property
    def usual_jpeg_kb(self) -> tuple[float, float] | None:
        """Least and most that a picture usually has, where the file says."""
        return self.defaults.expect.jpeg_kb if self.defaults.expect is not None else None

    @property
    def slow_fix(self) -> str:
        """What to do where a camera runs slower than it should."""
        return "Set a manual exposure shorter than a frame, and exposure_dynamic_framerate as its profile says"

    def find_automatic(self, camera: str, controls: Mapping[str, int]) -> list[tuple[str, str]]:
        """What the camera sets by itself and the file does not forbid, each with its fix. controls: as read back."""
        asked = self.controls_of(camera)
        return [
            (f"{control} is {controls[control]}", f"Set {control}: {manual} under controls")
            for control, manual in _AUTOMATIC.items()
            if controls.get(control, manual) != manual and control not in asked
        ]

    def opening_controls(self, camera: str) -> dict[str, int]:
        """What is written on every opening: the controls, and the way into triggered mode after them."""
        steps = () if isinstance(self.sync, FreeRun) else self.defaults.trigger_enter
        return self.controls_of(camera) | {step.control: step.value for step in steps}

    @property
    def leaving_controls(self) -> dict[str, int]:
        """What is written when a camera is left: the way out of triggered mode."""
        steps = () if isinstance(self.sync, FreeRun) else self.defaults.trigger_exit
        return {step.control: step.value for step in steps}

    @property
    def optional_controls(self) -> tuple[str, ...]:
        """Controls that a camera may lack."""
        return self.defaults.optional_controls

    @property
    def settle_frames(self) -> int:
        """Frames that are let pass before a take."""
        return self.defaults.settle_frames

    @property
    def is_rolling(self) -> bool:
        """Whether rows are exposed one after the other."""
        return isinstance(self.defaults.shutter, RollingShutter)

    @property
    def nodes(self) -> None:
        """UVC cameras have none."""
        return

    def rate_of(self, camera: str) -> float:
        """Frames per second that the camera will deliver, Hz."""
        return self.mode_of(camera).fps if isinstance(self.sync, FreeRun) else self.sync.fps

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> UvcRig:
        file = file_of(info)
        names = tuple(self.cameras)
        check_names(self.name, names, file)
        self.check_sync(names, file)
        self._check_virtual(file)
        check_distinct("port (by_path)", [c.by_path for c in self.cameras.values()], file)
        for control in self.defaults.optional_controls:
            if control not in self.defaults.controls:
                raise UnknownNameError(
                    "control", control, valid=self.defaults.controls, where=f"{file}: optional_controls"
                )
        for name in names:
            self._check_format(name, file)
            self._check_rate(name, file)
            exposure = self.controls_of(name).get("exposure_time_absolute")
            if exposure is not None:
                check_exposure(exposure * UVC_EXPOSURE_S, self.rate_of(name), self.task, f"{file}: {name}")
        return self

    def _check_format(self, camera: str, file: str) -> None:
        fourcc = self.mode_of(camera).fourcc
        if fourcc not in JPEG_FORMATS:
            raise InputError(
                f"{camera} has format {fourcc}, only JPEG pictures are recorded",
                where=file,
                remedy=f"Use fourcc {' or '.join(JPEG_FORMATS)}",
            )

    def _check_virtual(self, file: str) -> None:
        if (self.virtual is None) != (self.driver != "virtual"):
            raise InputError("driver virtual and the section virtual belong together", where=file)
        if isinstance(self.sync, HardwareTrigger) and (self.sync.source == "virtual") != (self.driver == "virtual"):
            raise InputError(
                f"pulses of source {self.sync.source} do not reach cameras of driver {self.driver}",
                where=file,
                remedy="Virtual cameras take source: virtual, others source: pico",
            )
        for name in self.virtual.behaviour if self.virtual else ():
            if name not in self.cameras:
                raise UnknownNameError("camera", name, valid=self.cameras, where=f"{file}: virtual.behaviour")

    def _check_rate(self, camera: str, file: str) -> None:
        if isinstance(self.sync, FreeRun):
            return
        share = TRIGGER_SHARE if isinstance(self.sync, HardwareTrigger) else 1.0
        most = share * self.mode_of(camera).fps
        if self.sync.fps > most:
            raise InputError(
                f"{self.sync.fps:g} fps is more than {camera} can follow in a mode of {self.mode_of(camera).fps:g} fps",
                where=file,
                remedy=f"Use at most {most:g} fps",
            )
