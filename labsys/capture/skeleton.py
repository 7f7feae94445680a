"""A rig file to begin with, written from the cameras that are plugged in."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from labsys.capture.device import CameraInfo, Mode

_WANTED_CONTROLS = {
    "auto_exposure": 1,
    "exposure_dynamic_framerate": 0,
    "white_balance_automatic": 0,
    "focus_automatic_continuous": 0,
}
_USUAL = Mode("MJPG", 1280, 720, 60.0)
_HEAD = (
    "# Written from the cameras that are plugged in. Give names, set exposure and gain by hand, state the shutter,\n"
    "# and run 'labsys rig check'. Keys: README.md.\n"
)


def write_skeleton(cameras: Sequence[CameraInfo], *, name: str = "my-rig") -> str:
    """YAML that `load_rig_config` reads where at least one camera is there."""
    mode = choose_mode(cameras)
    offered = set.intersection(*(set(c.controls) for c in cameras)) if cameras else set(_WANTED_CONTROLS)
    document = {
        "schema": "labsys.hardware/1",
        "name": name,
        "driver": "v4l2",
        "sync": {"mode": "free_run", "verify": "landmarks"},
        "defaults": {
            "mode": {"fourcc": mode.fourcc, "width": mode.width, "height": mode.height, "fps": mode.rate_hz},
            "shutter": {"kind": "rolling", "row_us": 14.0},
            "controls": {c: value for c, value in _WANTED_CONTROLS.items() if c in offered},
        },
        "cameras": {
            f"cam{number}": {"by_path": camera.port, "usb_id": camera.usb_id or "0000:0000", "label": camera.model}
            for number, camera in enumerate(cameras, start=1)
        },
        "task": {"v_max_mps": 7.0},
        "policy": {"min_cameras": min(2, max(len(cameras), 1))},
    }
    return _HEAD + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def choose_mode(cameras: Sequence[CameraInfo]) -> Mode:
    """The fastest compressed mode of about a megapixel that all cameras offer; a usual one where they list none."""
    shared = set.intersection(*(set(c.modes) for c in cameras)) if cameras else set()
    compressed = [m for m in shared if m.fourcc == "MJPG" and m.width * m.height <= 1_300_000]
    return max(compressed, key=lambda m: (m.width * m.height >= 800_000, m.rate_hz, m.width), default=_USUAL)
