"""The V4L2 driver against the kernel's own header, and against a kernel that is played by a function."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labsys.capture.device import CameraInfo, ControlRange, DriverError, Failure, FrameFlag, Mode, StampSource
from labsys.capture.drivers import v4l2_abi as abi
from labsys.capture.drivers.v4l2 import V4l2Driver, discover_cameras
from labsys.capture.drivers.v4l2_device import code_fourcc, name_fourcc, spell_control
from labsys.capture.rig import load_rig_config
from labsys.capture.skeleton import write_skeleton
from labsys.capture.usb import read_usb_place
from labsys.core.errors import InputError

HEADER = Path("/usr/include/linux/videodev2.h")
# struct timeval and the numbers of 64-bit systems, as the specification of capture lists them (measured with gcc).
KNOWN_SIZES = {abi.Buffer: 88, abi.Format: 208, abi.RequestBuffers: 20, abi.StreamParameters: 204,
               abi.ExtendedControlQuery: 232}  # fmt: skip
KNOWN_REQUESTS = {
    abi.DQBUF: 0xC0585611, abi.QBUF: 0xC058560F, abi.QUERYBUF: 0xC0585609, abi.REQBUFS: 0xC0145608,
    abi.S_FMT: 0xC0D05605, abi.S_PARM: 0xC0CC5616, abi.STREAMON: 0x40045612, abi.STREAMOFF: 0x40045613,
    abi.QUERYCAP: 0x80685600,
}  # fmt: skip


def test_structures_and_requests_have_the_documented_sizes_and_numbers() -> None:
    assert {kind: ctypes.sizeof(kind) for kind in KNOWN_SIZES} == KNOWN_SIZES
    assert all(number == documented for number, documented in KNOWN_REQUESTS.items())
    places = {"bytesused": 8, "flags": 12, "timestamp": 24, "sequence": 56, "m": 64, "length": 72}
    assert {name: getattr(abi.Buffer, name).offset for name in places} == places


@pytest.mark.skipif(not HEADER.exists() or shutil.which("gcc") is None, reason="needs gcc and the kernel's headers")
def test_structures_and_requests_are_those_of_the_kernels_header(tmp_path: Path) -> None:
    lines, ours = [], []
    for name, (kind, fields) in abi.HEADER_NAMES.items():
        lines.append(f'printf("%zu\\n", sizeof(struct {name}));')
        ours.append(ctypes.sizeof(kind))
        for field in fields:
            lines.append(f'printf("%zu\\n", offsetof(struct {name}, {field}));')
            ours.append(getattr(kind, field).offset)
    for name, number in abi.HEADER_REQUESTS.items():
        lines.append(f'printf("%lu\\n", (unsigned long)({name}));')
        ours.append(number)
    source = tmp_path / "layout.c"
    heads = "".join(f"#include <{h}>\n" for h in ("stddef.h", "stdio.h", "sys/time.h", "linux/videodev2.h"))
    source.write_text(heads + "int main(void) {\n" + "\n".join(lines) + "\nreturn 0; }\n")
    subprocess.run(["gcc", "-o", str(tmp_path / "layout"), str(source)], check=True, capture_output=True)
    told = subprocess.run([str(tmp_path / "layout")], check=True, capture_output=True, text=True).stdout.split()
    # The header's requests are unsigned int: the sign of the top bit is cut off.
    assert [int(n) & 0xFFFFFFFF for n in told] == ours


class PlayedKernel:
    """Answers of a UVC camera's driver, per request; frames are announced through a pipe, memory is a file."""

    def __init__(self, folder: Path, *, sequence: tuple[int, ...] = (0, 1, 3), refuse: dict[int, int] | None = None):
        self.asked: list[int] = []
        self.refuse = refuse or {}
        self.controls = {1: 3, 2: 166}
        self.sequence = list(sequence)
        self.queued: list[int] = []
        self.node = folder / "video7"
        self.node.write_bytes(bytes(4 * 4096))
        (folder / "by-path").mkdir()
        (folder / "by-path" / "usb-1").symlink_to(self.node)

    def __call__(self, descriptor: int, request: int, argument: Any) -> int:
        self.asked.append(request)
        if request in self.refuse:
            raise OSError(self.refuse[request], os.strerror(self.refuse[request]))
        play: dict[int, Callable[[Any], None]] = {
            abi.QUERYCAP: self._capability, abi.ENUM_FMT: self._format, abi.ENUM_FRAMESIZES: self._size,
            abi.ENUM_FRAMEINTERVALS: self._interval, abi.QUERY_EXT_CTRL: self._control, abi.G_CTRL: self._get,
            abi.S_CTRL: self._set, abi.QUERYBUF: self._place, abi.QBUF: self._queue, abi.DQBUF: self._frame,
        }  # fmt: skip
        play.get(request, lambda _: None)(argument)
        return 0

    def _only_first(self, item: Any) -> None:
        if item.index:
            raise OSError(errno.EINVAL, "no more")

    def _capability(self, item: Any) -> None:
        item.card, item.device_caps = b"A camera", abi.CAP_VIDEO_CAPTURE | abi.CAP_STREAMING

    def _format(self, item: Any) -> None:
        self._only_first(item)
        item.pixelformat = code_fourcc("MJPG")

    def _size(self, item: Any) -> None:
        self._only_first(item)
        item.type, item.width, item.height = abi.FRMSIZE_DISCRETE, 1280, 720

    def _interval(self, item: Any) -> None:
        self._only_first(item)
        item.type, item.discrete = abi.FRMIVAL_DISCRETE, abi.Fraction(1, 120)

    def _control(self, item: Any) -> None:
        known = {1: (b"Auto Exposure", 0, 3), 2: (b"Exposure Time, Absolute", 1, 5000)}
        following = (item.id & 0xFF) + 1
        if following not in known:
            raise OSError(errno.EINVAL, "no more")
        item.id, (item.name, item.minimum, item.maximum) = following, known[following]
        item.type, item.step = 1, 1

    def _get(self, item: Any) -> None:
        item.value = self.controls[item.id]

    def _set(self, item: Any) -> None:
        if item.id == 2 and self.controls[1] == 3:
            raise OSError(errno.EACCES, "as uvcvideo does while the camera sets its exposure itself")
        self.controls[item.id] = item.value

    def _place(self, item: Any) -> None:
        item.length, item.m.offset = 4096, 4096 * item.index

    def _queue(self, item: Any) -> None:
        self.queued.append(item.index)

    def _frame(self, item: Any) -> None:
        if not self.sequence:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        item.index, item.sequence, item.bytesused = self.queued.pop(0), self.sequence.pop(0), 1000
        item.timestamp.seconds, item.timestamp.microseconds = 12, 345678
        item.flags = abi.BUF_FLAG_TIMESTAMP_MONOTONIC | abi.BUF_FLAG_SRC_SOE
        item.flags |= abi.BUF_FLAG_ERROR if item.sequence == 3 else 0


