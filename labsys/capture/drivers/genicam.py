"""Machine-vision cameras through pypylon (Basler): grey pictures, encoded here as all-intra JPEG, one of them a frame.

The port is the camera's serial number. Settings are GenICam nodes, written in order and read back. A frame's number
is the library's count of the pictures that it handed over: what the camera or the bus lost shows as a gap in time, not
in the numbers. Its time is the host's: mapping the camera's clock has not been tried on a camera, and a take of this
driver has grade D until it has. With PYLON_CAMEMU=N in the environment pypylon emulates N cameras.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from labsys.capture.device import Applied, CameraInfo, DriverError, Failure, Frame, FrameFlag, Mode, StampSource
from labsys.core.errors import InputError, MissingPartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labsys.capture.node_setup import NodeSetup

_NEAR = 0.005  # of a number: what a camera may round it by
_RATES = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")


class GenicamDriver:
    """One camera by its serial number."""

    name: ClassVar[str] = "genicam"

    def __init__(self, setup: NodeSetup) -> None:
        self._setup = setup
        self._camera: Any = None
        self._info: CameraInfo | None = None

    def open(self, port: str) -> CameraInfo:
        """Open the camera of a serial number (MissingPartError: pypylon is not installed)."""
        pylon = _import_pylon()
        with _told(Failure.IO, port):
            factory = pylon.TlFactory.GetInstance()
            found = {d.GetSerialNumber(): d for d in factory.EnumerateDevices()}
        if port not in found:
            there = ", ".join(sorted(found)) or "none"
            raise DriverError(Failure.GONE, f"no camera has serial number {port}", remedy=f"There: {there}")
        with _told(Failure.BUSY, port):
            self._camera = pylon.InstantCamera(factory.CreateDevice(found[port]))
            self._camera.Open()
            device = found[port]
            node, model = device.GetFriendlyName(), device.GetModelName()
            self._info = CameraInfo(port=port, node=node, model=model, serial=port, bus=device.GetDeviceClass())
        return self._info

    def configure(self, mode: Mode, controls: Mapping[str, int], *, triggered: bool) -> Applied:  # noqa: ARG002
        """Set size, rate and nodes, and read them back; nodes decide about triggering, controls are not known here."""
        port = self._opened().port
        if controls:
            raise InputError(f"the camera has nodes, no control '{next(iter(controls))}'", where=port)
        with _told(Failure.IO, port):
            return self._set_nodes(mode)

    def _set_nodes(self, mode: Mode) -> Applied:
        wrong = list[str]()
        for name, value in (("Width", mode.width), ("Height", mode.height), *self._rate(mode)):
            wrong += self._write(name, value, must=True)
        for name, value, must in self._setup.nodes:
            wrong += self._write(name, value, must=must)
        rate_hz = next((float(self._read(n)) for n in _RATES if self._has(n)), mode.rate_hz)
        near = math.isclose(rate_hz, mode.rate_hz, rel_tol=_NEAR)
        got = Mode(mode.fourcc, int(self._read("Width")), int(self._read("Height")), mode.rate_hz if near else rate_hz)
        return Applied(got, {}, tuple(wrong))

    def start(self, n_buffers: int) -> None:
        """Begin to grab, every picture in its order."""
        pylon = _import_pylon()
        with _told(Failure.IO, self._opened().port):
            self._camera.MaxNumBuffer.SetValue(n_buffers)
            self._camera.StartGrabbing(pylon.GrabStrategy_OneByOne)

    def next(self, timeout_s: float) -> Frame | None:
        """The next picture, encoded; its buffer is given back at once."""
        with _told(Failure.GONE, self._opened().port):
            return self._take(timeout_s)

    def _take(self, timeout_s: float) -> Frame | None:
        pylon, port = _import_pylon(), self._opened().port
        grabbed = self._camera.RetrieveResult(round(1000 * timeout_s), pylon.TimeoutHandling_Return)
        now_ns = time.monotonic_ns()
        if not grabbed.IsValid():
            if self._camera.IsCameraDeviceRemoved():
                raise DriverError(Failure.GONE, "the camera was unplugged", where=port, remedy="Plug it in")
            return None
        try:
            sound = bool(grabbed.GrabSucceeded())
            picture = self._encode(grabbed.Array) if sound else b""
            number, stamp_ns = int(grabbed.ImageNumber), int(grabbed.TimeStamp)
        finally:
            grabbed.Release()
        flags = FrameFlag.NONE if sound else FrameFlag.ERROR
        return Frame(number, now_ns, now_ns, memoryview(picture), 0, StampSource.HOST, flags, stamp_ns)

    def release(self, frame: Frame) -> None:
        """Nothing to give back: the picture is a copy."""
        frame.picture.release()

    def read_controls(self) -> dict[str, int]:
        """Present values of the nodes that are numbers, rounded."""
        with _told(Failure.IO, self._opened().port):
            there = [name for name, _, _ in self._setup.nodes if self._has(name)]
            return {name: round(float(text)) for name in there if _is_number(text := self._read(name))}

    def stop(self) -> None:
        """End the grabbing."""
        if self._camera is not None:
            with _told(Failure.IO, self._opened().port):
                if self._camera.IsGrabbing():
                    self._camera.StopGrabbing()

    def close(self) -> None:
        """Close the camera; one that is gone may refuse, which changes nothing."""
        camera, self._camera = self._camera, None
        if camera is not None:
            with suppress(_import_genicam().GenericException):
                camera.Close()

    def _opened(self) -> CameraInfo:
        if self._camera is None or self._info is None:
            raise DriverError(Failure.IO, "the camera is not open")
        return self._info

    def _encode(self, image: Any) -> bytes:
        import cv2

        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._setup.jpeg_quality])
        if not done:
            raise DriverError(Failure.IO, "a picture cannot be encoded", where=self._opened().port)
        return bytes(data.tobytes())

    def _rate(self, mode: Mode) -> list[tuple[str, Any]]:
        """What sets the rate, where the camera can be told one."""
        switch = [("AcquisitionFrameRateEnable", True)] if self._has("AcquisitionFrameRateEnable") else []
        return [*switch, *((name, float(mode.rate_hz)) for name in _RATES if self._has(name))][: len(switch) + 1]

    def _has(self, name: str) -> bool:
        return bool(_import_genicam().IsReadable(self._camera.GetNodeMap().GetNode(name)))

    def _read(self, name: str) -> str:
        return str(self._camera.GetNodeMap().GetNode(name).ToString())

    def _write(self, name: str, value: Any, *, must: bool) -> list[str]:
        """Write a node and read it back; what differs, in words."""
        port, genicam = self._opened().port, _import_genicam()
        node = self._camera.GetNodeMap().GetNode(name)
        text = str(int(value)) if isinstance(value, bool) else str(value)
        if not genicam.IsWritable(node):
            if must:
                raise InputError(f"the camera has no node '{name}' that can be set", where=port)
            # A camera without the node has nothing to set; one that shows another value does not do as asked.
            return self._compare(name, text) if self._has(name) else []
        try:
            node.FromString(text)
        except genicam.GenericException as error:
            raise InputError(f"node {name} cannot be {text}", where=port, remedy=str(error).split(" : ")[0]) from error
        return self._compare(name, text)

    def _compare(self, name: str, text: str) -> list[str]:
        got = self._read(name)
        alike = math.isclose(float(got), float(text), rel_tol=_NEAR) if _is_number(got, text) else got == text
        return [] if alike else [f"{name} is {got}, not {text}"]


def _is_number(*texts: str) -> bool:
    try:
        return all(math.isfinite(float(text)) for text in texts)
    except ValueError:
        return False


@contextmanager
def _told(kind: Failure, port: str) -> Iterator[None]:
    """The library's errors as a driver's."""
    try:
        yield
    except _import_genicam().GenericException as error:
        raise DriverError(kind, str(error).split(" : ")[0], where=port) from error


def _import_pylon() -> Any:
    try:
        from pypylon import pylon
    except ImportError as error:
        raise MissingPartError(
            "pypylon is not installed, which opens GenICam cameras", remedy="pip install 'labsys[genicam]'"
        ) from error
    return pylon


def _import_genicam() -> Any:
    from pypylon import genicam

    return genicam
