"""The parts that a camera's process left behind, and how they become one video and one sidecar.

Rows are held against packets by their sizes. One part becomes the video as it is; several are copied behind each other.
A part is removed only when all of it is in the video: what did not match stays under raw/unmatched for a person.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labsys.core.arrays import BoolArray, IntArray
from labsys.core.errors import InputError
from labsys.storage.atomic import make_folder, sync_file, write_text_atomic
from labsys.storage.jpeg_video import JpegVideo, is_closed
from labsys.storage.sidecar import HEADER_BYTES, ROW, Rows, read_sidecar, write_sidecar
from labsys.storage.video import measure_packets, read_packets

NS = 1_000_000_000
UNMATCHED = "unmatched"
_SURE_AFTER = 8  # rows that must match behind one that does not, for packets and rows to be in step again
_TAIL = 2  # rows or packets without the other that a killed process may leave
_HEADER_MOST_BYTES = 4096
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
# What file systems say that know no links, and the kernel where the part is somebody else's.
_NO_LINKS = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True, eq=False)
class _Part:
    """A part held against itself. keep: (N,) packets that have their row. dropped: rows, packets without the other."""

    sidecar: Path
    rows: Rows
    keep: BoolArray
    dropped: int
    whole: bool

    @property
    def video(self) -> Path:
        return self.sidecar.with_suffix(".mkv")


def read_parts(raw: Path, camera: str) -> list[Rows]:
    """Rows of every part in order, joined already or not yet."""
    joined, starts = raw / f"{camera}.fts", _starts(raw, camera)
    if joined.exists() and starts.exists():
        return [p for p in np.split(read_sidecar(joined), json.loads(starts.read_text())) if p.size]
    return [_read_rows(sidecar) for sidecar in _sidecars(raw, camera)]


def foresee_parts(raw: Path, camera: str) -> tuple[list[Rows], list[Mapping[str, Any]]]:
    """Rows of every part that joining will keep, and the camera's events with those that joining will add.

    Parts that their process ended in order are whole; only one that was cut short is held against its packets.
    """
    events = read_events(raw, camera)
    if _starts(raw, camera).exists():
        return read_parts(raw, camera), events
    rows = []
    for sidecar in _sidecars(raw, camera):
        video = sidecar.with_suffix(".mkv")
        if video.exists() and is_closed(video):
            rows.append(_read_rows(sidecar))
            continue
        part = _hold_together(sidecar)
        rows.append(part.rows)
        events += [_describe_unmatched(part)] if part.dropped else []
    return rows, events


def read_events(raw: Path, camera: str) -> list[Mapping[str, Any]]:
    """What happened to a camera, all whole lines; the last may have been cut by a crash."""
    path, events = _events(raw, camera), []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):
            events.append(json.loads(line))
    return events


def join_parts(raw: Path, camera: str, facts: Mapping[str, Any]) -> None:
    """Make CAMERA.mkv and .fts of its parts. CAMERA.parts.json says where parts begin; once it stands, parts may go.

    Raises:
        InputError: the disk has no room for that, or refuses; every part is still there.
    """
    done, sidecars = _starts(raw, camera), _sidecars(raw, camera)
    if not done.exists() and sidecars:
        parts = [_hold_together(sidecar) for sidecar in sidecars]
        _make_video(raw, camera, parts, facts)
        for part in parts:
            _tell_unmatched(raw, camera, part)
        write_sidecar(raw / f"{camera}.fts", np.concatenate([p.rows for p in parts]))
        write_text_atomic(done, json.dumps(np.cumsum([p.rows.size for p in parts])[:-1].tolist()))
    unmatched = {event["part"] for event in read_events(raw, camera) if event["event"] == UNMATCHED}
    for sidecar in sidecars:
        _put_away(sidecar, keep=sidecar.stem in unmatched)


def _starts(raw: Path, camera: str) -> Path:
    return raw / f"{camera}.parts.json"


def _events(raw: Path, camera: str) -> Path:
    return raw / f"{camera}.events.jsonl"


def _sidecars(raw: Path, camera: str) -> list[Path]:
    found = list(raw.glob(f"{camera}.part*.fts"))
    return sorted(found, key=lambda p: int(p.name.removeprefix(f"{camera}.part").removesuffix(".fts")))


def _read_rows(sidecar: Path) -> Rows:
    """Rows of a part; none where a full disk or a power cut took even its header."""
    return read_sidecar(sidecar) if sidecar.stat().st_size >= HEADER_BYTES else np.zeros(0, dtype=ROW)


def _hold_together(sidecar: Path) -> _Part:
    rows, video = _read_rows(sidecar), sidecar.with_suffix(".mkv")
    sizes, whole = _measure_or_none(video)
    n = min(sizes.size, rows.size)
    keep = _find_in_step(sizes[:n], rows["bytes"][:n].astype(np.int64))
    beyond = max(sizes.size, rows.size) - n
    # A kill leaves a row or a packet at the end; more than that, or any in the middle, may be worth a person's time.
    dropped = int((~keep).sum()) + (beyond if beyond > _TAIL else 0)
    if not sizes.size and video.exists() and video.stat().st_size > _HEADER_MOST_BYTES:
        dropped = max(dropped, 1)
    return _Part(sidecar, rows[:n][keep], np.append(keep, np.zeros(sizes.size - n, np.bool_)), dropped, whole)


def _measure_or_none(video: Path) -> tuple[IntArray, bool]:
    try:
        return measure_packets(video)
    except InputError:
        return np.zeros(0, np.int64), False  # killed before its header was whole


def _find_in_step(sizes: IntArray, told: IntArray) -> BoolArray:
    """Which packets have the size that their rows tell.

    One damaged row stands alone. Where rows behind it differ too, packets and rows are no longer in step: what matches
    from there on does so by chance.
    """
    keep: BoolArray = np.equal(sizes, told)
    for i in np.flatnonzero(~keep):
        if np.count_nonzero(keep[i + 1 : i + 1 + _SURE_AFTER]) < _SURE_AFTER:
            keep[i:] = False
            break
    return keep


def _make_video(raw: Path, camera: str, parts: Sequence[_Part], facts: Mapping[str, Any]) -> None:
    video = raw / f"{camera}.mkv"
    needed = sum(int(p.rows["bytes"].sum()) for p in parts)
    try:
        sound = len(parts) == 1 and parts[0].whole and parts[0].keep.all()
        if not (sound and _link(parts[0].video, video)) and needed:
            _copy_with_room(parts, video, facts, needed)
    except OSError as error:
        what = f"the parts of {camera} cannot be joined: {error.strerror or error}"
        if error.errno in _FULL:
            free = shutil.disk_usage(raw).free
            what = f"not enough room to join the parts of {camera}: {needed / 1e9:.3g} GB needed, {free / 1e9:.3g} free"
        raise InputError(
            what, where=str(raw), remedy="All parts are kept; free some space, then run 'labsys recover'"
        ) from error


def _link(part: Path, video: Path) -> bool:
    """Whether a part could be made the video without a copy."""
    video.unlink(missing_ok=True)
    try:
        video.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _copy_with_room(parts: Sequence[_Part], video: Path, facts: Mapping[str, Any], needed: int) -> None:
    """Copy, unless that would take the last room from a recording that is under way."""
    if needed > shutil.disk_usage(video.parent).free:
        raise OSError(errno.ENOSPC, "no room")
    temporary = video.with_name(f".{video.name}")
    temporary.unlink(missing_ok=True)
    try:
        _copy(parts, temporary, facts)
        sync_file(temporary)  # the parts go as soon as it stands
        temporary.replace(video)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(parts: Sequence[_Part], path: Path, facts: Mapping[str, Any]) -> None:
    kept = [p for p in parts if p.rows.size]
    first_ns = int(kept[0].rows["t_ns"][0])
    width, height = facts["size_px"]
    out = JpegVideo(path, size_px=(width, height), rate_hz=float(facts["rate_hz"]))
    try:
        for part in kept:
            rows = iter(part.rows)
            for picture, keep in zip(read_packets(part.video), part.keep, strict=False):
                if keep:
                    out.write(picture, (int(next(rows)["t_ns"]) - first_ns) / NS)
    except BaseException:
        with contextlib.suppress(OSError):
            out.close()
        raise
    out.close()


def _tell_unmatched(raw: Path, camera: str, part: _Part) -> None:
    if not part.dropped:
        return
    with _events(raw, camera).open("a") as file:
        file.write(json.dumps(_describe_unmatched(part)) + "\n")
    sync_file(_events(raw, camera))  # it is what keeps the part


def _describe_unmatched(part: _Part) -> dict[str, Any]:
    why = f"{part.dropped} rows of {part.sidecar.stem} did not match their pictures; it is kept under raw/{UNMATCHED}"
    return {"at_ns": time.monotonic_ns(), "event": UNMATCHED, "part": part.sidecar.stem, "why": why}


def _put_away(sidecar: Path, *, keep: bool) -> None:
    """Remove a part that is in the video; the sidecar last, which is what a part is found by."""
    room = sidecar.parent / UNMATCHED
    if keep:
        make_folder(room)
    for path in (sidecar.with_suffix(".mkv"), sidecar):
        if not keep:
            path.unlink(missing_ok=True)
        elif path.exists():
            path.rename(room / path.name)
