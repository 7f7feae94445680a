"""Which drivers there are, and the one place that makes them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from labsys.capture.device import CameraDriver
from labsys.capture.node_setup import NodeSetup
from labsys.core.errors import InputError


class DriverKind(StrEnum):
    """Families of cameras."""

    V4L2 = "v4l2"
    OPENCV = "opencv"
    VIRTUAL = "virtual"
    GENICAM = "genicam"


def make_driver(kind: DriverKind, bench: Path | None = None, nodes: NodeSetup | None = None) -> CameraDriver:
    """A driver that has opened nothing yet; its library is imported now and not before.

    Raises:
        InputError: virtual cameras without a bench.
    """
    match kind:
        case DriverKind.V4L2:
            from labsys.capture.drivers.v4l2 import V4l2Driver

            return V4l2Driver()
        case DriverKind.OPENCV:
            from labsys.capture.drivers.opencv import OpencvDriver

            return OpencvDriver()
        case DriverKind.GENICAM:
            from labsys.capture.drivers.genicam import GenicamDriver

            return GenicamDriver(nodes or NodeSetup())
        case DriverKind.VIRTUAL:
            from labsys.capture.drivers.virtual import VirtualDriver

            if bench is None:
                raise InputError("virtual cameras need a bench")
            return VirtualDriver(bench)
