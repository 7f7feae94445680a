"""What goes over the wire between a virtual camera and its driver."""

from __future__ import annotations

import json
import struct

from labsys.capture.device import CameraInfo, ControlRange, Mode

MAX_BUFFERS = 64  # of a camera; behind them in its memory one byte each, 1 while the reader holds it
FRAME = struct.Struct("<iqqII")  # buffer, seq, stamp ns, bytes, flags


def parse_info(text: bytes, node: str) -> CameraInfo:
    """What a camera said of itself."""
    told = json.loads(text)
    return CameraInfo(
        port=told["port"],
        node=node,
        model=told["model"],
        usb_id=told["usb_id"],
        speed_mbps=told["speed_mbps"],
        modes=tuple(Mode(*mode) for mode in told["modes"]),
        controls={name: ControlRange(*c) for name, c in told["controls"].items()},
    )
