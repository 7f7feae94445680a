"""How the cameras of a take or a rig file were set."""

from __future__ import annotations

from collections.abc import Mapping

from calibration.match import match_cameras
from labsys.capture.genicam import GenicamRig
from labsys.capture.rig import Rig
from labsys.capture.uvc import UVC_EXPOSURE_S, UvcRig
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError
from labsys.core.fingerprint import CameraFingerprint, compare_fingerprints
from labsys.storage.takes import Take
from labsys.storage.video import VideoInfo


def fingerprint_videos(infos: Mapping[str, VideoInfo], rig: Rig | None = None) -> dict[str, CameraFingerprint]:
    """What videos themselves tell, and what the rig file that they were recorded with adds.

    Raises:
        UnknownNameError: a camera that the rig lacks.
    """
    told = {c: CameraFingerprint(i.size_px, i.rate_hz) for c, i in infos.items()}
    if rig is None:
        return told
    match = match_cameras(tuple(rig.cameras), told)
    return {c: _with_rig(found, rig, match[c]) for c, found in told.items()}


def fingerprint_rig(rig: Rig) -> dict[str, CameraFingerprint]:
    """How a rig file sets its cameras."""
    modes = {camera: rig.stream_of(camera) for camera in rig.cameras}
    told = {c: CameraFingerprint((mode.width, mode.height), rig.rate_of(c)) for c, mode in modes.items()}
    return {c: _with_rig(found, rig, c) for c, found in told.items()}


def _with_rig(told: CameraFingerprint, rig: Rig, camera: str) -> CameraFingerprint:
    match rig:
        case UvcRig():
            mode, controls = rig.mode_of(camera), rig.controls_of(camera)
            serial = f"{rig.cameras[camera].usb_id} at {rig.cameras[camera].by_path}"
            exposure = controls.get("exposure_time_absolute")
            focus = controls.get("focus_absolute")
            return CameraFingerprint(
                told.size_px,
                told.rate_hz,
                serial,
                f"{mode.fourcc} {mode.width}x{mode.height}@{mode.fps:g}",
                "" if focus is None else str(focus),
                "" if exposure is None else f"{exposure * UVC_EXPOSURE_S * 1e6:.0f} us",
            )
        case GenicamRig():
            mode_g, exposure_g = rig.defaults.mode, rig.defaults.node("ExposureTime")
            serial = rig.cameras[camera].serial
            text = f"{mode_g.pixel_format} {mode_g.width}x{mode_g.height}+{mode_g.offset_x}+{mode_g.offset_y}"
            exposure_text = f"{exposure_g:.0f} us" if isinstance(exposure_g, int | float) else ""
            return CameraFingerprint(told.size_px, told.rate_hz, serial, text, exposure=exposure_text)


def differs_from_calibration(
    taken: Mapping[str, CameraFingerprint], calibration: Calibration | None
) -> tuple[str, ...]:
    """What differs between a take and its calibration, by camera; nothing where either says nothing."""
    if calibration is None or not calibration.fingerprint:
        return ()
    known = [c for c in taken if _known(c, calibration)]
    match = match_cameras(tuple(calibration.fingerprint), known)
    return compare_fingerprints({c: calibration.fingerprint[match[c]] for c in known}, {c: taken[c] for c in known})


def _known(camera: str, calibration: Calibration) -> bool:
    try:
        match_cameras(tuple(calibration.fingerprint), [camera])
    except InputError:
        return False
    return True


def fingerprint_take(take: Take) -> dict[str, CameraFingerprint]:
    """What the videos of a stored take tell; nothing where it has landmarks alone."""
    return {c: CameraFingerprint(f.size_px, f.rate_hz) for c, f in take.cameras.items()}