MODE, PACE = Mode("MJPG", 1280, 720, 120.0), abi.Fraction


def _played(monkeypatch: pytest.MonkeyPatch, folder: Path, **how: Any) -> tuple[PlayedKernel, V4l2Driver]:
    kernel = PlayedKernel(folder, **how)
    monkeypatch.setattr("labsys.capture.drivers.v4l2_device.fcntl.ioctl", kernel)
    return kernel, V4l2Driver(folder / "by-path")


def test_a_camera_is_opened_set_streamed_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, driver = _played(monkeypatch, tmp_path)
    info = driver.open("usb-1")
    assert (info.node, info.model, info.modes) == ("video7", "A camera", (MODE,))
    assert info.controls["exposure_time_absolute"] == ControlRange(1, 5000)
    applied = driver.configure(MODE, {"auto_exposure": 1, "exposure_time_absolute": 8}, triggered=False)
    assert applied.controls == {"auto_exposure": 1, "exposure_time_absolute": 8}
    assert applied.mismatches == ()
    driver.start(4)
    frames = [driver.next(1.0) for _ in range(3)]
    assert all(f is not None for f in frames)
    found = [f for f in frames if f is not None]
    assert [f.seq for f in found] == [0, 1, 3]
    assert {f.t_ns for f in found} == {12_345_678_000}
    assert [f.flags for f in found] == [FrameFlag.NONE, FrameFlag.NONE, FrameFlag.ERROR]
    assert found[0].source is StampSource.KERNEL_SOE
    assert len(found[0].picture) == 1000
    for frame in found:
        driver.release(frame)
    assert kernel.queued == [3, 0, 1, 2], "every buffer is given back"
    with pytest.raises(DriverError) as caught:
        driver.next(1.0)
    assert caught.value.kind is Failure.GONE
    driver.stop()
    driver.close()
    assert kernel.asked[-2:] == [abi.STREAMOFF, abi.REQBUFS]


