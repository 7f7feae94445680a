"""Checks of the machine: its disk, the right to be served first, and what else it is doing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from labsys.capture.preflight.cameras import expected_bytes_per_s
from labsys.capture.preflight.check import CheckResult, Outcome, Rehearsal
from labsys.capture.priority import Priority
from labsys.capture.status import Count

_ROOM = 1.5
_TRIAL_WRITE_BYTES, _TRIAL_WRITE_S = 32 << 20, 2.0  # at least; a disk's own cache takes more than a moment's worth
_FORCED_BYTES = 64 << 20  # at once: a stick that takes 10 MB a second answers after seven seconds, not after a minute
_MOST_LOAD = 0.5
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "vfat", "exfat", "msdos")
# Without it, one sweep of a full page cache stalls every writer.
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_POWER = Path("/sys/class/power_supply")
_USBFS = Path("/sys/module/usbcore/parameters/usbfs_memory_mb")


class DiskCheck:
    """Room for what is planned, and a disk that writes twice as fast as the cameras send."""

    name = "disk"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per fault, or one that there is none."""
        found = [*self._room(rehearsal), *self._kind(rehearsal), *self._speed(rehearsal)]
        yield from found or [CheckResult(self.name, Outcome.PASS, "room and speed enough")]

    def _room(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        free = shutil.disk_usage(rehearsal.folder).free
        limit = rehearsal.rig.limits.disk_min_free_gb * 1e9
        needed = max(_ROOM * expected_bytes_per_s(rehearsal) * rehearsal.planned_s, 0.0) + limit
        if free < needed:
            yield CheckResult(
                self.name,
                Outcome.FAIL,
                f"{free / 1e9:.1f} GB are free, {needed / 1e9:.1f} GB are needed",
                "Move old takes to another disk",
            )

    def _kind(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        kind = _filesystem_of(rehearsal.folder)
        if kind in _NETWORK:
            yield CheckResult(
                self.name, Outcome.FAIL, f"the lab lies on {kind}", "Record onto a disk inside this machine"
            )

    def _speed(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        wanted = 2.0 * expected_bytes_per_s(rehearsal)
        try:
            speed = _measure_write(rehearsal.folder, wanted)
        except OSError as error:
            said = f"the disk takes no more: {error.strerror or error}"
            yield CheckResult(self.name, Outcome.FAIL, said, "Make room on it, or look whether it is there")
            return
        if speed < wanted:
            yield CheckResult(
                self.name,
                Outcome.FAIL if 2 * speed < wanted else Outcome.WARN,
                f"the disk writes {speed / 1e6:.0f} MB/s, {wanted / 1e6:.0f} MB/s are safe",
                "Use an internal SSD, and close what writes to it",
            )


class MachineCheck:
    """Priority, load, power."""

    name = "machine"

    def look(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        """One line per thing that may cost frames, or one that there is none."""
        found = [*self._priority(rehearsal), *self._load(), *self._power(), *self._usb_memory(rehearsal)]
        yield from found or [CheckResult(self.name, Outcome.PASS, "ready")]

    def _priority(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        granted = [n[Count.PRIORITY] for n in rehearsal.counts.values()]
        if granted and min(granted) == Priority.NORMAL:
            yield CheckResult(
                self.name,
                Outcome.WARN,
                "the recorder may not be served first: a busy machine will lose frames",
                "Give this user rtprio 20 and nice -20 in /etc/security/limits.d, and log in again",
            )

    def _load(self) -> Iterator[CheckResult]:
        load, cores = os.getloadavg()[0], os.cpu_count() or 1
        if load > _MOST_LOAD * cores + 1:
            yield CheckResult(
                self.name,
                Outcome.WARN,
                f"the machine is busy (load {load:.1f} on {cores} cores)",
                "Let other work end first",
            )

    def _power(self) -> Iterator[CheckResult]:
        if _GOVERNOR.exists() and _GOVERNOR.read_text().strip() == "powersave":
            yield CheckResult(
                self.name, Outcome.WARN, "the processor saves power", "Set the governor to performance while recording"
            )
        for supply in _POWER.glob("*/online") if _POWER.exists() else ():
            if supply.read_text().strip() == "0" and (supply.parent / "type").read_text().strip() == "Mains":
                yield CheckResult(self.name, Outcome.WARN, "the machine runs on battery", "Plug it in")

    def _usb_memory(self, rehearsal: Rehearsal) -> Iterator[CheckResult]:
        wanted = rehearsal.rig.system.usbfs_memory_mb
        allowed = int(_USBFS.read_text()) if wanted is not None and _USBFS.exists() else None
        if wanted is not None and allowed is not None and 0 < allowed < wanted:
            yield CheckResult(
                self.name,
                Outcome.WARN,
                f"the kernel allows {allowed} MB for USB, {wanted} MB are asked for",
                f"Boot with usbcore.usbfs_memory_mb={wanted}",
            )


def _filesystem_of(folder: Path) -> str:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    path = folder.resolve()
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, place, found, *_ = line.split()
        at = place.replace("\\040", " ")
        if (path == Path(at) or Path(at) in path.parents) and len(at) > len(best):
            best, kind = at, found
    return kind


def _measure_write(folder: Path, wanted: float) -> float:
    """Bytes per second that reach the disk: what it should take in two seconds, or what it takes in them.

    Never more than a tenth of what is free.
    """
    path, block = folder / ".write_test", os.urandom(1 << 20)
    most = min(max(_TRIAL_WRITE_BYTES, _TRIAL_WRITE_S * wanted), max(shutil.disk_usage(folder).free // 10, len(block)))
    began, written = time.monotonic(), 0
    try:
        with path.open("wb", buffering=0) as file:
            while written < most and time.monotonic() < began + _TRIAL_WRITE_S:
                forced = min(written + _FORCED_BYTES, most)
                while written < forced:
                    written += file.write(block)
                os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)
    return written / max(time.monotonic() - began, 1e-6)
