"""Recording through the page with virtual cameras: by keyboard alone, judged within two seconds, and none the worse for
a service that is killed meanwhile.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from calibration.board.board import make_cv_board
from labsys.capture.board_file import load_board_config
from labsys.core.session import TrialName
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import verify_take
from labsys.storage.trials import load_trial, trial_codes
from tests.test_api.axe import find_barriers
from tests.test_api.chromium import Tab, find_chromium, open_chromium
from tests.test_labsys.recorded_scene import make_trial, read_stored, rig_document

pytestmark = pytest.mark.timeout(3600)  # kills take their time
KILLS = int(os.environ.get("LABSYS_CAPTURE_KILLS", "20"))
API = "/api/v1/capture"
PROTOCOL = {
    "schema": "labsys.protocol/1",
    "name": "short",
    "steps": [{"kind": "static", "seconds": 2}, {"kind": "run", "speed_mps": 3.0, "seconds": 600}],
    "required": ["shoes"],
}
PHASE = "document.querySelector('.recorder')?.dataset.phase"
ADVICE = "document.querySelector('#advice').textContent"


class Service:
    """`labsys serve` as a process of its own, on a port that it keeps."""

    def __init__(self, lab: Lab) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.lab, self.address = lab, f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        words = ["serve", "--lab", str(self.lab.root), "--port", str(self.port), "--workers", "0", "--quiet"]
        self.process = subprocess.Popen([sys.executable, "-P", "-c", "from api.cli import main; main()", *words])
        wait_for(lambda: self.answers(), most_s=120)

    def answers(self) -> bool:
        """Whether it does."""
        try:
            self.ask("GET", "")
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """One request to the routes of capture."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}{API}{path}", data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def wait_for(holds: Callable[[], Any], *, most_s: float = 60.0) -> None:
    """Until something holds."""
    deadline = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab with a rig of two cameras that run, one of them losing frames, and a short protocol."""
    lab, _ = make_trial(tmp_path / "lab")
    for name, behaviour in (("sound", {}), ("lossy", {"camB": {"kdrop_p": 0.05}})):
        document = rig_document(fps=60, behaviour=behaviour)
        (lab.root / "rigs" / f"{name}.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (lab.root / "protocols" / "short.yaml").write_text(yaml.safe_dump(PROTOCOL), encoding="utf-8")
    return lab


@pytest.fixture
def service(lab: Lab) -> Iterator[Service]:
    """The service; the station is let go and the service ended at the end."""
    service = Service(lab)
    yield service
    if service.answers() and service.ask("GET", "")["phase"] != "closed":
        if service.ask("GET", "")["phase"] in ("starting", "recording"):
            service.ask("POST", "/stop")
        wait_for(lambda: service.ask("GET", "")["phase"] == "wall")
        service.ask("DELETE", "")
        wait_for(lambda: service.ask("GET", "")["phase"] == "closed")
    service.kill()


@pytest.fixture
def tab() -> Iterator[Tab]:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed here")
    with open_chromium(program) as opened:
        yield opened


def _begin(service: Service, rig: str) -> None:
    service.ask("POST", "", {"rig": rig})
    wait_for(lambda: service.ask("GET", "")["phase"] == "wall")
    body = {"subject": "S01", "protocol": "short", "session": "2026-11-22", "answers": {"shoes": "Brand-X"}}
    service.ask("POST", "/visit", body)
    wait_for(lambda: service.ask("GET", "")["phase"] == "wall")


def test_a_visit_is_recorded_by_the_space_key_and_judged_within_two_seconds(
    lab: Lab, service: Service, tab: Tab
) -> None:
    _begin(service, "sound")
    tab.open(f"{service.address}/record")
    tab.wait_for(f"{PHASE} === 'wall'")
    tab.wait_for("[...document.querySelectorAll('#wall canvas')].every((c) => Number(c.dataset.shown) > 10)")
    assert find_barriers(tab) == []
    tab.press(" ")
    tab.wait_for(f"{PHASE} === 'recording'")
    assert find_barriers(tab) == []
    tab.wait_for(f"{ADVICE}.startsWith('KEEP') && {PHASE} === 'wall'")
    first = service.ask("GET", "")
    assert first["verdict"]["trial"] == "S01/2026-11-22/static1"
    assert [s["state"] for s in first["visit"]["steps"]] == ["done", "now"]
    tab.press(" ")
    tab.wait_for(f"{PHASE} === 'recording' && Number(document.querySelector('.counters td').textContent) > 60")
    shown = tab.evaluate("Number(document.querySelector('#wall canvas').dataset.shown)")
    tab.wait_for(f"Number(document.querySelector('#wall canvas').dataset.shown) > {shown} + 5")
    stopped = time.monotonic()
    tab.press(" ")
    tab.wait_for(f"!document.querySelector('#verdict').hidden && {ADVICE} !== ''")
    assert time.monotonic() - stopped < 2.0
    assert service.ask("GET", "")["verdict"]["after_s"] < 2.0
    tab.wait_for(f"{PHASE} === 'wall'")
    assert find_barriers(tab) == []
    assert tab.errors == []
    assert service.ask("DELETE", "/visit")["visit"] is None
    for camera in ("camA", "camB"):
        stored = read_stored(take_folder(lab, TrialName("S01", "2026-11-22", "run2")), camera)
        assert (stored.barcodes[1:] - stored.barcodes[:-1] == 1).all()


def test_a_take_that_lost_frames_is_excluded_and_its_step_is_next_again(lab: Lab, service: Service) -> None:
    _begin(service, "lossy")
    found = service.ask("GET", "")
    assert not found["check"]["passed"]
    assert any("camB lost" in line["what"] for line in found["check"]["results"])
    service.ask("POST", "/start", {})
    wait_for(lambda: service.ask("GET", "")["phase"] == "wall")
    assert service.ask("GET", "")["verdict"] is None, "nothing is recorded while the check fails"
    service.ask("POST", "/start", {"unchecked": True})
    wait_for(lambda: service.ask("GET", "")["phase"] == "wall")
    verdict, steps = (service.ask("GET", "")[key] for key in ("verdict", "visit"))
    assert verdict["advice"] == "REPEAT"
    assert any(reason.startswith("camB lost") for reason in verdict["reasons"])
    assert [s["state"] for s in steps["steps"]] == ["now", "waiting"]
    trial = load_trial(lab, TrialName.parse(verdict["trial"]))
    assert trial.excluded
    assert trial.exclusion_reason.startswith("camB lost")


def test_a_waved_board_is_shown_where_it_was_seen(lab: Lab, service: Service, tmp_path: Path) -> None:
    board = load_board_config(lab.root / "boards" / "charuco_4x5.yaml")
    drawn = 255 - make_cv_board(board).generateImage((160, 200), marginSize=8)  # white on black
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(60):  # slower than it is looked for
        picture = np.full((288, 512), 120, dtype=np.uint8)
        left = 40 if number < 30 else 300
        picture[60:260, left : left + 160] = drawn
        cv2.imwrite(str(pictures / f"{number:02d}.png"), picture)
    document = rig_document(fps=20)
    document["virtual"]["pictures"] = str(pictures)
    (lab.root / "rigs" / "board.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    service.ask("POST", "", {"rig": "board"})
    wait_for(lambda: service.ask("GET", "")["phase"] == "wall")
    service.ask("POST", "/calibration", {"board": "charuco_4x5", "seconds": 300, "unchecked": True})

    def is_covered() -> bool:
        found = service.ask("GET", "")["coverage"]
        sides = [[sum(c["cells"][x::8]) for x in range(8)] for c in found]
        return len(found) == 2 and all(sum(s[:4]) > 0 and sum(s[4:]) > 0 for s in sides)

    wait_for(is_covered, most_s=120)
    assert all(c["together"] > 0 for c in service.ask("GET", "")["coverage"])
    service.ask("POST", "/stop")
    wait_for(lambda: service.ask("GET", "")["phase"] == "wall")
    verdict = service.ask("GET", "")["verdict"]
    assert verdict["advice"] == "KEEP"
    take = lab.root / verdict["trial"] / "take"
    assert json.loads((take / "manifest.json").read_text(encoding="utf-8"))["kind"] == "calibration"
    assert {p.name for p in (take / "raw").glob("*.mkv")} == {"camA.mkv", "camB.mkv"}


def test_the_service_is_killed_and_the_take_goes_on(lab: Lab, service: Service, tab: Tab) -> None:
    _begin(service, "sound")
    service.ask("POST", "/next")
    service.ask("POST", "/start", {})
    wait_for(lambda: service.ask("GET", "")["phase"] == "recording")
    tab.open(f"{service.address}/record")
    tab.wait_for(f"{PHASE} === 'recording'")
    service.kill()
    tab.wait_for("!document.querySelector('#refusal').hidden")
    killed = time.monotonic()
    service.start()
    away_s = time.monotonic() - killed
    tab.wait_for(f"document.querySelector('#refusal').hidden && {PHASE} === 'recording'")
    assert service.ask("GET", "")["elapsed_s"] > away_s
    tab.press(" ")
    tab.wait_for(f"{ADVICE} === 'REPEAT' && {PHASE} === 'wall'")
    reasons = service.ask("GET", "")["verdict"]["reasons"]
    assert len(reasons) == 1, "nothing is the matter with it but that it is no ten minutes long"
    assert reasons[0].endswith("s of 600 s")
    take = take_folder(lab, TrialName("S01", "2026-11-22", "run2"))
    for camera in ("camA", "camB"):
        stored = read_stored(take, camera)
        assert stored.barcodes.size > 60 * away_s
        assert (stored.barcodes[1:] - stored.barcodes[:-1] == 1).all(), "no frame is missing"


def test_a_service_that_is_killed_again_and_again_costs_no_frame(lab: Lab, service: Service) -> None:
    rng = random.Random("service")
    _begin(service, "sound")
    service.ask("POST", "/next")
    service.ask("POST", "/start", {})
    wait_for(lambda: service.ask("GET", "")["phase"] == "recording")
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.0, 2.0))
        service.kill()
        service.start()
        assert service.ask("GET", "")["phase"] == "recording"
    service.ask("POST", "/stop")
    wait_for(lambda: service.ask("GET", "")["phase"] == "wall")
    take = take_folder(lab, TrialName("S01", "2026-11-22", "run2"))
    for camera in ("camA", "camB"):
        stored = read_stored(take, camera)
        assert (stored.barcodes[1:] - stored.barcodes[:-1] == 1).all(), "no frame is missing"
    sys.stdout.write(f"service: {KILLS} times during {stored.barcodes.size / 60:.0f} s of one take\n")


def test_a_station_that_is_killed_at_any_moment_leaves_nothing_half_made(lab: Lab, service: Service) -> None:
    """From the order to start on: before there is a trial, while cameras open, while it records, while it finishes."""
    rng, became = random.Random("station"), Counter[str]()
    stated = set(trial_codes(lab, "S01", "2026-11-22"))
    for _ in range(KILLS):
        _begin(service, "sound")
        service.ask("POST", "/start", {})
        time.sleep(rng.uniform(0.0, 8.0))
        os.kill(_station_of(service), signal.SIGKILL)
        wait_for(lambda: service.ask("GET", "")["phase"] == "closed")
        wait_for(lambda: all(r["recovered"] or "removed" in r["state"] for r in _recoveries(service)))
        assert service.ask("POST", "/recover") == {"recordings": []}
        made = set(trial_codes(lab, "S01", "2026-11-22")) - stated
        for trial in made:
            name = TrialName("S01", "2026-11-22", trial)
            verify_take(lab, name)
            assert {p.name for p in take_folder(lab, name).parent.iterdir()} == {"trial.json", "take"}
        became["a take" if made else "nothing"] += 1
        stated |= made
    sys.stdout.write(f"station: {KILLS} times, {dict(became)} came of it\n")


def _recoveries(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.ask("POST", "/recover")["recordings"]
    return found


def _station_of(service: Service) -> int:
    held = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"serve_asked" in p.read_bytes()]
    return next(int(p.parent.name) for p in held if _parent(p) == service.process.pid)


def test_the_station_is_killed_and_the_page_finishes_its_take(lab: Lab, service: Service) -> None:
    _begin(service, "sound")
    service.ask("POST", "/start", {})
    wait_for(lambda: service.ask("GET", "")["elapsed_s"] > 1.0)
    held = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"serve_asked" in p.read_bytes()]
    mine = [int(p.parent.name) for p in held if _parent(p) == service.process.pid]
    os.kill(mine[0], signal.SIGKILL)
    wait_for(lambda: service.ask("GET", "")["phase"] == "closed")
    found = list[dict[str, Any]]()
    wait_for(lambda: found.append(service.ask("POST", "/recover")) or found[-1]["recordings"][0]["recovered"])
    assert "cut short" in found[-1]["recordings"][0]["state"]
    assert service.ask("POST", "/recover") == {"recordings": []}


def _parent(cmdline: Path) -> int:
    return int(cmdline.with_name("stat").read_text().rpartition(")")[2].split()[1])
