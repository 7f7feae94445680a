"""Where a camera hangs: what sysfs says of its USB device, its speed and the bus that it shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_CLASS = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class UsbPlace:
    """usb_id vendor:product, serial, speed in Mbit/s, bus: PCI controller and USB bus; empty and 0 where unknown."""

    usb_id: str = ""
    serial: str = ""
    speed_mbps: int = 0
    bus: str = ""


def read_usb_place(node: str, *, root: Path = _CLASS) -> UsbPlace:
    """What hangs behind a node such as video0; the empty place where it is no USB device."""
    link = root / node / "device"
    if not link.exists():
        return UsbPlace()
    for folder in (link.resolve(), *link.resolve().parents):
        if (folder / "idVendor").exists():
            speed = _text(folder / "speed")
            usb_id = f"{_text(folder / 'idVendor')}:{_text(folder / 'idProduct')}"
            return UsbPlace(usb_id, _text(folder / "serial"), round(float(speed or 0)), _bus_of(folder))
    return UsbPlace()


def _bus_of(device: Path) -> str:
    for folder in (device, *device.parents):
        if folder.name.startswith("usb") and folder.name[3:].isdigit():
            return f"{folder.parent.name}/{folder.name}"
    return ""


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
