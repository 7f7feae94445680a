"""Checks of the cameras: who they are, their bus, their stream, their controls, their trigger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from labsys.capture.device import DriverError, Failure
from labsys.capture.preflight.check import CheckResult, Outcome, Rehearsal
from labsys.capture.rig import Rig
from labsys.capture.rig_base import FreeRun
from labsys.capture.status import Count
from labsys.core.errors import LabsysError

NS = 1e9
_HIGH_SPEED_MBPS = 480
_RATE_TOLERANCE = 0.005

_FIXES = {
    Failure.BUSY: "Close the program that holds {camera}: {why}",
    Failure.PERMISSION: "Allow this user to open it: add the user to the group video and log in again",
    Failure.BANDWIDTH: "Plug {camera} into a controller of its own",
    Failure.IO: "Correct the rig file, or plug {camera} out and in again",
}


def advise(rig: Rig, camera: str, error: LabsysError) -> str:
    """What to do where a camera could not be opened."""
    if not isinstance(error, DriverError):
        return error.remedy
    if error.kind is Failure.GONE:
        return rig.plug_in(camera)
    return _FIXES[error.kind].format(camera=camera, why=error.what)


class IdentityCheck:
    """Every configured camera is there, can be opened, and is the one that the file names."""

    name = "identity"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per camera."""
        rig = rehearsal.rig
        for camera in rig.cameras:
            error = rehearsal.failed.get(camera)
            if error is not None:
                yield CheckResult(
                    self.name, Outcome.FAIL, f"{camera}: {error.what}", advise(rig, camera, error)
                )  # fmt: skip
                continue
            found, wanted = rehearsal.opened[camera]["usb_id"], rig.identity_of(camera)
            if found and wanted and found != wanted:
                yield CheckResult(
                    self.name,
                    Outcome.FAIL,
                    f"{camera} is {found}, not {wanted}",
                    f"Plug the right camera into the port {rig.port_of(camera)}, or correct usb_id",
                )
            else:
                yield CheckResult(self.name, Outcome.PASS, f"{camera} is there")


class BusCheck:
    """Speed of every camera's bus, and whether a bus carries what its cameras send."""

    name = "bus"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per fault, or one that there is none."""
        found = [*self._slow(rehearsal), *self._full(rehearsal)]
        yield from found or [CheckResult(self.name, Outcome.PASS, "every bus carries its cameras")]

    def _slow(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        for camera, told in rehearsal.opened.items():
            speed = _whole(told, "speed_mbps")
            if 0 < speed < _HIGH_SPEED_MBPS:
                yield CheckResult(
                    self.name,
                    Outcome.FAIL,
                    f"{camera} hangs on a bus of {speed} Mbit/s",
                    "Use another cable or port: it should run at 480 Mbit/s or more",
                )

    def _full(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        load, allowed = defaultdict[str, float](float), defaultdict[str, float](float)
        for camera, told in rehearsal.opened.items():
            share = rehearsal.rig.bus_share(camera, told)
            if share.bus:
                seen = _rate_bytes(rehearsal, camera) / 1e6
                load[share.bus] += seen if share.needs_mbps is None else share.needs_mbps
                allowed[share.bus] = max(allowed[share.bus], share.most_mbps)
        for bus, sent in load.items():
            most = allowed[bus]
            if sent > most:
                yield CheckResult(
                    self.name,
                    Outcome.FAIL,
                    f"bus {bus} would carry {sent:.0f} MB/s, {most:.0f} are safe",
                    "Give some of its cameras a controller of their own",
                )


class StreamCheck:
    """All cameras together at the real mode: the only true test of bandwidth."""

    name = "stream"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per camera."""
        for camera in rehearsal.opened:
            faults = list(self._faults(rehearsal, camera))
            yield from faults or [CheckResult(self.name, Outcome.PASS, f"{camera} streams as it should")]

    def _faults(self, rehearsal: Rehearsal, camera: str) -> Iterator[CheckResult]:
        counts = rehearsal.counts[camera]
        seen, wanted = counts[Count.SEEN], rehearsal.rig.rate_of(camera)
        if seen < 3:
            yield self._fail(f"{camera} delivers no frames", "Plug it out and in again; a trigger must pulse")
            return
        if camera in rehearsal.broken_off:
            why = rehearsal.broken_off[camera]
            yield self._fail(
                f"{camera} stopped while all streamed: {why} after {seen} frames",
                "Look at its plug, use another cable, or a controller of its own; then check again",
            )
            return
        if counts[Count.HOST_STAMPS] > 0.01 * seen:
            yield self._fail(
                f"the timestamps of {camera} stand still", "Update the system's kernel, or use another camera"
            )
            return
        span_s = (counts[Count.LAST_NS] - counts[Count.FIRST_NS]) / NS
        rate_hz = (seen + counts[Count.SEQ_GAPS] - 1) / span_s
        if abs(rate_hz / wanted - 1.0) > _RATE_TOLERANCE + 1.0 / seen:
            yield self._fail(
                f"{camera} runs at {rate_hz:.2f} fps, not {wanted:g}",
                rehearsal.rig.slow_fix,
            )
        if counts[Count.SEQ_GAPS]:
            yield self._fail(
                f"{camera} lost {counts[Count.SEQ_GAPS]} of {seen} frames",
                "Close other programs, allow real-time priority, or plug it into a controller of its own",
            )
        if counts[Count.SEEN_DAMAGED]:
            yield self._fail(
                f"{camera} sent {counts[Count.SEEN_DAMAGED]} damaged frames",
                "Use a shorter cable without a hub, away from the treadmill's motor",
            )
        yield from self._unusual(rehearsal, camera)

    def _unusual(self, rehearsal: Rehearsal, camera: str) -> Iterator[CheckResult]:
        usual, counts = rehearsal.rig.usual_jpeg_kb, rehearsal.counts[camera]
        size_kb = counts[Count.SEEN_BYTES] / counts[Count.SEEN] / 1000
        if usual is not None and not usual[0] <= size_kb <= usual[1]:
            yield CheckResult(
                self.name,
                Outcome.WARN,
                f"frames of {camera} have {size_kb:.0f} kB, {usual[0]:g} to {usual[1]:g} are usual",
                "Look at its picture: lens cap, focus, light; or correct defaults.expect",
            )

    def _fail(self, what: str, fix: str) -> CheckResult:
        return CheckResult(self.name, Outcome.FAIL, what, fix)


