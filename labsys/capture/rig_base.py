"""What rigs of every driver share: synchronisation, trigger box, limits, and the rules between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from labsys.capture.strict_yaml import Section
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import check_code

# A triggered camera needs slack: at the mode's full rate it misses pulses.
TRIGGER_SHARE = 0.9
# The sensor must be read out before the next exposure.
EXPOSURE_SHARE = 0.8
SUPER_SPEED_BUS_MBPS = 360.0

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(gt=0)]


class HardwareTrigger(Section):
    """Every exposure begins on a pulse of the trigger box."""

    section: ClassVar[str] = "sync (hardware_trigger)"
    mode: Literal["hardware_trigger"]
    source: Literal["pico", "virtual"]
    fps: Positive
    pulse_us: Positive
    level_v: Positive
    edge: Literal["rising", "falling"] = "rising"


class PrimaryCamera(Section):
    """One camera runs freely and triggers the others."""

    section: ClassVar[str] = "sync (primary_camera)"
    mode: Literal["primary_camera"]
    primary: str
    out_line: str
    fps: Positive


class FreeRun(Section):
    """Cameras run on their own clocks."""

    section: ClassVar[str] = "sync (free_run)"
    mode: Literal["free_run"]
    verify: Literal["none", "led", "landmarks"] = "none"


Sync = Annotated[HardwareTrigger | PrimaryCamera | FreeRun, Field(discriminator="mode")]


class TriggerBoxConfig(Section):
    """The box that makes the pulses."""

    section: ClassVar[str] = "trigger_box"
    kind: Literal["pico"]
    port: Annotated[str, Field(min_length=1)]
    pins: Annotated[dict[str, int], Field(min_length=1)]
    led_pin: int | None = None
    sync_out_pin: int | None = None


class Limits(Section):
    """What the machine may be asked for."""

    section: ClassVar[str] = "limits"
    hs_bus_mbps: Annotated[float, Field(gt=0, alias="hs_bus_MBps")] = 40.0
    disk_min_free_gb: Annotated[float, Field(gt=0, alias="disk_min_free_GB")] = 50.0


class Task(Section):
    """What the rig is for: the fastest motion, and the longest exposure that does not blur it."""

    section: ClassVar[str] = "task"
    v_max_mps: Positive
    max_exposure_us: Positive | None = None


class Policy(Section):
    """What happens when a camera fails during a take."""

    section: ClassVar[str] = "policy"
    on_camera_loss: Literal["continue_degraded", "stop"] = "continue_degraded"
    min_cameras: Annotated[int, Field(ge=1)] = 2


class System(Section):
    """Settings of the operating system that the rig needs."""

    section: ClassVar[str] = "system"
    usbfs_memory_mb: PositiveInt | None = None
    priority: Literal["realtime", "nice", "normal"] = "realtime"


@dataclass(frozen=True)
class BusShare:
    """What a camera needs of its bus. needs_mbps: MB/s, None where that is what it was seen to send."""

    bus: str
    most_mbps: float
    needs_mbps: float | None = None


class RigBase(Section):
    """The part of a rig file that does not depend on the driver."""

    schema_name: Annotated[Literal["labsys.hardware/1"], Field(alias="schema")]
    name: str
    sync: Sync
    trigger_box: TriggerBoxConfig | None = None
    limits: Limits = Limits()
    task: Task
    policy: Policy = Policy()
    grade_cap: Literal["A", "B", "C"] = "A"
    system: System = System()

    def check_sync(self, cameras: tuple[str, ...], file: str) -> None:
        if isinstance(self.sync, PrimaryCamera) and self.sync.primary not in cameras:
            raise UnknownNameError("camera", self.sync.primary, valid=cameras, where=f"{file}: sync.primary")
        if isinstance(self.sync, HardwareTrigger) and self.sync.pulse_us * 1e-6 * self.sync.fps >= 1:
            raise InputError(f"a pulse of {self.sync.pulse_us:g} µs does not fit {self.sync.fps:g} fps", where=file)
        if self.policy.min_cameras > len(cameras):
            raise InputError(f"min_cameras is {self.policy.min_cameras}, the rig has {len(cameras)}", where=file)
        if self.trigger_box is not None:
            self._check_pins(self.trigger_box, cameras, file)

    def _check_pins(self, box: TriggerBoxConfig, cameras: tuple[str, ...], file: str) -> None:
        if not isinstance(self.sync, HardwareTrigger):
            raise InputError(f"a trigger box has no use with sync mode {self.sync.mode}", where=file)
        for name in box.pins:
            if name not in cameras:
                raise UnknownNameError("camera", name, valid=cameras, where=f"{file}: trigger_box.pins")
        missing = sorted(set(cameras) - set(box.pins))
        if missing:
            raise InputError(f"no trigger pin for {', '.join(missing)}", where=file)
        others = [pin for pin in (box.led_pin, box.sync_out_pin) if pin is not None]
        check_distinct("pin", [*box.pins.values(), *others], file)


def check_names(rig: str, cameras: tuple[str, ...], file: str) -> None:
    try:
        check_code("rig", rig)
        for name in cameras:
            check_code("camera", name)
    except InputError as error:
        raise InputError(error.what, where=file, remedy=error.remedy) from error


def check_distinct(kind: str, values: list[Any], file: str) -> None:
    twice = sorted({str(v) for v in values if values.count(v) > 1})
    if twice:
        raise InputError(f"{kind} used more than once: {', '.join(twice)}", where=file)


def check_exposure(exposure_s: float, rate_hz: float, task: Task, where: str) -> None:
    most_s = EXPOSURE_SHARE / rate_hz
    if exposure_s >= most_s:
        raise InputError(
            f"an exposure of {exposure_s * 1e6:.0f} µs is too long for {rate_hz:g} fps",
            where=where,
            remedy=f"Use less than {most_s * 1e6:.0f} µs",
        )
    if task.max_exposure_us is not None and exposure_s * 1e6 > task.max_exposure_us * (1 + 1e-9):
        raise InputError(
            f"an exposure of {exposure_s * 1e6:.0f} µs exceeds task.max_exposure_us {task.max_exposure_us:g}",
            where=where,
        )
