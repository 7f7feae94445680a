"""How a camera was set when it was calibrated, to notice when a take was made with other settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

_RATE_TOLERANCE = 0.01


@dataclass(frozen=True)
class CameraFingerprint:
    """One camera's identity and settings; None and "" are unknown and agree with anything.

    Attributes:
        size_px: (width, height). rate_hz: frames per second.
        serial: number of the device, or the port that it hangs on. mode: pixel format, binning and the like.
        focus, exposure: the controls as they were set, in words.
    """

    size_px: tuple[int, int] | None = None
    rate_hz: float | None = None
    serial: str = ""
    mode: str = ""
    focus: str = ""
    exposure: str = ""

    def as_table(self) -> dict[str, Any]:
        """What is known, as plain values."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        table = {name: value for name, value in known.items() if value not in (None, "")}
        return table | ({"size_px": list(self.size_px)} if self.size_px else {})

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> CameraFingerprint:
        """From plain values; a newer labsys's further fields are left out."""
        size, rate = table.get("size_px"), table.get("rate_hz")
        words = {f: str(table.get(f, "")) for f in ("serial", "mode", "focus", "exposure")}
        return cls(
            (int(size[0]), int(size[1])) if isinstance(size, list) and len(size) == 2 else None,
            float(rate) if isinstance(rate, int | float) and math.isfinite(rate) else None,
            **words,
        )


def compare_fingerprints(
    calibrated: Mapping[str, CameraFingerprint], taken: Mapping[str, CameraFingerprint]
) -> tuple[str, ...]:
    """What differs between a calibration's cameras and a take's, a sentence per camera and field; cameras by name."""
    said = []
    for camera, now in taken.items():
        then = calibrated.get(camera)
        if then is not None:
            said += [f"{camera} {text}" for text in _differences(then, now)]
    return tuple(said)


def _differences(then: CameraFingerprint, now: CameraFingerprint) -> list[str]:
    said = []
    if then.size_px and now.size_px and then.size_px != now.size_px:
        said.append(f"has size {_size(now.size_px)}, calibrated at {_size(then.size_px)}")
    if then.rate_hz and now.rate_hz and abs(now.rate_hz / then.rate_hz - 1.0) > _RATE_TOLERANCE:
        said.append(f"has rate {now.rate_hz:.4g} Hz, calibrated at {then.rate_hz:.4g} Hz")
    for name in ("serial", "mode", "focus", "exposure"):
        a, b = getattr(then, name), getattr(now, name)
        if a and b and a != b:
            said.append(f"has {name} {b}, calibrated with {a}")
    return said


def _size(size_px: tuple[int, int]) -> str:
    return f"{size_px[0]}x{size_px[1]}"
