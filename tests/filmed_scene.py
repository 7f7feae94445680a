"""A runner filmed by four small cameras that run free: dots on grey, every picture with its number in it.

The pictures are what is measured elsewhere, not here; what is known of them is when each was taken, and which it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration.formats import write_anipose
from labsys.core.arrays import FloatArray
from labsys.core.cameras import Calibration
from labsys.core.progress import SilentProgress
from labsys.core.session import Conditions, Phase, Surface, TrialKind, TrialName
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, create_lab
from labsys.storage.video import write_jpeg_video
from pipelines.config import Profile, load_config
from pipelines.importing.request import ImportRequest, VisitFacts
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial
from pipelines.synthetic.noise import NoiseModel, observe_free_running
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.pictures.sensor import burn_counter
from pipelines.synthetic.rigs import ClockModel, free_running_times, make_rig, stamp_frames
from pipelines.synthetic.trial import make_trial

RATE_HZ = 60.0
SECONDS = 3.0
SIZE = (320, 240)
VISITS = {Phase.PRE: "2026-01-10", Phase.POST: "2026-04-11"}
# What a film does not depend on and would take a minute is left out.
_QUICK = ("reconstruct.rule=robust", "retime.estimate_offsets=false", "sides.repair=false")
# In three seconds there are three strides.
_ALL_STRIDES = ("analyse.discard_first_strides=0", "analyse.discard_last_strides=0")
_CLOCK = ClockModel(drop_probability=0.03, stamp_jitter_s=0.0005)


@dataclass(frozen=True, eq=False)
class Filmed:
    """A trial, and when each picture of each camera was taken, s."""

    name: TrialName
    times_s: dict[str, FloatArray]


def film_runner(lab: Lab, folder: Path, phase: Phase, *, n_cameras: int = 4, seed: int = 1) -> Filmed:
    """Film, import and process one run of S01; `folder` is new."""
    folder.mkdir(parents=True)
    rig = make_rig(n_cameras, size_px=SIZE)
    write_anipose(folder / "calibration.toml", Calibration(rig, "synthetic", grade="A"))
    posed = make_trial(RunnerParameters(), kind=TrialKind.RUN, seconds=SECONDS, rate_hz=240.0, seed=3)
    span_s = float(posed.landmarks.times_s[-1])
    times_s = free_running_times(n_cameras, seconds=span_s, rate_hz=RATE_HZ, clock=_CLOCK, seed=seed)
    views = observe_free_running(posed, rig, NoiseModel(sigma_px=0.2), times_s, seed)
    for camera, own_s, seen in zip(rig.names, times_s, views, strict=True):
        track = CameraTrack(seen.landmarks, seen.xy_px[:, 0], seen.confidence[:, 0])
        write_dlc_h5(folder / f"{camera}.h5", track)
        write_jpeg_video(folder / f"{camera}.mkv", _draw(track), own_s.tolist(), size_px=SIZE, rate_hz=RATE_HZ)
    stamped = zip(rig.names, stamp_frames(times_s, _CLOCK, seed), strict=True)
    lines = [f"{camera},{moment:.9f}" for camera, stamps in stamped for moment in stamps]
    (folder / "timestamps.csv").write_text("\n".join(["cam_id,frame_time", *lines, ""]), encoding="utf-8")
    name = TrialName("S01", VISITS[phase], "run1")
    request = ImportRequest(
        name=name,
        kind=TrialKind.RUN,
        conditions=Conditions(surface=Surface.TREADMILL, speed_mps=3.0, incline_pct=0.0),
        visit=VisitFacts(phase=phase),
        videos={camera: folder / f"{camera}.mkv" for camera in rig.names},
        landmarks2d={camera: folder / f"{camera}.h5" for camera in rig.names},
        timestamps=folder / "timestamps.csv",
        calibration=folder / "calibration.toml",
        rate_hz=RATE_HZ,
    )
    import_trial(lab, request, progress=SilentProgress())
    config = load_config(Profile.DEFAULT, sets=[*_QUICK, *_ALL_STRIDES])
    run_trial(lab, name, config=config, progress=SilentProgress())
    return Filmed(name, dict(zip(rig.names, times_s, strict=True)))


def make_filmed_lab(root: Path, *, phases: tuple[Phase, ...] = (Phase.PRE,)) -> tuple[Lab, tuple[Filmed, ...]]:
    """A lab with one filmed run of S01 per phase."""
    lab = create_lab(root / "lab", name="Filmed lab")
    filmed = tuple(film_runner(lab, root / phase.value, phase, seed=1 + i) for i, phase in enumerate(phases))
    return lab, filmed


def _draw(track: CameraTrack) -> Iterator[bytes]:
    for number, points in enumerate(track.xy_px):
        picture = np.full((SIZE[1], SIZE[0], 3), 90, dtype=np.uint8)
        for x, y in points[np.isfinite(points).all(axis=1)]:
            cv2.circle(picture, (round(float(x)), round(float(y))), 3, (230, 230, 230), -1)
        burn_counter(picture, number)
        yield cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
