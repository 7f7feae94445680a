"""The line between the service and a lab's station: a Unix socket, one JSON object each way per call.

LAB/.station says where the station's own folder is; the station holds that file locked while it lives. The service may
come and go: whoever serves the lab finds the station again through this file.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any

from api.errors import RefusedError
from api.unexpected import write_down
from labsys.core.errors import ConcurrencyError, InputError, LabsysError, UnknownNameError
from labsys.storage.atomic import is_there
from labsys.storage.lab import Lab

PLACE = ".station"
SOCKET = "line"
_ANSWER_S = 15.0
_MOST_BYTES = 1 << 20
_START_S = 30.0
_STARTED: list[subprocess.Popen[bytes]] = []  # so that the system learns of their ends while this process lives


def station_folder(lab: Lab) -> Path:
    """Where the station of a lab keeps its socket and its pictures.

    Raises:
        RefusedError: 404, there is none.
    """
    try:
        found = json.loads((lab.root / PLACE).read_text(encoding="utf-8"))
        folder = Path(found["folder"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _nobody() from error
    if not is_there(folder / SOCKET):
        raise _nobody()
    return folder


def ask_station(lab: Lab, order: str, **facts: Any) -> dict[str, Any]:
    """One order and its answer.

    Raises:
        RefusedError: 404, there is no station; 409, not now, or it does not answer; else as the station refuses it.
    """
    path = station_folder(lab) / SOCKET
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWER_S)
            line.connect(str(path))
            line.sendall(json.dumps({"order": order, **facts}).encode() + b"\n")
            with line.makefile("rb") as answered:
                answer = json.loads(answered.readline(_MOST_BYTES))
    except TimeoutError as error:
        raise _busy() from error
    except (OSError, ValueError) as error:
        raise _nobody() from error
    if "refused" in answer:
        raise _as_error(answer["refused"])
    found: dict[str, Any] = answer["answer"]
    return found


def _nobody() -> RefusedError:
    return RefusedError(
        HTTPStatus.NOT_FOUND, "no-station", "no cameras are open", remedy="Open the cameras of a rig first"
    )


def _busy() -> RefusedError:
    return RefusedError(
        HTTPStatus.CONFLICT,
        "not-now",
        f"the cameras are open, and their station did not answer for {_ANSWER_S:g} s",
        remedy="Ask again; what is being recorded goes on",
    )


def as_refusal(error: LabsysError) -> dict[str, Any]:
    """An error as it goes over the line."""
    kinds = ((UnknownNameError, "unknown"), (ConcurrencyError, "busy"), (InputError, "input"))
    kind = next((word for which, word in kinds if isinstance(error, which)), "refused")
    nearest = getattr(error, "nearest", None)
    return {"kind": kind, "what": error.what, "where": error.where, "remedy": error.remedy, "nearest": nearest}


def _as_error(told: Mapping[str, Any]) -> RefusedError:
    statuses = {"unknown": HTTPStatus.UNPROCESSABLE_ENTITY, "input": HTTPStatus.UNPROCESSABLE_ENTITY}
    status = statuses.get(told["kind"], HTTPStatus.CONFLICT)
    kinds = {"unknown": "unknown-name", "input": "invalid-input", "busy": "not-now"}
    kind = kinds.get(told["kind"], "refused")
    what = f"{told['what']} ({told['where']})" if told["where"] else told["what"]
    return RefusedError(status, kind, what, remedy=told["remedy"], nearest=told["nearest"])


class Line:
    """The station's end: every order is heard in a thread of its own, until closed."""

    def __init__(self, path: Path, hear: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._hear = hear
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve, name="line", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear nobody any more."""
        # Closing alone does not wake a thread that waits in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5.0)

    def _serve(self) -> None:
        while True:
            try:
                talk, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(talk,), daemon=True).start()

    def _answer(self, talk: socket.socket) -> None:
        with talk:
            talk.settimeout(_ANSWER_S)
            try:
                with talk.makefile("rb") as asked:
                    order = json.loads(asked.readline(_MOST_BYTES))
                talk.sendall(json.dumps(self._reply(order)).encode() + b"\n")
            except (OSError, ValueError):
                return  # who asked has gone

    def _reply(self, order: object) -> dict[str, Any]:
        try:
            if not isinstance(order, dict):
                raise InputError("is not an order", where="the line")
            return {"answer": self._hear(order)}
        except LabsysError as error:
            return {"refused": as_refusal(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked is answered
            # Without an answer who asked would hold the station for dead.
            return {"refused": as_refusal(write_down(error))}


def describe_holder(lab: Lab) -> str:
    """Who holds which cameras of the lab with which rig, as a sentence; "" where nobody answers."""
    try:
        state = ask_station(lab, "state")
    except RefusedError:
        return ""
    names = ", ".join(camera["name"] for camera in state["cameras"])
    by, at, visit = state.get("opened_by"), str(state.get("opened_at", "")), state.get("visit")
    file = f" (file {state['rig_file']}.yaml)" if state.get("rig_file") else ""
    since = f", opened by {by} at {at[:16].replace('T', ' ')} UTC" if by else ""
    during = f", for visit {visit['session']} of {visit['subject']}" if visit else ""
    return f"cameras of rig {state['rig']} are open: {names}{file}{since}{during}"


def open_station(lab: Lab, rig: Path, *, by: str) -> dict[str, Any]:
    """Start the station of a lab with a rig as a process that outlives this one; its state once it answers.

    by: who wants it, as the next one who wants it is told.

    Raises:
        RefusedError: 409, the lab has one; 422, it did not start.
    """
    held = describe_holder(lab)
    if held:
        raise ConcurrencyError(held, remedy="Work with them at /record, or close them there first")
    code = "from api.recording.station_process import serve_asked; serve_asked()"
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            start_new_session=True,  # a Ctrl-C at the service is not meant for it
        )
        assert child.stdin is not None
        with child.stdin:
            asked = {"lab": str(lab.root), "database": lab.database, "rig": str(rig), "by": by}
            child.stdin.write(json.dumps(asked).encode())
        _STARTED[:] = [c for c in _STARTED if c.poll() is None] + [child]
        return _await_station(lab, child, said)


def _await_station(lab: Lab, child: subprocess.Popen[bytes], said: IO[bytes]) -> dict[str, Any]:
    deadline = time.monotonic() + _START_S
    while child.poll() is None and time.monotonic() < deadline:
        with suppress(RefusedError):
            return ask_station(lab, "state")
        time.sleep(0.05)
    said.seek(0)
    last = "".join(said.read().decode(errors="replace").strip().splitlines()[-1:])
    if child.poll() is not None:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "no-station", f"the cameras were not opened: {last}")
    child.terminate()  # nobody would look for it
    raise RefusedError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "no-station",
        f"the cameras were not opened: their station did not answer for {_START_S:g} s{': ' * bool(last)}{last}",
        remedy="Open them again; where it stays so, see in the terminal what holds it up: labsys rig open RIG",
    )
