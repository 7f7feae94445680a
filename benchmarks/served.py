"""`labsys serve` of a lab in a process of its own, asked over one connection that is kept."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from socket import create_server

from labsys.storage.lab import Lab

_START_S = 120.0


@dataclass(frozen=True)
class Served:
    """A running service."""

    connection: HTTPConnection
    pid: int

    def get(self, url: str) -> bytes:
        """The body of an answer, which must be 200."""
        self.connection.request("GET", url)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def processor_s(self) -> float:
        """Processor time of all its threads until now; 0 where the system does not tell (outside Linux)."""
        total_ns = 0
        for thread in Path(f"/proc/{self.pid}/task").glob("*"):
            with suppress(FileNotFoundError):
                total_ns += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
        return total_ns / 1e9


@contextmanager
def serve_lab(lab: Lab) -> Iterator[Served]:
    """The service of a lab without jobs, as the terminal starts it, while the block runs."""
    with create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-c", "from api.cli import main; main()", "serve", "--lab", str(lab.root)]
    command += ["--port", str(port), "--workers", "0"]
    # It says of every request what it says to a user; nobody reads it here.
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        connection = _connect(port, process)
        yield Served(connection, process.pid)
        connection.close()
    finally:
        process.terminate()
        process.wait(timeout=30)


def _connect(port: int, process: subprocess.Popen[bytes]) -> HTTPConnection:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=_START_S)
        with suppress(ConnectionRefusedError):
            connection.connect()
            return connection
        time.sleep(0.1)
    raise AssertionError("the service did not start")