def test_the_kernels_count_may_turn_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, driver = _played(monkeypatch, tmp_path, sequence=(2**32 - 1, 0, 1))
    driver.open("usb-1")
    driver.start(4)
    frames = [f for f in (driver.next(1.0) for _ in range(3)) if f is not None]
    assert [f.seq for f in frames] == [2**32 - 1, 2**32, 2**32 + 1]
    for frame in frames:
        driver.release(frame)
    driver.stop()
    driver.close()


@pytest.mark.parametrize(
    ("request_number", "code", "kind"),
    [
        (abi.STREAMON, errno.ENOSPC, Failure.BANDWIDTH),
        (abi.REQBUFS, errno.EBUSY, Failure.BUSY),
        (abi.STREAMON, errno.ENODEV, Failure.GONE),
        (abi.QBUF, errno.EIO, Failure.IO),
    ],
)
def test_a_refusal_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_number: int, code: int, kind: Failure
) -> None:
    _, driver = _played(monkeypatch, tmp_path, refuse={request_number: code})
    driver.open("usb-1")
    with pytest.raises(DriverError) as caught:
        driver.start(4)
    assert caught.value.kind is kind
    assert caught.value.remedy
    driver.close()


def test_what_the_camera_does_not_offer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, driver = _played(monkeypatch, tmp_path)
    driver.open("usb-1")
    with pytest.raises(InputError, match=r"no control 'gain'.*auto_exposure, exposure_time_absolute"):
        driver.configure(MODE, {"gain": 3}, triggered=False)
    with pytest.raises(InputError, match=r"control auto_exposure cannot be 9.*0 to 3"):
        driver.configure(MODE, {"auto_exposure": 9}, triggered=False)
    with pytest.raises(InputError, match=r"no mode MJPG 1920x1080 at 60 fps.*MJPG 1280x720 at 120 fps"):
        driver.configure(Mode("MJPG", 1920, 1080, 60.0), {}, triggered=False)
    driver.close()


def test_a_port_without_a_camera_and_one_that_may_not_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DriverError) as gone:
        V4l2Driver(tmp_path).open("usb-9")
    assert gone.value.kind is Failure.GONE
    _, driver = _played(monkeypatch, tmp_path)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr("labsys.capture.drivers.v4l2_device.os.open", refuse)
    with pytest.raises(DriverError, match="group video") as denied:
        driver.open("usb-1")
    assert denied.value.kind is Failure.PERMISSION


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_a_control_that_cannot_be_written_is_not_told_as_a_camera_that_may_not_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    _, driver = _played(monkeypatch, tmp_path, refuse={abi.S_CTRL: code})
    driver.open("usb-1")
    with pytest.raises(DriverError, match="does not allow writing control exposure_time_absolute = 8") as caught:
        driver.configure(MODE, {"exposure_time_absolute": 8}, triggered=False)
    assert caught.value.kind is Failure.IO
    assert "group video" not in str(caught.value)
    driver.close()


