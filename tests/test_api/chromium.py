"""A headless Chromium of this machine, driven through its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from websockets.sync.client import ClientConnection, connect

# WebGL drawn by the processor is slow, and its driver says so.
_NO_GRAPHICS_CARD = "GL Driver Message (OpenGL, Performance"
_KEY_CODES = {"Tab": 9, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    # Machines that test have no graphics card; WebGL is then drawn by the processor.
    "--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--hide-scrollbars",
    "--no-first-run", "--remote-debugging-port=0",
    # Nothing of the browser itself may leave the machine either.
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
    "--disable-extensions", "--disable-dev-shm-usage", "--remote-allow-origins=*",
)  # fmt: skip


def find_chromium() -> str | None:
    """The program, or None where this machine has none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@dataclass
class Tab:
    """One tab. `errors`: what its console and its loader complained of; `asked`: every address that it asked for."""

    connection: ClientConnection
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer; events on the way are noted."""
        message = self._ask(method, parameters)
        assert "error" not in message, message
        return dict(message["result"])

    def _ask(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        this = next(self._ids)
        self.connection.send(json.dumps({"id": this, "method": method, "params": parameters}))
        while True:
            message: dict[str, Any] = json.loads(self.connection.recv(timeout=60))
            if message.get("id") == this:
                return message
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        about = message["params"]
        match message["method"]:
            case "Network.requestWillBeSent":
                self.asked.append(about["request"]["url"])
            case "Network.loadingFailed" if not about.get("canceled"):
                self.errors.append(about["errorText"])
            case "Runtime.exceptionThrown":
                self.errors.append(about["exceptionDetails"]["exception"].get("description", str(about)))
            case "Runtime.consoleAPICalled" if about["type"] in ("error", "warning", "assert"):
                self.errors.append(str(about["args"]))
            case "Log.entryAdded" if _NO_GRAPHICS_CARD in about["entry"]["text"]:
                return
            case "Log.entryAdded" if about["entry"]["level"] in ("error", "warning"):
                self.errors.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")

    def open(self, url: str, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Load a page at a width, and wait until its document is complete."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.resize(width, height)
        self.evaluate("window.isLeft = true")
        self.call("Page.navigate", url=url)
        self.wait_for("window.isLeft === undefined && document.readyState === 'complete'")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page a window of this size, in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_for(self, expression: str, *, within_s: float = 60.0) -> None:
        """Until an expression is true (AssertionError after `within_s`). Between two pages nothing is."""
        end = time.monotonic() + within_s
        while not self._is_true(expression):
            assert time.monotonic() < end, f"never true: {expression}; {self.errors}"
            time.sleep(0.05)

    def _is_true(self, expression: str) -> bool:
        answer = self._ask("Runtime.evaluate", {"expression": expression, "returnByValue": True})
        return answer.get("result", {}).get("result", {}).get("value") is True

    def press(self, key: str) -> None:
        """A key of the keyboard, down and up."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code="Space" if key == " " else key,
                windowsVirtualKeyCode=_KEY_CODES.get(key, 0),
            )

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def open_chromium(program: str) -> Iterator[Tab]:
    """A browser with an empty profile and one tab; ended at the end."""
    home = Path(tempfile.mkdtemp(prefix="labsys-chromium-"))
    with (home / "log").open("wb") as log:
        command = [program, *_OPTIONS, f"--user-data-dir={home}", "about:blank"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with connect(_address_of(home / "DevToolsActivePort"), max_size=None) as connection:
            tab = Tab(connection)
            for domain in ("Page", "Runtime", "Network", "Log"):
                tab.call(f"{domain}.enable")
            yield tab
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(home, ignore_errors=True)


def _address_of(port_file: Path) -> str:
    """Where the protocol of the first tab is spoken, once the browser says on which port."""
    end = time.monotonic() + 60
    while not (port_file.is_file() and port_file.read_text().count("\n")):
        assert time.monotonic() < end, (port_file.parent / "log").read_text()
        time.sleep(0.05)
    port = port_file.read_text().splitlines()[0]
    with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = json.load(answer)
    return str(next(t["webSocketDebuggerUrl"] for t in tabs if t["type"] == "page"))
