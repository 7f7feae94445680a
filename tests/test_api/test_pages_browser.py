"""The pages in a real browser: nothing overflows, nothing fails, nothing leaves the machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labsys.storage.lab import open_lab
from tests.test_api.axe import find_barriers
from tests.test_api.chromium import Tab, find_chromium, open_chromium
from tests.test_api.serving import serve

pytestmark = pytest.mark.slow

COMPARE = "/compare?subject=S01&pre=2026-11-01&post=2026-12-13"
TRIAL = "/trials/S01/2026-11-01/run1"
PAGES = (
    "/",
    "/subjects/S01",
    "/subjects/S01/identity",
    TRIAL,
    "/trials/S01/2026-11-01/static1",
    "/trials/S02/2026-11-03/walk1",
    COMPARE,
    "/record",
    "/releases",
    "/jobs",
    "/calibrations",
    "/calibrations/2026-11-01_rig_001",
    "/admin",
    "/admin/audit",
    "/sign-in",
)
WITH_CURVES = (TRIAL, COMPARE)
WITH_PLAYER = tuple(page for page in PAGES if page.startswith("/trials/"))
FRAMES = "[...document.querySelectorAll('.player, .player [data-frame]')].map((e) => e.dataset.frame)"
UNFOLD = "document.querySelectorAll('details').forEach((d) => { d.open = true; })"
DRAWN = "document.documentElement?.dataset.curves === 'drawn'"
ONE_SUBJECT = "location.pathname === '/' && document.querySelector('a[href=\"/subjects/S01\"]') !== null"
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def served(_lab_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The fabricated lab on a port of this machine."""
    root = shutil.copytree(_lab_template, tmp_path_factory.mktemp("served") / "lab")
    with pytest.MonkeyPatch.context() as apart, serve(open_lab(Path(root))) as address:
        apart.setenv("LABSYS_KEYS", str(tmp_path_factory.mktemp("keys")))
        yield address


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A tab of this machine's Chromium."""
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed here")
    with open_chromium(program) as opened:
        yield opened


def _open(tab: Tab, served: str, path: str, **how: int) -> None:
    tab.errors.clear()
    tab.asked.clear()
    tab.open(served + path, **how)
    if path in WITH_CURVES:
        tab.wait_for(DRAWN)
    if path in WITH_PLAYER:
        tab.wait_for("document.querySelector('.player')?.dataset.ready === ''")


@pytest.mark.parametrize("path", PAGES)
def test_page_fits_every_width_and_asks_nobody_else(path: str, served: str, tab: Tab) -> None:
    _open(tab, served, path, width=1200)
    for width in (1600, 1200, 800, 360):
        tab.resize(width)
        assert tab.evaluate(WIDTH) <= width, width
        tab.evaluate(UNFOLD)
        assert tab.evaluate(WIDTH) <= width, f"{width}, unfolded"
    assert tab.errors == []
    assert tab.asked
    assert [url for url in tab.asked if not url.startswith(served)] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_serious_barrier(path: str, dark: bool, served: str, tab: Tab) -> None:
    _open(tab, served, path, width=1200, dark=dark)
    tab.evaluate(UNFOLD)
    assert find_barriers(tab) == []


def test_axe_finds_what_is_there(served: str, tab: Tab) -> None:
    _open(tab, served, "/")
    tab.evaluate("document.querySelector('input').closest('label').replaceWith(document.querySelector('input'))")
    tab.evaluate("document.querySelector('h1').style.color = 'rgb(240, 240, 240)'")
    assert {found.split()[1] for found in find_barriers(tab)} >= {"color-contrast"}


def test_pages_have_a_dark_side(served: str, tab: Tab) -> None:
    papers = set()
    for dark in (False, True):
        _open(tab, served, "/", dark=dark)
        papers.add(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == {"rgb(255, 255, 255)", "rgb(18, 22, 27)"}


def test_keyboard_reaches_the_content_first_and_shows_where_it_is(served: str, tab: Tab) -> None:
    _open(tab, served, COMPARE)
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.getAttribute('href')") == "#content"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_comparison_draws_both_visits_and_reads_them_under_the_cursor(served: str, tab: Tab) -> None:
    _open(tab, served, COMPARE)
    charts = tab.evaluate("[...document.querySelectorAll('.chart strong')].map((e) => e.textContent)")
    assert charts == ["hip flexion, left", "hip flexion, right"]  # the fabricated lab has no other curve
    assert tab.evaluate("document.querySelectorAll('.no-curve').length") == 2
    assert tab.evaluate("document.querySelectorAll('.chart canvas').length") == 2
    tab.evaluate(
        "(() => { const s = document.querySelector('input[type=range]'); s.value = 25;"
        " s.dispatchEvent(new Event('input')); })()"
    )
    said = tab.evaluate("document.querySelector('.chart output').textContent")
    assert said.startswith("At 25 %")
    assert said.count("±") == 3
    assert "before (2026-11-01/run1)" in said


def test_trial_draws_both_sides_in_one_chart(served: str, tab: Tab) -> None:
    _open(tab, served, TRIAL)
    assert tab.evaluate("document.querySelectorAll('.chart canvas').length") == 1
    said = tab.evaluate("document.querySelector('.chart output').textContent")
    assert "left" in said
    assert "right" in said


def test_trial_without_videos_says_so_and_shows_its_skeleton(served: str, tab: Tab) -> None:
    _open(tab, served, TRIAL)
    assert tab.evaluate("document.querySelector('.player-state').textContent").startswith("No videos: this trial has")
    assert tab.evaluate("document.querySelectorAll('.panel').length") == 0
    assert tab.evaluate("document.querySelector('.skeleton').dataset.missing === undefined")
    tab.evaluate("document.querySelector('.stage').focus()")
    for key, frame in (("ArrowRight", 1), ("End", 199), ("ArrowLeft", 198), ("Home", 0)):
        tab.press(key)
        assert (
            tab.evaluate("[...document.querySelectorAll('.player, .player [data-frame]')].map((e) => e.dataset.frame)")
            == [str(frame)] * 3
        )
    tab.press(" ")
    tab.wait_for("Number(document.querySelector('.player').dataset.frame) === 199")
    assert tab.evaluate("document.querySelector('.play').textContent") == "Play"


def test_policy_keeps_code_of_strangers_out(served: str, tab: Tab) -> None:
    _open(tab, served, "/")
    tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.stranger = 1\">')")
    tab.evaluate(
        "(() => { const s = document.createElement('script'); s.text = 'window.stranger = 1';"
        " document.body.append(s); })()"
    )
    time.sleep(0.3)
    assert tab.evaluate("window.stranger === undefined")


