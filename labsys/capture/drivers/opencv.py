"""Cameras through OpenCV, where nothing better is there (Windows, macOS): times of the host, no controls, no counts.

The port is the camera's index. Pictures are decoded by OpenCV and encoded again: takes of this driver have grade D.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from labsys.capture.device import Applied, CameraInfo, DriverError, Failure, Frame, Mode, StampSource, check_controls

_QUALITY = 95


class OpencvDriver:
    """One camera by its index."""

    name: ClassVar[str] = "opencv"

    def __init__(self) -> None:
        self._capture: Any = None
        self._info: CameraInfo | None = None
        self._read = 0

    def open(self, port: str) -> CameraInfo:
        """Open the camera of an index."""
        import cv2

        if not port.isdigit():
            raise DriverError(Failure.IO, f"'{port}' is no index of a camera", remedy='Write by_path: "0", "1", …')
        capture = cv2.VideoCapture(int(port))
        if not capture.isOpened():
            raise DriverError(Failure.GONE, "no camera is plugged in", where=port, remedy="Plug it in")
        self._capture, self._info = capture, CameraInfo(port=port, node=port, model="camera through OpenCV")
        return self._info

    def configure(self, mode: Mode, controls: Mapping[str, int], *, triggered: bool) -> Applied:
        """Set the mode and read it back; OpenCV offers no controls that mean the same on every system."""
        import cv2

        if self._info is None:
            raise DriverError(Failure.IO, "the camera is not open")
        check_controls(self._info, controls, where=self._info.port)
        if triggered:
            raise DriverError(Failure.IO, "OpenCV cannot trigger a camera", remedy="Use driver v4l2, or sync free_run")
        capture = self._capture
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.fourcc))
        for what, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, mode.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, mode.height),
            (cv2.CAP_PROP_FPS, mode.rate_hz),
        ):
            capture.set(what, value)
        width, height = (round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        got = Mode(mode.fourcc, width, height, capture.get(cv2.CAP_PROP_FPS) or mode.rate_hz)
        return Applied(got, {}, () if got == mode else (f"the mode is {got}, not {mode}",))

    def start(self, n_buffers: int) -> None:
        """OpenCV streams from the first reading on."""

    def next(self, timeout_s: float) -> Frame | None:  # noqa: ARG002
        """The next picture, encoded; OpenCV waits as long as it likes."""
        import cv2

        there, image = self._capture.read()
        now_ns = time.monotonic_ns()
        if not there:
            raise DriverError(Failure.GONE, "the camera gave no picture", where=self._port())
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise DriverError(Failure.IO, "a picture cannot be encoded", where=self._port())
        self._read += 1
        return Frame(self._read - 1, now_ns, now_ns, memoryview(data.tobytes()), 0, StampSource.HOST)

    def release(self, frame: Frame) -> None:
        """Nothing to give back."""
        frame.picture.release()

    def read_controls(self) -> dict[str, int]:
        """None."""
        return {}

    def stop(self) -> None:
        """OpenCV streams until closed."""

    def close(self) -> None:
        """Close the camera."""
        if self._capture is not None:
            self._capture.release()
        self._capture = None

    def _port(self) -> str:
        return self._info.port if self._info else ""
