"""The demonstration's takes recorded as any take is: in real time, from simulated cameras on one trigger.

The cameras show grey pictures with a number, for nobody drew the runner. What counts is what the recorder made of them:
which pulse every stored frame is of, when that was, what was lost, and the verdict. 2D landmarks are kept for the
frames that were stored, each of its own pulse, and for no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labsys.capture.pictures import CountedPictures
from labsys.capture.recorder import RecordRequest, record_take
from labsys.capture.rig import Rig, load_rig_config
from labsys.capture.studio import open_studio
from labsys.core.arrays import IntArray
from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.storage.atomic import make_folder, write_text_atomic
from labsys.storage.exchange.dlc import read_dlc, write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from pipelines.importing.synth import TIMESTAMPS_FILE

SPARE_S = 1.0  # that a runner runs longer than is recorded: pulses end a little after they are told to
_MODE_OVER_PULSES = 1.2  # a camera is triggered below the rate that its mode allows
_GREY = 96
_SHOWN = "grey pictures with a number; 2D landmarks are synthetic, one row for every frame that was stored"


@dataclass(frozen=True, eq=False)
class RecordedTake:
    """What the recorder made of one take.

    Attributes:
        folder: the take. verdict, grade: as a technician is told. ticks: camera -> (N,) pulse of every stored frame.
        n_pulses: sent. lost: frames of all cameras that were due and are not there.
    """

    folder: Path
    verdict: str
    grade: str
    ticks: Mapping[str, IntArray]
    n_pulses: int
    lost: int


def record_together(
    folder: Path,
    wanted: Mapping[str, float],
    *,
    cameras: tuple[str, ...],
    size_px: tuple[int, int],
    rate_hz: float,
    progress: Progress,
) -> dict[str, RecordedTake]:
    """Record takes of these names and lengths, s, all at the same time, each with cameras of its own.

    Raises:
        InputError: the recorder refuses, or stored nothing.
    """
    progress.stage(f"record {len(wanted)} takes of {len(cameras)} simulated cameras", len(wanted))
    make_folder(folder)
    text = _rig_text(cameras, size_px, rate_hz)
    path = folder / "rig.yaml"
    write_text_atomic(path, text)
    rig = load_rig_config(path)
    with ThreadPoolExecutor(len(wanted)) as pool:
        begun = {name: pool.submit(_record, folder / name, rig, text, seconds) for name, seconds in wanted.items()}
        found = dict[str, RecordedTake]()
        for name, take in begun.items():
            found[name] = take.result()
            progress.advance()
    return found


def _record(folder: Path, rig: Rig, rig_text: str, seconds: float) -> RecordedTake:
    make_folder(folder)
    size_px = next((rig.stream_of(c).width, rig.stream_of(c).height) for c in rig.cameras)
    grey = np.full((size_px[1], size_px[0], 3), _GREY, dtype=np.uint8)
    pictures = CountedPictures([grey])
    facts: dict[str, Any] = {"trial": folder.name, "pictures": _SHOWN}
    with open_studio(rig, dict.fromkeys(rig.cameras, pictures)) as studio:
        request = RecordRequest(folder / "take", rig, seconds, rig_text, facts=facts)
        found = record_take(request, bench=studio.bench, trigger=studio.trigger).assessment
    losses = found.losses
    n_pulses = max(f.due for f in losses.values())
    return RecordedTake(
        folder / "take",
        str(found.verdict),
        found.sync.grade,
        {camera: f.ticks for camera, f in losses.items()},
        n_pulses,
        sum(f.lost for f in losses.values()),
    )


def keep_stored(part: Path, recorded: RecordedTake) -> None:
    """Of a synthetic part (CAMERA.h5, row i of pulse i) keep the rows of frames that were stored, beside their times.

    Raises:
        InputError: a frame is of a pulse after the runner's last moment, or a camera stored nothing.
    """
    for camera, ticks in recorded.ticks.items():
        path = part / f"{camera}.h5"
        write_dlc_h5(path, pick_rows(read_dlc(path), ticks, camera), scorer="synthetic")
    stamps = (recorded.folder / "files" / TIMESTAMPS_FILE).read_text(encoding="utf-8")
    write_text_atomic(part / TIMESTAMPS_FILE, stamps)


def pick_rows(track: CameraTrack, ticks: IntArray, camera: str) -> CameraTrack:
    """The rows of a track, one a pulse, that these frames show.

    Raises:
        InputError: there is none, or one is of a pulse after the last row.
    """
    if not ticks.size:
        raise InputError(f"{camera} stored no frame", remedy="Try again when the machine has less to do")
    if ticks.max() >= track.n_frames:
        raise InputError(
            f"a frame of {camera} is of pulse {ticks.max()}, the runner ran for {track.n_frames}",
            remedy="Try again when the machine has less to do",
        )
    return replace(track, xy_px=track.xy_px[ticks], confidence=track.confidence[ticks])


def _rig_text(cameras: tuple[str, ...], size_px: tuple[int, int], rate_hz: float) -> str:
    places = "\n".join(f'  {c}: {{by_path: virtual-port-{i}, usb_id: "1d6b:0102"}}' for i, c in enumerate(cameras))
    mode = f"fourcc: MJPG, width: {size_px[0]}, height: {size_px[1]}, fps: {_MODE_OVER_PULSES * rate_hz:g}"
    return f"""\
schema: labsys.hardware/1
name: demo
driver: virtual
sync: {{mode: hardware_trigger, source: virtual, fps: {rate_hz:g}, pulse_us: 1000, level_v: 3.3}}
virtual: {{behaviour: {{}}}}
defaults:
  mode: {{{mode}}}
  buffers: 32
  shutter: global
  controls: {{auto_exposure: 1, exposure_time_absolute: 8, exposure_dynamic_framerate: 0, white_balance_automatic: 0}}
cameras:
{places}
limits: {{disk_min_free_GB: 1}}
task: {{v_max_mps: 7, max_exposure_us: 1000}}
policy: {{on_camera_loss: continue_degraded, min_cameras: {len(cameras)}}}
"""
