"""Films of trials: every camera's picture is the nearest to the moment, and the landmarks are in place."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from labsys.core.camera_audit import CameraAudit, ReconstructionAudit
from labsys.core.errors import InputError, MissingPartError
from labsys.core.progress import SilentProgress
from labsys.storage.film_layout import NUMBER_BITS, NUMBER_BLOCK_PX, Panel, film_size, lay_out, number_top
from labsys.storage.films import (
    BlurredFaces,
    Faces,
    Film,
    film_video,
    has_film,
    load_film,
    load_film_landmarks,
    trial_film_key,
)
from labsys.storage.lab import Lab, take_folder
from labsys.storage.results import AUDIT_FILE, LANDMARKS3D_FILE, read_audit, read_landmarks3d
from labsys.storage.runs import current_run, run_file
from labsys.storage.takes import load_take
from labsys.storage.video import read_frames
from pipelines.export_constant_rate import export_constant_rate
from pipelines.playback.film import film_trial
from pipelines.playback.sources import read_sources
from pipelines.synthetic.pictures.sensor import read_counter
from tests.filmed_scene import RATE_HZ, Filmed, make_filmed_lab

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, Filmed, Film]:
    """A lab, its one trial, and the film of it."""
    lab, (one,) = make_filmed_lab(tmp_path_factory.mktemp("filmed"))
    run = current_run(lab, one.name)
    assert run is not None
    return lab, one, film_trial(lab, one.name, run, progress=SilentProgress())


def _counters(lab: Lab, one: Filmed, film: Film) -> dict[str, list[int]]:
    """Camera -> the number in its picture, frame by frame of the film."""
    found: dict[str, list[int]] = {c.camera: [] for c in film.cameras}
    for picture in read_frames(film_video(lab, one.name, film.key)):
        for c in film.cameras:
            found[c.camera].append(read_counter(picture[c.panel.top :, c.panel.left :]))
    return found


def test_every_picture_is_the_nearest_to_its_moment(filmed: tuple[Lab, Filmed, Film]) -> None:
    lab, one, film = filmed
    audit = read_audit(run_file(lab, one.name, str(current_run(lab, one.name)), AUDIT_FILE))
    moments_s = audit.starts_at_s + np.arange(film.n_frames) / film.rate_hz
    assert film.rate_hz == pytest.approx(RATE_HZ, rel=1e-3)
    for camera, shown in _counters(lab, one, film).items():
        assert len(shown) == film.n_frames > 150
        taken_s = one.times_s[camera]
        nearest_s = np.abs(taken_s[:, None] - moments_s).min(axis=0)
        off_s = np.abs(taken_s[shown] - moments_s)
        assert off_s.max() < 2.5 / RATE_HZ  # where two pictures in a row were lost
        assert (off_s - nearest_s).max() < 0.001  # the clock is fitted to stamps that are late by half a millisecond


def test_offsets_that_a_run_corrected_move_the_pictures(
    filmed: tuple[Lab, Filmed, Film], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, one, _ = filmed
    run = str(current_run(lab, one.name))
    before = {s.camera: s.times_s for s in read_sources(lab, one.name, run)[0]}
    late = {"cam0": 0.0, "cam1": 0.010, "cam2": -0.004, "cam3": 0.0}
    found = [CameraAudit(c, 1, offset_s=o, offset_sd_s=1e-4, drift_ppm=0.0, offset_used=True) for c, o in late.items()]
    monkeypatch.setattr("pipelines.playback.sources._audit", lambda *_: ReconstructionAudit(tuple(found)))
    after = {s.camera: s.times_s for s in read_sources(lab, one.name, run)[0]}
    moved = {camera: float((after[camera] - before[camera]).mean()) for camera in late}
    assert moved["cam1"] - moved["cam0"] == pytest.approx(0.010)
    assert moved["cam2"] - moved["cam0"] == pytest.approx(-0.004)


def test_landmarks_stand_where_they_are_seen(filmed: tuple[Lab, Filmed, Film]) -> None:
    lab, one, film = filmed
    landmarks = load_film_landmarks(lab, one.name, film.key)
    assert landmarks.shape == (film.n_frames, sum(len(c.landmarks) for c in film.cameras), 2)
    for number, picture in enumerate(read_frames(film_video(lab, one.name, film.key))):
        if number % 40:
            continue
        x, y = np.round(landmarks[number]).astype(int).T  # every dot is light on grey
        assert np.median(picture[y, x].mean(axis=1)) > 180


def test_every_frame_holds_its_number(filmed: tuple[Lab, Filmed, Film]) -> None:
    lab, one, film = filmed
    assert film.size_px == (640, film.number_top_px + NUMBER_BLOCK_PX)
    for number, picture in enumerate(read_frames(film_video(lab, one.name, film.key))):
        row = picture[film.number_top_px + NUMBER_BLOCK_PX // 2, NUMBER_BLOCK_PX // 2 :: NUMBER_BLOCK_PX, 0]
        assert int("".join("1" if light > 127 else "0" for light in row[:NUMBER_BITS]), 2) == number


def test_film_has_a_frame_for_every_moment_at_its_time(filmed: tuple[Lab, Filmed, Film]) -> None:
    lab, one, film = filmed
    with av.open(str(film_video(lab, one.name, film.key))) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        times_s = [float(frame.time or 0.0) for frame in container.decode(stream)]
    assert np.abs(np.array(times_s) - np.arange(film.n_frames) / film.rate_hz).max() < 0.02 / film.rate_hz


def test_film_is_made_once(filmed: tuple[Lab, Filmed, Film], monkeypatch: pytest.MonkeyPatch) -> None:
    lab, one, film = filmed
    monkeypatch.setattr("pipelines.playback.film.read_sources", lambda *_: pytest.fail("made again"))
    run = str(current_run(lab, one.name))
    assert film_trial(lab, one.name, run, progress=SilentProgress()) == film == load_film(lab, one.name, film.key)
    key = trial_film_key(load_take(lab, one.name), run)
    assert key == film.key != trial_film_key(load_take(lab, one.name), "r0123456789ab")
    assert has_film(lab, one.name, key)
    assert [p.name for p in film_video(lab, one.name, key).parents[1].iterdir()] == [key]


def test_film_with_blurred_faces_shows_no_head_and_everything_else(
    filmed: tuple[Lab, Filmed, Film], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, one, film = filmed
    run = str(current_run(lab, one.name))
    # A film of every sixth moment: what is blurred is asked of each by itself.
    times_s = read_landmarks3d(run_file(lab, one.name, run, LANDMARKS3D_FILE)).times_s[::6]
    monkeypatch.setattr("pipelines.playback.film.read_landmarks3d", lambda _: SimpleNamespace(times_s=times_s))
    blurred = film_trial(lab, one.name, run, faces=Faces.BLURRED, progress=SilentProgress())
    assert blurred.key != film.key
    assert (film.blurred, blurred.blurred) == (None, BlurredFaces(4 * times_s.size, 0, 0))
    assert load_film(lab, one.name, blurred.key) == blurred
    names = [name for c in blurred.cameras for name in c.landmarks]
    head, sacrum = ([i for i, name in enumerate(names) if name == wanted] for wanted in ("HEAD", "S3"))
    landmarks = load_film_landmarks(lab, one.name, blurred.key)
    for number, picture in enumerate(read_frames(film_video(lab, one.name, blurred.key))):
        light = {what: _light_at(picture, landmarks[number, at]) for what, at in (("head", head), ("sacrum", sacrum))}
        # Every landmark is a light dot on grey (90).
        assert light["head"].max() < 130
        assert np.median(light["sacrum"]) > 180


def _light_at(picture: np.ndarray, xy_px: np.ndarray) -> np.ndarray:
    x, y = np.round(xy_px[np.isfinite(xy_px).all(axis=1)]).astype(int).T
    light: np.ndarray = picture[y, x].mean(axis=1)
    return light


def test_exported_videos_with_blurred_faces_say_what_to_look_at(
    filmed: tuple[Lab, Filmed, Film], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, one, _ = filmed
    run = str(current_run(lab, one.name))
    # Of one camera nothing is known: its pictures are blurred as a whole, and counted.
    monkeypatch.setattr("pipelines.export_constant_rate.read_sources", lambda *_: (sources[:3], ()))
    sources, _ = read_sources(lab, one.name, run)
    *videos, readme = export_constant_rate(lab, one.name, tmp_path / "out", faces=Faces.BLURRED)
    told = json.loads(readme.read_text(encoding="utf-8"))
    n_frames, every = told["n_frames"], list(range(told["n_frames"]))
    assert told["faces"]["read_this"].startswith(f"Look before you share: in {n_frames} of {4 * n_frames} pictures")
    assert [told["faces"][k] for k in ("pictures", "not_found", "hidden")] == [4 * n_frames, n_frames, n_frames]
    assert [len(told["cameras"][c]["face_not_found"]) for c in told["cameras"]] == [0, 0, 0, n_frames]
    assert told["cameras"]["cam3"]["blurred_whole"] == every
    first = [next(read_frames(path)) for path in videos]
    assert [picture.max() > 200 for picture in first] == [True, True, True, False]
    monkeypatch.setattr("pipelines.export_constant_rate.current_run", lambda *_: None)
    with pytest.raises(InputError, match="is not known before it is processed"):
        export_constant_rate(lab, one.name, tmp_path / "more", faces=Faces.BLURRED)
    assert not (tmp_path / "more").exists()


def test_trial_without_videos_has_no_film(filmed: tuple[Lab, Filmed, Film], tmp_path: Path) -> None:
    lab, one, _ = filmed
    take = load_take(lab, one.name)
    assert not trial_film_key(type(take)(rate_hz=60.0), "r0123456789ab")
    (take_folder(lab, one.name) / "take.json").rename(tmp_path / "take.json")
    text = (tmp_path / "take.json").read_text(encoding="utf-8")
    start, end = text.index('"cameras"'), text.index('"landmarks2d"')
    changed = text[:start] + '"cameras": {}, ' + text[end:]
    (take_folder(lab, one.name) / "take.json").write_text(changed, encoding="utf-8")
    try:
        with pytest.raises(MissingPartError, match="has no videos"):
            film_trial(lab, one.name, str(current_run(lab, one.name)), progress=SilentProgress())
    finally:
        (tmp_path / "take.json").rename(take_folder(lab, one.name) / "take.json")


def test_panels_fit_and_stand_in_a_grid() -> None:
    panels = lay_out([(1920, 1080)] * 3 + [(1080, 1920)], most_px=(640, 480))
    assert panels == (
        Panel(0, 0, 640, 360),
        Panel(640, 0, 640, 360),
        Panel(0, 480, 640, 360),
        Panel(640, 480, 270, 480),
    )
    assert number_top(panels) == 960
    assert film_size(panels) == (1280, 968)
    assert film_size(lay_out([(64, 48)], most_px=(640, 480))) == (160, 56)
    assert lay_out([(320, 240)] * 2, most_px=(640, 480)) == (Panel(0, 0, 320, 240), Panel(320, 0, 320, 240))
    assert len({(p.left, p.top) for p in lay_out([(320, 240)] * 8, most_px=(640, 480))}) == 8