def test_automatic_controls_are_switched_off_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, driver = _played(monkeypatch, tmp_path)
    driver.open("usb-1")
    applied = driver.configure(MODE, {"exposure_time_absolute": 8, "auto_exposure": 1}, triggered=False)
    assert applied.controls == {"auto_exposure": 1, "exposure_time_absolute": 8}
    driver.close()


def test_a_control_that_cannot_be_read_back_is_not_taken_for_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, driver = _played(monkeypatch, tmp_path)
    driver.open("usb-1")
    kernel.refuse = {abi.G_CTRL: errno.EPIPE}
    applied = driver.configure(MODE, {"auto_exposure": 1}, triggered=False)
    assert applied.mismatches == ("auto_exposure is not readable, not 1",)
    driver.close()


def test_an_interval_of_nothing_is_no_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abi, "Fraction", lambda *_: PACE(0, 120))
    _, driver = _played(monkeypatch, tmp_path)
    assert driver.open("usb-1").modes == ()
    driver.close()


def test_who_holds_a_busy_camera_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, driver = _played(monkeypatch, tmp_path, refuse={abi.REQBUFS: errno.EBUSY})
    proc = tmp_path / "proc"
    for number, name, holds in (("4711", "zoom", kernel.node), ("12", "bash", tmp_path / "other")):
        (proc / number / "fd").mkdir(parents=True)
        (proc / number / "fd/9").symlink_to(holds)
        (proc / number / "comm").write_text(f"{name}\n")
    monkeypatch.setattr("labsys.capture.holders._PROC", proc)
    driver.open("usb-1")
    with pytest.raises(DriverError, match=r"zoom \(4711\) holds the camera") as caught:
        driver.start(4)
    assert caught.value.kind is Failure.BUSY
    (proc / "4711/comm").unlink()
    with pytest.raises(DriverError, match="another program holds the camera"):
        driver.start(4)
    driver.close()


def test_plugged_cameras_make_a_rig_file_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = PlayedKernel(tmp_path)
    monkeypatch.setattr("labsys.capture.drivers.v4l2_device.fcntl.ioctl", kernel)
    cameras = discover_cameras(tmp_path / "by-path")
    assert [c.port for c in cameras] == ["usb-1"]
    path = tmp_path / "rig.yaml"
    path.write_text(write_skeleton(cameras), encoding="utf-8")
    rig = load_rig_config(path)
    assert tuple(rig.cameras) == ("cam1",)
    assert yaml.safe_load(path.read_text())["defaults"]["mode"] == {
        "fourcc": "MJPG", "width": 1280, "height": 720, "fps": 120.0,
    }  # fmt: skip
    assert discover_cameras(tmp_path / "absent") == []


def test_where_a_camera_hangs_is_read_from_sysfs(tmp_path: Path) -> None:
    device = tmp_path / "devices/pci0000:00/0000:03:00.0/usb3/3-1"
    (device / "3-1:1.0").mkdir(parents=True)
    for name, text in {"idVendor": "32e4", "idProduct": "9230", "speed": "480", "serial": "7"}.items():
        (device / name).write_text(text + "\n")
    (tmp_path / "video0").mkdir()
    (tmp_path / "video0/device").symlink_to(device / "3-1:1.0")
    place = read_usb_place("video0", root=tmp_path)
    assert (place.usb_id, place.serial, place.speed_mbps, place.bus) == ("32e4:9230", "7", 480, "0000:03:00.0/usb3")
    assert read_usb_place("video9", root=tmp_path).bus == ""


def test_names_of_formats_and_controls() -> None:
    assert name_fourcc(code_fourcc("MJPG")) == "MJPG"
    assert spell_control("White Balance, Automatic") == "white_balance_automatic"
    assert CameraInfo("p", "n").controls == {}