class ControlCheck:
    """Controls as they were read back, and none of them automatic."""

    name = "controls"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per camera."""
        for camera, told in rehearsal.opened.items():
            faults = list(self._faults(rehearsal, camera, told))
            yield from faults or [CheckResult(self.name, Outcome.PASS, f"{camera} is set as asked")]

    def _faults(self, rehearsal: Rehearsal, camera: str, told: Mapping[str, Any]) -> Iterator[CheckResult]:
        for wrong in told["mismatches"]:
            yield CheckResult(
                self.name, Outcome.FAIL, f"{camera}: {wrong}", "Choose a value that the camera takes, or leave it out"
            )
        lacking = [name for name in rehearsal.rig.optional_controls if name not in told["controls"]]
        if lacking:
            said = f"{camera} lacks {', '.join(lacking)}"
            yield CheckResult(self.name, Outcome.WARN, said, "Look that it adjusts nothing of that by itself")
        for what, fix in rehearsal.rig.find_automatic(camera, told["controls"]):
            yield CheckResult(self.name, Outcome.WARN, f"{camera} adjusts itself: {what}", fix)


class TriggerCheck:
    """The box answers, and every camera gives one frame per pulse."""

    name = "trigger"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per fault, or one that there is none."""
        if isinstance(rehearsal.rig.sync, FreeRun):
            return
        if rehearsal.trigger_failed:
            yield CheckResult(self.name, Outcome.FAIL, rehearsal.trigger_failed, "Check the box's cable and power")
            return
        wrong = {c: n[Count.SEEN] for c, n in rehearsal.counts.items() if n[Count.SEEN] != rehearsal.pulses}
        for camera, seen in wrong.items():
            yield CheckResult(
                self.name,
                Outcome.FAIL,
                f"{camera} gave {seen} frames for {rehearsal.pulses} pulses",
                "Check its trigger line, level and trigger_enter; lower sync.fps",
            )
        if not wrong:
            yield CheckResult(self.name, Outcome.PASS, f"{rehearsal.pulses} pulses, as many frames of every camera")


def _rate_bytes(rehearsal: Rehearsal, camera: str) -> float:
    counts = rehearsal.counts[camera]
    return counts[Count.SEEN_BYTES] / max(counts[Count.SEEN], 1) * rehearsal.rig.rate_of(camera)


def expected_bytes_per_s(rehearsal: Rehearsal) -> float:
    """What all cameras together will send."""
    return sum(_rate_bytes(rehearsal, camera) for camera in rehearsal.opened)


def _whole(told: Mapping[str, object], key: str) -> int:
    value = told.get(key, 0)
    return value if isinstance(value, int) else 0