def test_a_name_is_saved_and_erased_once_the_code_was_typed(served: str, tab: Tab) -> None:
    page = "/subjects/S02/identity"
    _open(tab, served, page)
    tab.evaluate(
        "(() => { const f = document.querySelector('form[data-method=PUT]'); f.elements.name.value = 'Ada Example';"
        " f.elements.contact.value = 'ada@mill.example'; window.old = 1; f.requestSubmit(); })()"
    )
    tab.wait_for("window.old === undefined && document.querySelector('[name=name]')?.value === 'Ada Example'")
    erase = (
        "(() => { const f = document.querySelector('form[data-method=DELETE]'); f.elements.keep_days.value = '7';"
        " f.querySelector('[data-confirms]').value = '%s'; f.requestSubmit(); return f.checkValidity(); })()"
    )
    assert tab.evaluate(erase % "S01") is False
    assert tab.evaluate(erase % "S02") is True
    tab.wait_for("document.querySelector('.warning')?.textContent.startsWith('Erased on')")
    assert tab.evaluate("document.querySelector('form[data-method]')") is None
    assert "Ada" not in tab.evaluate("document.documentElement.outerHTML")
    assert tab.errors == []


def test_first_user_is_made_signed_out_and_signed_in_again(served: str, tab: Tab) -> None:
    def send(password: str) -> None:
        tab.evaluate(
            "(() => { const f = document.querySelector('form.sign-in'); f.elements.name.value = 'mk';"
            f" f.elements.password.value = {password!r}; f.requestSubmit(); }})()"
        )

    _open(tab, served, "/sign-in")
    send("four words that go together")
    ready = "document.readyState === 'complete'"  # before that no script listens to the button
    tab.wait_for(f"{ready} && document.querySelector('.who')?.textContent.includes('Signed in as mk')")
    tab.evaluate("document.querySelector('.sign-out').click()")
    tab.wait_for(
        f"{ready} && location.pathname === '/sign-in' && document.querySelector('h1')?.textContent === 'Sign in'"
    )
    tab.open(f"{served}{COMPARE}")
    tab.wait_for(
        "location.search.startsWith('?next=') && document.querySelector('form.sign-in') !== null"
        " && document.readyState === 'complete'"
    )
    send("not these words")
    tab.wait_for("document.querySelector('#refusal')?.textContent.includes('do not belong together')")
    send("four words that go together")
    tab.wait_for(f"location.pathname === '/compare' && {DRAWN}")
    _open(tab, served, "/admin")
    tab.evaluate(
        "(() => { const f = document.querySelector('form[data-address=\"/api/v1/users\"]');"
        " f.elements.name.value = 'anna'; f.elements.password.value = 'four words that go together';"
        " f.requestSubmit(); })()"
    )
    tab.wait_for(f"{ready} && [...document.querySelectorAll('th')].some((e) => e.textContent === 'anna')")
    tab.evaluate("document.querySelector('form[data-hands=key]').requestSubmit()")
    tab.wait_for("document.querySelector('#handed').textContent.includes('shown this once: lab_')")
    links = [_make_link(tab) for _ in range(2)]
    tab.open(f"{served}/sign-in#{links[0]}")
    # A link does not take the place of somebody who is signed in, and does not stay in the address either.
    tab.wait_for("document.querySelector('h1')?.textContent === 'You are signed in' && location.hash === ''")
    assert tab.evaluate("document.querySelector('#refusal').textContent").startswith("Sign out to open the link")
    tab.evaluate("document.querySelector('.sign-out').click()")
    tab.wait_for(f"{ready} && document.querySelector('h1')?.textContent === 'Sign in'")
    # The tab stands at /sign-in: what follows the # loads no page anew.
    tab.evaluate(f"location.href = '/sign-in#{links[0]}'")
    tab.wait_for(ONE_SUBJECT)
    assert "S02" not in tab.evaluate("document.documentElement.outerHTML")
    tab.call("Network.clearBrowserCookies")
    tab.open("about:blank")
    tab.call("Page.navigate", url=f"{served}/sign-in#{links[1]}")
    tab.wait_for(ONE_SUBJECT)
    assert "S02" not in tab.evaluate("document.documentElement.outerHTML")


def _make_link(tab: Tab) -> str:
    """A link to S01, made by the page that is open."""
    token = tab.evaluate(
        "(async () => {"
        " const access = await (await fetch('/api/v1/access')).json();"
        " const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': access.csrf_token };"
        " const expires_at = new Date(Date.now() + 86400000).toISOString();"
        " const body = JSON.stringify({ subject: 'S01', expires_at });"
        " return (await (await fetch('/api/v1/links', { method: 'POST', headers, body })).json()).token; })()"
    )
    return str(token)
