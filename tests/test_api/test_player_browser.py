"""The player in a real browser: pictures, skeleton and curve show one moment, at rest and while playing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from api.commands.working import working_beside
from api.indexing.index import index_lab
from labsys.core.session import Phase
from labsys.core.skeleton import Side
from labsys.storage.lab import Lab
from labsys.storage.results import AUDIT_FILE, read_audit
from labsys.storage.runs import current_run, run_file
from labsys.storage.stride_tables import read_strides
from tests.filmed_scene import Filmed, make_filmed_lab
from tests.test_api.axe import find_barriers
from tests.test_api.chromium import Tab, find_chromium, open_chromium
from tests.test_api.serving import serve

pytestmark = pytest.mark.slow

# What every panel shows: the number in the picture, 16 blocks of 8 px, highest bit first; and where all else stands.
_SEEN = """(() => {
  const seen = { skeleton: Number(document.querySelector('.skeleton')?.dataset.frame),
                 curve: Number(document.querySelector('.time-chart')?.dataset.frame),
                 shown: Number(document.querySelector('.player').dataset.frame), cameras: {} };
  for (const figure of document.querySelectorAll('.panel')) {
    const pixels = figure.querySelector('canvas').getContext('2d').getImageData(0, 0, 128, 8).data;
    let number = 0;
    for (let bit = 0; bit < 16; bit += 1) number = 2 * number + (pixels[4 * (4 * 128 + 8 * bit + 4)] > 127 ? 1 : 0);
    seen.cameras[figure.querySelector('figcaption').textContent] = number;
  }
  return JSON.stringify(seen);
})()"""
_OPEN = "document.querySelector('.player')?.dataset.open === 'film'"


@dataclass(frozen=True, eq=False)
class Screen:
    """The page of a filmed trial in a browser, and the truth."""

    tab: Tab
    address: str
    filmed: Filmed
    starts_at_s: float
    rate_hz: float
    n_frames: int

    def seek(self, frame: int) -> None:
        self.tab.evaluate(
            "(() => { const s = document.querySelector('.moment input');"
            f" s.value = {frame}; s.dispatchEvent(new Event('input')); }})()"
        )
        self.tab.wait_for(f"document.querySelector('.player').dataset.frame === '{frame}'")

    def look(self) -> dict[str, object]:
        """What is shown; every camera's picture must have been taken within a frame of the skeleton's moment."""
        seen = json.loads(self.tab.evaluate(_SEEN))
        moment_s = self.starts_at_s + seen["skeleton"] / self.rate_hz
        assert len(seen["cameras"]) == 4
        for camera, number in seen["cameras"].items():
            taken_s = self.filmed.times_s[camera]
            lost_s = np.abs(taken_s - moment_s).min()  # nothing nearer was recorded
            assert abs(taken_s[number] - moment_s) - lost_s < 1.0 / self.rate_hz, (camera, seen)
        assert seen["curve"] == seen["skeleton"]
        return dict(seen)


@pytest.fixture(scope="module")
def filmed_lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, tuple[Filmed, ...]]:
    """A lab with two filmed visits, indexed; no film is made."""
    lab, filmed = make_filmed_lab(tmp_path_factory.mktemp("filmed"), phases=(Phase.PRE, Phase.POST))
    index_lab(lab)
    return lab, filmed


@pytest.fixture(scope="module")
def screen(filmed_lab: tuple[Lab, tuple[Filmed, ...]]) -> Iterator[Screen]:
    """The trial's page with its film, made by the button on the page."""
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed here")
    lab, (one, _) = filmed_lab
    audit = read_audit(run_file(lab, one.name, str(current_run(lab, one.name)), AUDIT_FILE))
    with serve(lab) as address, working_beside(lab, 1), open_chromium(program) as tab:
        tab.open(f"{address}/trials/{one.name}")
        tab.wait_for("document.querySelector('.player')?.dataset.ready === ''")
        assert tab.evaluate("document.querySelectorAll('.panel').length") == 0
        tab.evaluate("document.querySelector('.make-film').click()")
        tab.wait_for(_OPEN, within_s=300.0)
        rate_hz, n_frames = tab.evaluate(
            "fetch(document.querySelector('.player').dataset.href).then((a) => a.json())"
            ".then((p) => [p.rate_hz, p.n_frames])"
        )
        yield Screen(tab, address, one, audit.starts_at_s, rate_hz, n_frames)


