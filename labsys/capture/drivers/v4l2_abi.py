"""The part of Linux's video interface that labsys speaks: structures and request numbers, for 64-bit systems.

Source: the kernel's own header linux/videodev2.h (GPL-2.0 WITH Linux-syscall-note: its numbers and layouts are an
interface). A test holds every size, offset and number against the header where a compiler is there.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char, c_int32, c_int64, c_long, c_uint8, c_uint32, c_uint64, c_ulong, c_void_p
from typing import ClassVar

CAPTURE = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
MEMORY_MMAP = 1
FIELD_NONE = 1
CAP_VIDEO_CAPTURE = 0x00000001
CAP_STREAMING = 0x04000000
BUF_FLAG_ERROR = 0x00000040
BUF_FLAG_TIMESTAMP_MASK = 0x0000E000
BUF_FLAG_TIMESTAMP_MONOTONIC = 0x00002000
BUF_FLAG_SRC_MASK = 0x00070000
BUF_FLAG_SRC_SOE = 0x00010000
CTRL_FLAG_DISABLED = 0x0001
CTRL_FLAG_NEXT = 0x80000000
CTRL_TYPE_CLASS = 6
FRMSIZE_DISCRETE = 1
FRMIVAL_DISCRETE = 1


class Capability(ctypes.Structure):
    """struct v4l2_capability."""

    _fields_: ClassVar = [
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class FormatDescription(ctypes.Structure):
    """struct v4l2_fmtdesc."""

    _fields_: ClassVar = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class FrameSize(ctypes.Structure):
    """struct v4l2_frmsizeenum; of its union labsys reads the discrete member."""

    _fields_: ClassVar = [
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("stepwise_rest", c_uint32 * 4),
        ("reserved", c_uint32 * 2),
    ]


class Fraction(ctypes.Structure):
    """struct v4l2_fract."""

    _fields_: ClassVar = [("numerator", c_uint32), ("denominator", c_uint32)]


class FrameInterval(ctypes.Structure):
    """struct v4l2_frmivalenum; of its union labsys reads the discrete member."""

    _fields_: ClassVar = [
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("discrete", Fraction),
        ("stepwise_rest", Fraction * 2),
        ("reserved", c_uint32 * 2),
    ]


class PixelFormat(ctypes.Structure):
    """struct v4l2_pix_format."""

    _fields_: ClassVar = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    ]


class _FormatUnion(ctypes.Union):
    # The kernel's union holds pointers: it is aligned to 8 bytes.
    _fields_: ClassVar = [("pix", PixelFormat), ("raw", c_uint8 * 200), ("aligned", c_void_p)]


class Format(ctypes.Structure):
    """struct v4l2_format."""

    _fields_: ClassVar = [("type", c_uint32), ("fmt", _FormatUnion)]


class CaptureParameters(ctypes.Structure):
    """struct v4l2_captureparm."""

    _fields_: ClassVar = [
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fraction),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    ]


class _ParametersUnion(ctypes.Union):
    _fields_: ClassVar = [("capture", CaptureParameters), ("raw", c_uint8 * 200)]


class StreamParameters(ctypes.Structure):
    """struct v4l2_streamparm."""

    _fields_: ClassVar = [("type", c_uint32), ("parm", _ParametersUnion)]


class RequestBuffers(ctypes.Structure):
    """struct v4l2_requestbuffers."""

    _fields_: ClassVar = [
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    ]


class TimeValue(ctypes.Structure):
    """struct timeval."""

    _fields_: ClassVar = [("seconds", c_long), ("microseconds", c_long)]


class _TimeCode(ctypes.Structure):
    _fields_: ClassVar = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("frames", c_uint8),
        ("seconds", c_uint8),
        ("minutes", c_uint8),
        ("hours", c_uint8),
        ("userbits", c_uint8 * 4),
    ]


class _Place(ctypes.Union):
    _fields_: ClassVar = [("offset", c_uint32), ("userptr", c_ulong), ("planes", c_void_p), ("fd", c_int32)]


class Buffer(ctypes.Structure):
    """struct v4l2_buffer."""

    _fields_: ClassVar = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", TimeValue),
        ("timecode", _TimeCode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Place),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    ]


class Control(ctypes.Structure):
    """struct v4l2_control."""

    _fields_: ClassVar = [("id", c_uint32), ("value", c_int32)]


class ExtendedControlQuery(ctypes.Structure):
    """struct v4l2_query_ext_ctrl."""

    _fields_: ClassVar = [
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int64),
        ("maximum", c_int64),
        ("step", c_uint64),
        ("default_value", c_int64),
        ("flags", c_uint32),
        ("elem_size", c_uint32),
        ("elems", c_uint32),
        ("nr_of_dims", c_uint32),
        ("dims", c_uint32 * 4),
        ("reserved", c_uint32 * 32),
    ]


_WRITE, _READ = 1, 2


def _request(direction: int, number: int, kind: type) -> int:
    """_IOC(direction, 'V', number, sizeof(kind)), asm-generic/ioctl.h."""
    return direction << 30 | ctypes.sizeof(kind) << 16 | ord("V") << 8 | number


QUERYCAP = _request(_READ, 0, Capability)
ENUM_FMT = _request(_READ | _WRITE, 2, FormatDescription)
S_FMT = _request(_READ | _WRITE, 5, Format)
REQBUFS = _request(_READ | _WRITE, 8, RequestBuffers)
QUERYBUF = _request(_READ | _WRITE, 9, Buffer)
QBUF = _request(_READ | _WRITE, 15, Buffer)
DQBUF = _request(_READ | _WRITE, 17, Buffer)
STREAMON = _request(_WRITE, 18, c_int32)
STREAMOFF = _request(_WRITE, 19, c_int32)
S_PARM = _request(_READ | _WRITE, 22, StreamParameters)
G_CTRL = _request(_READ | _WRITE, 27, Control)
S_CTRL = _request(_READ | _WRITE, 28, Control)
ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, FrameSize)
ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, FrameInterval)
QUERY_EXT_CTRL = _request(_READ | _WRITE, 103, ExtendedControlQuery)

# What the header calls each structure, and the fields whose places a test compares.
HEADER_NAMES: dict[str, tuple[type, tuple[str, ...]]] = {
    "v4l2_capability": (Capability, ("card", "bus_info", "capabilities", "device_caps")),
    "v4l2_fmtdesc": (FormatDescription, ("flags", "description", "pixelformat")),
    "v4l2_frmsizeenum": (FrameSize, ("pixel_format", "type", "reserved")),
    "v4l2_frmivalenum": (FrameInterval, ("pixel_format", "type", "discrete", "reserved")),
    "v4l2_format": (Format, ("fmt",)),
    "v4l2_pix_format": (PixelFormat, ("pixelformat", "sizeimage", "priv", "xfer_func")),
    "v4l2_streamparm": (StreamParameters, ("parm",)),
    "v4l2_captureparm": (CaptureParameters, ("timeperframe", "readbuffers")),
    "v4l2_requestbuffers": (RequestBuffers, ("count", "memory", "capabilities", "flags")),
    "v4l2_buffer": (Buffer, ("bytesused", "flags", "timestamp", "sequence", "memory", "m", "length", "request_fd")),
    "v4l2_control": (Control, ("value",)),
    "v4l2_query_ext_ctrl": (ExtendedControlQuery, ("name", "minimum", "step", "flags", "dims", "reserved")),
}
HEADER_REQUESTS: dict[str, int] = {
    "VIDIOC_QUERYCAP": QUERYCAP,
    "VIDIOC_ENUM_FMT": ENUM_FMT,
    "VIDIOC_S_FMT": S_FMT,
    "VIDIOC_REQBUFS": REQBUFS,
    "VIDIOC_QUERYBUF": QUERYBUF,
    "VIDIOC_QBUF": QBUF,
    "VIDIOC_DQBUF": DQBUF,
    "VIDIOC_STREAMON": STREAMON,
    "VIDIOC_STREAMOFF": STREAMOFF,
    "VIDIOC_S_PARM": S_PARM,
    "VIDIOC_G_CTRL": G_CTRL,
    "VIDIOC_S_CTRL": S_CTRL,
    "VIDIOC_ENUM_FRAMESIZES": ENUM_FRAMESIZES,
    "VIDIOC_ENUM_FRAMEINTERVALS": ENUM_FRAMEINTERVALS,
    "VIDIOC_QUERY_EXT_CTRL": QUERY_EXT_CTRL,
    "V4L2_BUF_FLAG_ERROR": BUF_FLAG_ERROR,
    "V4L2_BUF_FLAG_TIMESTAMP_MASK": BUF_FLAG_TIMESTAMP_MASK,
    "V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC": BUF_FLAG_TIMESTAMP_MONOTONIC,
    "V4L2_BUF_FLAG_TSTAMP_SRC_MASK": BUF_FLAG_SRC_MASK,
    "V4L2_BUF_FLAG_TSTAMP_SRC_SOE": BUF_FLAG_SRC_SOE,
    "V4L2_CAP_VIDEO_CAPTURE": CAP_VIDEO_CAPTURE,
    "V4L2_CAP_STREAMING": CAP_STREAMING,
    "V4L2_CTRL_FLAG_NEXT_CTRL": CTRL_FLAG_NEXT,
    "V4L2_CTRL_TYPE_CTRL_CLASS": CTRL_TYPE_CLASS,
    "V4L2_MEMORY_MMAP": MEMORY_MMAP,
    "V4L2_BUF_TYPE_VIDEO_CAPTURE": CAPTURE,
    "V4L2_FIELD_NONE": FIELD_NONE,
}
