"""Rigs of machine-vision cameras: the rig file's part for driver genicam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, model_validator

from labsys.capture.device import Mode
from labsys.capture.node_setup import Node, NodeSetup
from labsys.capture.rig_base import (
    SUPER_SPEED_BUS_MBPS,
    BusShare,
    FreeRun,
    Positive,
    PositiveInt,
    RigBase,
    check_distinct,
    check_exposure,
    check_names,
)
from labsys.capture.strict_yaml import AS_TUPLE, Section, file_of
from labsys.core.errors import InputError

NodeValue = bool | int | float | str | list[str]


class GenicamLibrary(Section):
    """Through which library GenICam cameras are opened."""

    section: ClassVar[str] = "genicam"
    backend: Literal["pypylon", "harvesters"]
    cti: Annotated[tuple[str, ...], AS_TUPLE] = ()


class GenicamMode(Section):
    """Pixel format and region of a machine-vision camera."""

    section: ClassVar[str] = "defaults.mode (genicam)"
    pixel_format: str
    width: PositiveInt
    height: PositiveInt
    offset_x: Annotated[int, Field(ge=0)] = 0
    offset_y: Annotated[int, Field(ge=0)] = 0


class ClockMap(Section):
    """How camera time becomes host time."""

    section: ClassVar[str] = "defaults.clock"
    map: Literal["timestamp_latch", "ptp"]
    every_s: Positive = 10.0
    max_offset_us: Positive | None = None


class GenicamDefaults(Section):
    """What holds for every machine-vision camera. Nodes are written in order and read back."""

    section: ClassVar[str] = "defaults (genicam)"
    mode: GenicamMode
    buffers: Annotated[int, Field(ge=4)] = 64
    nodes: Annotated[tuple[dict[str, NodeValue], ...], AS_TUPLE] = ()
    clock: ClockMap

    def node(self, name: str) -> NodeValue | None:
        """Last value that is written to this node, or None."""
        found = [step[key] for step in self.nodes for key in (name, f"!{name}") if key in step]
        return found[-1] if found else None


class GenicamCamera(Section):
    """One machine-vision camera, found by its serial number."""

    section: ClassVar[str] = "cameras.NAME (genicam)"
    serial: Annotated[str, Field(min_length=1)]
    label: str = ""
    controller: str = ""


class EncodeJpeg(Section):
    """All-intra grey JPEG on the processor."""

    section: ClassVar[str] = "record.encode (turbojpeg_gray)"
    kind: Literal["turbojpeg_gray"]
    quality: Annotated[int, Field(ge=1, le=100)] = 92


class EncodeNvenc(Section):
    """H.264 on the graphics card."""

    section: ClassVar[str] = "record.encode (nvenc_h264)"
    kind: Literal["nvenc_h264"]
    gpu: Annotated[int, Field(ge=0)] = 0
    qp: Annotated[int, Field(ge=0, le=51)] = 18
    gop: PositiveInt = 15
    bf: Annotated[int, Field(ge=0)] = 0


class EncodeX264(Section):
    """H.264 on the processor."""

    section: ClassVar[str] = "record.encode (x264)"
    kind: Literal["x264"]
    preset: str = "ultrafast"
    crf: Annotated[int, Field(ge=0, le=51)] = 18
    gop: PositiveInt = 15


class EncodedRecord(Section):
    """How a take of raw frames is written."""

    section: ClassVar[str] = "record (genicam)"
    container: Literal["mkv"] = "mkv"
    encode: Annotated[EncodeJpeg | EncodeNvenc | EncodeX264, Field(discriminator="kind")]
    flush_packets: Literal[True] = True
    fsync_s: Positive = 2.0
    queue_s: Positive = 3.0
    max_minutes: Positive = 20.0


def _write_step(items: list[tuple[str, NodeValue]]) -> list[Node]:
    """Nodes of a step in their order; where a value is a list (of a selector), the rest of the step for each of it."""
    nodes = list[Node]()
    for i, (key, value) in enumerate(items):
        name, must = key.removeprefix("!"), key.startswith("!")
        if isinstance(value, list):
            return nodes + [node for one in value for node in ((name, one, must), *_write_step(items[i + 1 :]))]
        nodes.append((name, value, must))
    return nodes


class GenicamRig(RigBase):
    """A rig of machine-vision cameras (driver genicam)."""

    section: ClassVar[str] = "rig (genicam)"
    driver: Literal["genicam"]
    genicam: GenicamLibrary
    defaults: GenicamDefaults
    cameras: Annotated[dict[str, GenicamCamera], Field(min_length=1)]
    record: EncodedRecord

    def stream_of(self, camera: str) -> Mode:
        """What a camera is set to deliver, as it is stored."""
        mode = self.defaults.mode
        return Mode("MJPG", mode.width, mode.height, self.rate_of(camera))

    def rate_of(self, camera: str) -> float:
        """Frames per second, Hz (InputError: freely running cameras without a rate)."""
        if not isinstance(self.sync, FreeRun):
            return self.sync.fps
        found = self.defaults.node("AcquisitionFrameRate")
        if isinstance(found, int | float) and found > 0:
            return float(found)
        raise InputError(
            f"{camera} runs freely and has no rate", remedy="Write {AcquisitionFrameRate: 100.0} among the nodes"
        )

    def port_of(self, camera: str) -> str:
        """Where a camera is found: its serial number."""
        return self.cameras[camera].serial

    def label_of(self, camera: str) -> str:
        """What people call it, "" where it has no other name."""
        return self.cameras[camera].label

    def rotation_of(self, camera: str) -> int:  # noqa: ARG002
        """By how much its picture is turned for people, degrees clockwise; its file says nothing of that."""
        return 0

    def plug_in(self, camera: str) -> str:
        """What to do where a camera is not there."""
        return f"Plug in and power {camera}, the camera with serial number {self.port_of(camera)}"

    def identity_of(self, camera: str) -> str:  # noqa: ARG002
        """Nothing to compare: a serial number is found or not."""
        return ""

    def bus_share(self, camera: str, told: Mapping[str, object]) -> BusShare:  # noqa: ARG002
        """What a camera sends is known before: whole pictures, a byte per pixel; they are compressed here."""
        mode = self.defaults.mode
        needs = mode.width * mode.height * self.rate_of(camera) / 1e6
        return BusShare(self.cameras[camera].controller, SUPER_SPEED_BUS_MBPS, needs)

    @property
    def usual_jpeg_kb(self) -> tuple[float, float] | None:
        """The file does not say: the quality of the pictures is set here."""
        return None

    @property
    def slow_fix(self) -> str:
        """What to do where a camera runs slower than it should."""
        return "Shorten ExposureTime, raise DeviceLinkThroughputLimit, or ask for a lower AcquisitionFrameRate"

    def find_automatic(self, camera: str, controls: Mapping[str, int]) -> list[tuple[str, str]]:  # noqa: ARG002
        """What the file does not forbid: such cameras may set exposure and gain by themselves."""
        return [
            (f"the file does not say {node}", f"Write {{{node}: 'Off'}} among the nodes")
            for node in ("ExposureAuto", "GainAuto")
            if self.defaults.node(node) is None
        ]

    def opening_controls(self, camera: str) -> dict[str, int]:  # noqa: ARG002
        """None: such cameras have nodes."""
        return {}

    @property
    def leaving_controls(self) -> dict[str, int]:
        """None."""
        return {}

    @property
    def optional_controls(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def settle_frames(self) -> int:
        """Frames that are let pass before a take."""
        return 0

    @property
    def is_rolling(self) -> bool:
        """Machine-vision cameras of this driver have a global shutter."""
        return False

    @property
    def nodes(self) -> NodeSetup:
        """Region, pixels and nodes in the order of the file, "!" before the names that a camera must have.

        Raises:
            InputError: pictures that are not encoded as grey JPEG.
        """
        encode, mode = self.record.encode, self.defaults.mode
        if not isinstance(encode, EncodeJpeg):
            raise InputError(f"{encode.kind} is not encoded yet", remedy="Use record.encode.kind turbojpeg_gray")
        if mode.pixel_format != "Mono8":
            raise InputError(f"pixels of {mode.pixel_format} are not encoded yet", remedy="Use Mono8")
        nodes: list[Node] = [("PixelFormat", mode.pixel_format, True), ("OffsetX", mode.offset_x, False)]
        nodes.append(("OffsetY", mode.offset_y, False))
        for step in self.defaults.nodes:
            nodes += _write_step(list(step.items()))
        return NodeSetup(tuple(nodes), encode.quality)

    @model_validator(mode="after")
    def _check(self, info: ValidationInfo) -> GenicamRig:
        file = file_of(info)
        names = tuple(self.cameras)
        check_names(self.name, names, file)
        self.check_sync(names, file)
        check_distinct("serial number", [c.serial for c in self.cameras.values()], file)
        if self.genicam.backend == "harvesters" and not self.genicam.cti:
            raise InputError(
                "backend harvesters needs the vendor's .cti file", where=file, remedy="List it under genicam.cti"
            )
        exposure_us = self.defaults.node("ExposureTime")
        if isinstance(exposure_us, int | float) and not isinstance(self.sync, FreeRun):
            check_exposure(exposure_us * 1e-6, self.sync.fps, self.task, file)
        return self
