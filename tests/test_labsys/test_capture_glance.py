"""What a check sees in pictures: caps, darkness, glare, flicker, and cameras that do not stand where they stood."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from labsys.capture.pictures import CountedPictures
from labsys.capture.preflight.check import CheckResult, Outcome, Rehearsal
from labsys.capture.preflight.glance import N_BANDS, Glance, make_view, read_glance
from labsys.capture.preflight.light import LightCheck, find_flicker
from labsys.capture.preflight.run import run_preflight
from labsys.capture.studio import open_studio
from tests.test_calibration.test_surroundings import draw_room
from tests.test_labsys.recorded_scene import rig_document, write_rig

RATE_HZ = 120.0


def _glance(**changes: Any) -> Glance:
    times_s = np.arange(60) / RATE_HZ
    rng = np.random.default_rng(0)
    bands = 110.0 + rng.normal(0, 0.3, (60, N_BANDS))
    return replace(Glance(times_s, bands, 0.0, draw_room(3)), **changes)


def _flickering(light_hz: float, share: float, *, rate_hz: float = RATE_HZ, rolling: float = 0.0) -> Glance:
    """rolling: part of a frame that lies between the first stripe's exposure and the last one's."""
    times_s = np.arange(60) / rate_hz
    exposed_s = times_s[:, None] + rolling * np.linspace(0, 1, N_BANDS) / rate_hz
    return _glance(times_s=times_s, bands=110.0 * (1.0 + share * np.cos(2 * np.pi * light_hz * exposed_s)))


@pytest.mark.parametrize(("light_hz", "mains_hz"), [(100.0, 50.0), (120.0, 60.0)])
@pytest.mark.parametrize("rate_hz", [90.0, 125.0, 140.0])
@pytest.mark.parametrize("rolling", [0.0, 1.0])
def test_flicker_is_measured_and_its_mains_named(
    light_hz: float, mains_hz: float, rate_hz: float, rolling: float
) -> None:
    """A whole turn of the light while the shutter rolls leaves the mean of a picture still, and its stripes not."""
    found_hz, share = find_flicker(_flickering(light_hz, 0.08, rate_hz=rate_hz, rolling=rolling))
    assert share == pytest.approx(0.08, rel=0.1)
    assert found_hz == mains_hz


def test_a_light_that_stands_still_or_grows_is_no_flicker() -> None:
    growing = _glance().bands * np.linspace(1.0, 1.2, 60)[:, None]
    for glance in (_glance(), _glance(bands=growing), _flickering(120.0, 0.3)):
        assert find_flicker(glance)[1] < 0.01, "120 flashes a second in as many pictures stand still"


@pytest.mark.parametrize(("rate_hz", "n"), [(40.001, 20), (5.0, 3)])
def test_noise_is_no_flicker_at_half_the_rate_or_in_few_pictures(rate_hz: float, n: int) -> None:
    """100 Hz in 40 pictures a second alternate; a factor of that fit may be anything."""
    noisy = 110.0 + np.random.default_rng(8).normal(0, 1.0, (n, N_BANDS))
    assert find_flicker(_glance(times_s=np.arange(n) / rate_hz, bands=noisy))[1] < 0.02
    alternating = 110.0 * (1.0 + 0.1 * np.cos(np.pi * np.arange(20)))[:, None] * np.ones(N_BANDS)
    assert find_flicker(_glance(times_s=np.arange(20) / 40.0, bands=alternating))[1] > 0.09


def _look(folder: Path, glance: Glance | None) -> CheckResult:
    rig = write_rig(folder / "rig.yaml", rig_document(cameras=1, fps=120))
    glances = {} if glance is None else {"camA": glance}
    (found,) = LightCheck().look(Rehearsal(rig, folder, 10.0, 5.0, {"camA": {}}, glances=glances))
    return found


@pytest.mark.parametrize(
    ("glance", "outcome", "what"),
    [
        (_glance(), Outcome.PASS, "camA sees enough, and no flicker"),
        (None, Outcome.WARN, "no picture of camA could be looked at"),
        (_glance(view=np.full((180, 320), 9, np.uint8)), Outcome.FAIL, "camA sees nothing"),
        (_glance(bands=np.full((60, N_BANDS), 18.0)), Outcome.WARN, "camA is dark: 18 of 255"),
        (_glance(clipped=0.25), Outcome.WARN, "camA is too bright: 25 % of its view is white"),
        (_flickering(100.0, 0.1), Outcome.WARN, "the light of camA flickers by 10 % with mains of 50 Hz"),
    ],
)
def test_each_fault_of_a_picture_is_named(tmp_path: Path, glance: Glance | None, outcome: Outcome, what: str) -> None:
    found = _look(tmp_path, glance)
    assert found.outcome is outcome
    assert found.what.startswith(what)
    assert bool(found.fix) is (outcome is not Outcome.PASS)


@pytest.mark.parametrize("rate_hz", [114.0, 117.6, 119.5, 122.4])
def test_flicker_is_measured_at_the_rate_that_a_camera_runs_at(tmp_path: Path, rate_hz: float) -> None:
    """The rig asks for 120; at the beat of that rate little of the flicker was left. Some frames are missing."""
    whole = _flickering(100.0, 0.08, rate_hz=rate_hz)
    kept = np.delete(np.arange(60), [7, 20, 21, 44])
    found = _look(tmp_path, replace(whole, times_s=whole.times_s[kept], bands=whole.bands[kept]))
    assert found.what == "the light of camA flickers by 8 % with mains of 50 Hz"


def test_a_damaged_packet_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = cv2.imencode(".jpg", draw_room(1))[1].tobytes()
    rows = np.zeros(4, dtype=[("t_ns", "i8")])
    rows["t_ns"] = np.arange(4) * 10_000_000
    monkeypatch.setattr("labsys.capture.preflight.glance.read_parts", lambda *_: [rows])
    monkeypatch.setattr("labsys.capture.preflight.glance.is_bad", lambda row: np.zeros(row.size, bool))
    monkeypatch.setattr("labsys.capture.preflight.glance.read_packets", lambda _: [room, b"", room, room])
    (tmp_path / "camA.part1.mkv").touch()
    found = read_glance(tmp_path, "camA")
    assert found is not None
    assert found.times_s == pytest.approx([0.0, 0.02, 0.03])


@pytest.mark.slow
def test_cameras_are_looked_at_while_they_stream_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes, real JPEG: one camera has its cap on, another shows a room under a lamp of 50 Hz mains."""
    room = np.repeat(draw_room(2, size_px=(512, 288))[..., None], 3, axis=2)
    lamp = [np.asarray(np.clip(room * (1.0 + 0.2 * np.cos(2 * np.pi * k / 3)), 0, 255), np.uint8) for k in range(3)]
    capped = np.full((288, 512, 3), 4, np.uint8)
    rig = write_rig(tmp_path / "rig.yaml", rig_document(cameras=2, fps=60))
    # Not below tmp_path: the name of a socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="labsys-test-") as temporary, monkeypatch.context() as patched:
        patched.setattr("tempfile.tempdir", temporary)
        with open_studio(rig, {"camA": CountedPictures([capped]), "camB": CountedPictures(lamp)}) as studio:
            found = run_preflight(studio, tmp_path, planned_s=1.0, stream_s=2.0)
        assert [p for p in Path(temporary).rglob("*") if p.suffix in (".mkv", ".fts")] == []
    light = [r for r in found.results if r.check == "light"]
    assert [r.outcome for r in light] == [Outcome.FAIL, Outcome.WARN]
    assert light[0].what.startswith("camA sees nothing")
    assert light[1].what.startswith("the light of camB flickers by ")
    assert "mains of 50 Hz" in light[1].what


def test_what_moves_is_gone_in_the_median() -> None:
    room = draw_room(7)
    passing = []
    for i in range(9):
        picture = room.copy()
        picture[:, 60 * i : 60 * i + 60] = 255
        passing.append(picture)
    assert np.array_equal(make_view(passing), room)
