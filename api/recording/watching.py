"""What a page follows while it is open: the station's state, and the pictures of its cameras."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from pathlib import Path

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api.access.authenticate import may_still
from api.documents import as_bytes
from api.errors import RefusedError
from api.recording.line import ask_station
from labsys.capture.preview import PREVIEW_HZ, PreviewReader, preview_file
from labsys.storage.lab import Lab

_BOUNDARY = "labsys-picture"
_LOOK_EVERY_S = 0.2
_ASK_AGAIN_S = 5.0


class _Leave:
    """Whether who follows still may: asked again every five seconds, since nobody else ends what never ends."""

    def __init__(self, request: Request) -> None:
        self._request, self._asked_s = request, time.monotonic()

    async def still_holds(self) -> bool:
        """False once its login, key or role is gone."""
        if time.monotonic() - self._asked_s < _ASK_AGAIN_S:
            return True
        self._asked_s = time.monotonic()
        return await run_in_threadpool(may_still, self._request)


async def follow_state(request: Request, lab: Lab) -> AsyncIterator[bytes]:
    """The station's state at every change, until it closes or who follows may no longer."""
    leave, said = _Leave(request), b""
    while await leave.still_holds():
        try:
            state = await run_in_threadpool(ask_station, lab, "state")
        except RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                continue  # busy, not closed
            yield b"event: closed\ndata: {}\n\n"
            return
        body = as_bytes(state)
        if body != said:
            yield b"event: station\ndata: " + body + b"\n\n"
            said = body
        await asyncio.sleep(_LOOK_EVERY_S)


def follow_pictures(request: Request, folder: Path, cameras: Sequence[str]) -> tuple[str, AsyncIterator[bytes]]:
    """A boundary, and parts with a picture each. One that is not taken in time is not kept: the next is newer."""
    return _BOUNDARY, _parts(request, folder, cameras)


async def _parts(request: Request, folder: Path, cameras: Sequence[str]) -> AsyncIterator[bytes]:
    leave = _Leave(request)
    readers = {camera: PreviewReader(preview_file(folder, camera)) for camera in cameras}
    shown = dict.fromkeys(cameras, 0)
    while folder.is_dir() and await leave.still_holds():
        began_s = time.monotonic()
        for camera, reader in readers.items():
            found = reader.latest(after=shown[camera])
            if found is not None:
                shown[camera] = found.number
                yield _part(camera, found.picture)
        await asyncio.sleep(max(1.0 / PREVIEW_HZ - (time.monotonic() - began_s), 0.01))


def _part(camera: str, picture: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nX-Camera: {camera}\r\nContent-Length: {len(picture)}\r\n\r\n"
    return head.encode() + picture + b"\r\n"
