"""How virtual cameras behave, faults included: the rig file's part for driver virtual."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from labsys.capture.strict_yaml import AS_TUPLE, Section

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Signed = Annotated[float, Field(allow_inf_nan=False)]


class Behaviour(Section):
    """One virtual camera's clock, delays and faults. Moments count from the first time that it streams."""

    section: ClassVar[str] = "virtual.behaviour.NAME"
    ppm: Signed = 0.0
    phase_ms: Amount = 0.0
    latency_ms: Amount = 3.0
    jitter_us: Amount = 100.0
    stall_p: Probability = 0.0
    stall_ms: Amount = 20.0
    drop_p: Probability = 0.0
    kdrop_p: Probability = 0.0
    corrupt_p: Probability = 0.0
    miss_p: Probability = 0.0
    unplug_at_s: Moment | None = None
    replug_at_s: Moment | None = None
    slow_at_s: Moment | None = None
    freeze_at_s: Moment | None = None
    stuck_timestamp: bool = False
    wrong_resolution: bool = False
    no_bandwidth: bool = False
    absent: bool = False
    usb_id: str = ""
    usb_speed_mbps: Annotated[int, Field(gt=0)] = 480
    control_rejects: Annotated[tuple[str, ...], AS_TUPLE] = ()


class VirtualCameras(Section):
    """What stands in for cameras, and how each behaves."""

    section: ClassVar[str] = "virtual"
    seed: Annotated[int, Field(ge=0)] = 0
    bench: str = ""
    pictures: str = ""
    behaviour: dict[str, Behaviour] = Field(default_factory=dict)

    def behaviour_of(self, camera: str) -> Behaviour:
        """What is said of this camera, else the behaviour of a sound one."""
        return self.behaviour.get(camera, Behaviour())
