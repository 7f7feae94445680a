"""A first look at a take while the runner is still there: a few seconds of its middle, never stored, never current.

The same steps as `run_trial` on 10 s of the take. Its metrics are indicative at most: they say whether the landmarks
are seen and roughly where the numbers lie, and nothing is compared or kept.
"""

from __future__ import annotations

import csv
import io
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import Metric, MotionResult, Quality
from labsys.core.progress import Progress
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import Side
from labsys.storage.atomic import write_text_atomic
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, take_folder
from labsys.storage.results import LANDMARKS3D_FILE, read_landmarks3d
from labsys.storage.runs import current_run, run_file
from labsys.storage.takes import Take
from pipelines.analyse import analyse
from pipelines.config import PipelineConfig
from pipelines.dlc import open_configured
from pipelines.pose2d import PoseEstimator, estimate_pose, find_landmarks2d, needs_model
from pipelines.prepare2d import prepare_landmarks2d
from pipelines.quick_cut import FrameSpan, cut_videos, span_frames
from pipelines.reconstruct import matching_rig, reconstruct_configured
from pipelines.retiming.stamps import TIMESTAMPS, read_stamps
from pipelines.trial_inputs import TrialInputs, gather_inputs, load_calibration

QUICK_S = 10.0
OpenOnce = Callable[[], PoseEstimator]
_SEEN = 0.5  # share of the frames in which a landmark that counts as visible has a place


@dataclass(frozen=True, eq=False)
class QuickResult:
    """What a first look found.

    Attributes:
        begin_s, end_s: of the piece, s from the take's first frame. motion: of the piece; metrics indicative at most.
        visible, unseen: landmarks that have a place in space in half of the frames or more, or in fewer.
        took_s: wall time. static: the standing trial that angles are changes from, "" for none.
    """

    trial: TrialName
    begin_s: float
    end_s: float
    motion: MotionResult
    visible: tuple[str, ...]
    unseen: tuple[str, ...]
    static: str
    took_s: float

    def n_strides(self) -> dict[str, int]:
        """Strides that count, by side."""
        return {side.value: self.motion.n_strides(side) for side in (Side.LEFT, Side.RIGHT)}


def look_quickly(
    lab: Lab,
    name: TrialName,
    *,
    config: PipelineConfig,
    seconds: float = QUICK_S,
    progress: Progress,
    open_model: Callable[[Lab, PipelineConfig], PoseEstimator] = open_configured,
) -> QuickResult:
    """Look at the middle of a trial's take; writes nothing into the lab.

    Raises:
        InputError: no recording or no calibration, a take too short for whole strides, or videos that cannot be cut.
    """
    began = time.perf_counter()
    trial = gather_inputs(lab, name)
    model = cache(partial(open_model, lab, config))
    landmarks, span = _find_in_space(lab, trial, config, seconds, model, progress)
    static = None if trial.static is None else _static_landmarks(lab, trial.static, config, model, progress)
    calibration = load_calibration(lab, trial.take)
    # The piece is clear of the first and last strides of the take already.
    settings = replace(config.analyse, discard_first_strides=0, discard_last_strides=0)
    motion = analyse(
        landmarks,
        static=static,
        trial=trial.trial,
        session=trial.session,
        heading_known=calibration is None or calibration.heading_known,
        settings=settings,
        screening=None,
    )
    seen = np.isfinite(landmarks.xyz_m).all(axis=-1).mean(axis=0) >= _SEEN
    return QuickResult(
        trial=name,
        begin_s=span.begin_s,
        end_s=span.end_s,
        motion=replace(motion, metrics=tuple(_indicative(m) for m in motion.metrics)),
        visible=tuple(n for n, there in zip(landmarks.landmarks, seen, strict=True) if there),
        unseen=tuple(n for n, there in zip(landmarks.landmarks, seen, strict=True) if not there),
        static=trial.static.trial if trial.static else "",
        took_s=time.perf_counter() - began,
    )


def _indicative(metric: Metric) -> Metric:
    return metric if metric.quality is Quality.EXCLUDED else replace(metric, quality=Quality.INDICATIVE)


def _static_landmarks(
    lab: Lab, static: TrialName, config: PipelineConfig, model: OpenOnce, progress: Progress
) -> Landmarks3D:
    """Those of its current run, else of a look at the whole of it."""
    run = current_run(lab, static)
    if run is not None:
        return read_landmarks3d(run_file(lab, static, run, LANDMARKS3D_FILE))
    return _find_in_space(lab, gather_inputs(lab, static), config, np.inf, model, progress)[0]


def _find_in_space(
    lab: Lab,
    trial: TrialInputs,
    config: PipelineConfig,
    seconds: float,
    model: OpenOnce,
    progress: Progress,
) -> tuple[Landmarks3D, FrameSpan]:
    """3D landmarks of the middle of a take, and which piece that is."""
    name, take = trial.trial.name, trial.take
    calibration = load_calibration(lab, take)
    if calibration is None:
        seen = take.cameras or take.landmarks2d
        state = f"Say in which one it stands: labsys trial edit {name} --calibration NAME"
        whole = f"Process it whole: labsys process {name}"
        raise InputError(f"trial {name} has no calibration", remedy=state if seen else whole)
    gait = trial.trial.kind in (TrialKind.RUN, TrialKind.WALK)
    with tempfile.TemporaryDirectory(prefix="labsys-quick-") as room:
        span = span_frames(lab, name, take, seconds=seconds, gait=gait)
        tracks = _find_tracks(lab, name, take, span, Path(room), model, progress)
        progress.stage("reconstruct", 1)
        prepared = prepare_landmarks2d(
            tracks,
            partial(matching_rig, calibration=calibration),
            rate_hz=take.rate_hz,
            stamps=_cut_stamps(lab, name, take, span, Path(room)),
            config=config,
        )
        found = reconstruct_configured(prepared.landmarks, calibration, config.reconstruct)
        progress.advance()
    return found.landmarks, span


def _find_tracks(
    lab: Lab,
    name: TrialName,
    take: Take,
    span: FrameSpan,
    room: Path,
    model: OpenOnce,
    progress: Progress,
) -> Mapping[str, CameraTrack]:
    """Of each take by itself, as in processing: imported landmarks count, and a model looks where there are none."""
    if not needs_model(take):
        whole = find_landmarks2d(lab, name, take)
        return {camera: _cut_track(track, span.frames[camera]) for camera, track in whole.items()}
    videos = cut_videos(lab, name, take, span, room)
    return estimate_pose(videos, model(), progress=progress).tracks


def _cut_track(track: CameraTrack, rows: slice) -> CameraTrack:
    return replace(track, xy_px=track.xy_px[rows], confidence=track.confidence[rows])


def _cut_stamps(lab: Lab, name: TrialName, take: Take, span: FrameSpan, room: Path) -> Path | None:
    file = take.files.get(TIMESTAMPS)
    if file is None:
        return None
    text, path = io.StringIO(), room / "timestamps.csv"
    rows = csv.writer(text)
    rows.writerow(("cam_id", "frame_time", "frame", "kind"))
    for camera, stamps in read_stamps(take_folder(lab, name) / file.path, span.frames).items():
        numbers = np.arange(stamps.times_s.size) if stamps.number is None else stamps.number
        piece = span.frames[camera]
        kinds = np.where(stamps.measured, "real", "bad")
        for moment, number, kind in zip(stamps.times_s[piece], numbers[piece], kinds[piece], strict=True):
            rows.writerow((camera, f"{moment:.9f}" if np.isfinite(moment) else "", int(number), kind))
    write_text_atomic(path, text.getvalue())
    return path