def test_pictures_skeleton_and_curve_show_the_same_moment_wherever_one_goes(screen: Screen) -> None:
    shown = []
    for frame in (0, 1, 57, screen.n_frames // 2, 12, screen.n_frames - 1):
        screen.seek(frame)
        shown.append(screen.look()["skeleton"])
    assert shown == [0, 1, 57, screen.n_frames // 2, 12, screen.n_frames - 1]


def _watch_playing(screen: Screen) -> list[int]:
    """Frames seen while it plays, until half of them went by; paused again before its end."""
    screen.seek(0)
    screen.tab.evaluate("document.querySelector('.play').click()")
    shown: list[int] = []
    until_s = time.monotonic() + 60.0
    while time.monotonic() < until_s and max(shown, default=0) < screen.n_frames // 2:  # before it ends by itself
        shown.append(int(str(screen.look()["skeleton"])))
    screen.tab.evaluate("(b => b.textContent === 'Play' || b.click())(document.querySelector('.play'))")
    return shown


def test_pictures_skeleton_and_curve_run_together(screen: Screen) -> None:
    # On a machine that is at work on other things looks are far apart: then it is played again.
    for _ in range(5):
        shown = _watch_playing(screen)
        assert sorted(shown) == shown
        if len(set(shown)) > 2:
            break
    assert len(set(shown)) > 2, shown
    assert screen.tab.evaluate("document.querySelector('.play').textContent") == "Play"
    screen.tab.wait_for("document.querySelector('.player').dataset.frame !== undefined")
    screen.look()


def test_keys_go_one_frame_and_to_the_ends(screen: Screen) -> None:
    screen.seek(30)
    screen.tab.evaluate("document.querySelector('.stage').focus()")
    last = screen.n_frames - 1
    for key, frame in (("ArrowRight", 31), ("ArrowLeft", 30), ("End", last), ("ArrowLeft", last - 1), ("Home", 0)):
        screen.tab.press(key)
        screen.tab.wait_for(f"document.querySelector('.player').dataset.frame === '{frame}'")
        assert screen.look()["skeleton"] == frame


def test_page_with_videos_fits_and_asks_nobody_else(screen: Screen) -> None:
    for width in (1600, 1200, 800, 360):
        screen.tab.resize(width)
        assert screen.tab.evaluate("document.documentElement.scrollWidth") <= width
    # What the browser says of reading pictures back is said of these tests.
    assert [error for error in screen.tab.errors if "willReadFrequently" not in error] == []
    assert [url for url in screen.tab.asked if not url.startswith((screen.address, "about:"))] == []
    names = screen.tab.evaluate("[...document.querySelectorAll('.player button')].map((b) => b.textContent.trim())")
    assert all(names)


def test_both_visits_stand_at_the_same_share_of_a_stride(
    screen: Screen, filmed_lab: tuple[Lab, tuple[Filmed, ...]]
) -> None:
    lab, visits = filmed_lab
    tab = screen.tab
    pre, post = (one.name.session for one in visits)
    tab.open(f"{screen.address}/compare?subject=S01&pre={pre}&post={post}")
    tab.wait_for("document.querySelector('.make-film') !== null")
    tab.evaluate("document.querySelector('.make-film').click()")
    tab.wait_for(_OPEN, within_s=300.0)
    strides = [_strides_shown(lab, one) for one in visits]
    count = min(len(found) for found in strides)
    assert count >= 2
    shown = [found[(len(found) - count) // 2 :] for found in strides]
    for frame in (0, 30, 150, 100 * count - 1):
        screen.seek(frame)
        seen = json.loads(tab.evaluate(_SEEN))
        assert (seen["shown"], len(seen["cameras"])) == (frame, 8)
        for label, number in seen["cameras"].items():
            which, camera = label.split(", ")
            one, begun = (visits[0], shown[0]) if which == "Before" else (visits[1], shown[1])
            begins_s, ends_s = begun[frame // 100]
            moment_s = begins_s + frame % 100 / 100 * (ends_s - begins_s)
            taken_s = one.times_s[camera]
            lost_s = np.abs(taken_s - moment_s).min()
            assert abs(taken_s[number] - moment_s) - lost_s < 0.001, (label, frame)
    said = tab.evaluate("document.querySelector('.moment-said').textContent")
    assert said == f"99 % of stride {count} of {count}"
    assert tab.evaluate("[...document.querySelectorAll('.panel')].filter((p) => !p.hidden).length") == 2
    assert find_barriers(tab) == []
    for width in (1200, 360):
        tab.resize(width)
        tab.wait_for(f"document.documentElement.scrollWidth <= {width}")


def _strides_shown(lab: Lab, one: Filmed) -> list[tuple[float, float]]:
    """Right strides of a trial, s on the cameras' true clock."""
    run = str(current_run(lab, one.name))
    starts_s = read_audit(run_file(lab, one.name, run, AUDIT_FILE)).starts_at_s
    found = read_strides(run_file(lab, one.name, run, "strides.parquet"))
    valid = sorted((s.foot_strike_s, s.next_foot_strike_s) for s in found if s.valid and s.side is Side.RIGHT)
    return [(begins + starts_s, ends + starts_s) for begins, ends in valid]
