"""`labsys model new`: a DeepLabCut project of pictures to label, the same moments through every camera of a trial."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.formats import write_anipose
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.names import check_unique
from labsys.core.progress import Progress
from labsys.core.session import TrialName
from labsys.core.skeleton import LANDMARK_SETS
from labsys.storage.atomic import is_there, make_folder, read_text
from labsys.storage.exchange.dlc_project import DlcProject, create_dlc_project
from labsys.storage.lab import Lab
from pipelines.modelling.carrying import best_pair
from pipelines.modelling.picking import Source, share_out
from pipelines.modelling.project import Capture, ProjectNotes, calibration_file, group_name, picture_name, save_notes
from pipelines.modelling.sources import (
    PickedFrames,
    Recording,
    find_frames,
    open_recording,
    pick_moments,
    write_pictures,
)


@dataclass(frozen=True)
class LabellingPlan:
    """What is to be labelled.

    Attributes:
        landmarks: K names. bones: lines between them. moments: in all, each a picture in every camera.
        scorer: who labels.
    """

    landmarks: tuple[str, ...]
    bones: tuple[tuple[str, str], ...]
    moments: int = 60
    scorer: str = "labeller"
    seed: int = 0


@dataclass(frozen=True)
class NewCapture:
    """What was taken of one trial.

    Attributes:
        trial, capture: its name, and that in the project. moments, cameras: counts.
        first_views: cameras to label in first; () without calibration. apart_s: between frames of one moment, at most.
        left_out: cameras that the calibration lacks.
    """

    trial: str
    capture: str
    moments: int
    cameras: int
    first_views: tuple[str, ...]
    apart_s: float
    left_out: tuple[str, ...]


def read_plan(landmarks: str, *, moments: int, scorer: str, seed: int) -> LabellingPlan:
    """A plan of a landmark set by its name (capitals do not matter), or of a file with a name a line ('#': comment).

    Raises:
        InputError: neither, no names, or one twice.
    """
    sets = {name.lower(): found for name, found in LANDMARK_SETS.items()}
    if landmarks.lower() in sets:
        chosen = sets[landmarks.lower()]
        return LabellingPlan(chosen.landmarks, chosen.bones, moments, scorer, seed)
    path = Path(landmarks)
    if not is_there(path):
        raise UnknownNameError("landmark set or file", landmarks, valid=LANDMARK_SETS)
    lines = (line.split("#")[0].strip() for line in read_text(path).splitlines())
    names = tuple(line for line in lines if line)
    if not names:
        raise InputError("names no landmarks", where=landmarks, remedy="Write one name a line")
    check_unique("landmarks", names)
    bones = {bone: None for found in LANDMARK_SETS.values() for bone in found.bones if set(bone) <= set(names)}
    return LabellingPlan(names, tuple(bones), moments, scorer, seed)


def make_project(
    lab: Lab, folder: Path, names: Sequence[TrialName], plan: LabellingPlan, *, date: str, progress: Progress
) -> tuple[NewCapture, ...]:
    """Write a project with pictures of several trials, their calibrations and labsys's notes; all or nothing.

    Raises:
        UnknownNameError: no such trial. InputError: the folder holds something, a trial twice or without videos, or a
            video cannot be read.
    """
    check_unique("trials", tuple(map(str, names)))
    if is_there(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not an empty folder", where=str(folder), remedy="Name a new folder")
    progress.stage("pick moments", len(names))
    recordings = [open_recording(lab, name) for name in names]
    doubled = [label for label, n in Counter(r.label for r in recordings).items() if n > 1]
    if doubled:
        raise InputError(f"several trials would be called {doubled[0]} in the project", remedy="Take one of them")
    sources = [Source(r.trial.name, r.trial.kind, len(r.grid_s)) for r in recordings]
    picked = []
    for number, (recording, count) in enumerate(zip(recordings, share_out(sources, plan.moments), strict=True)):
        if count:
            times_s = pick_moments(lab, recording, count, seed=plan.seed + number)
            picked.append((recording, find_frames(recording, times_s)))
        progress.advance()
    return _write(folder, plan, picked, date, progress)


def _write(
    folder: Path,
    plan: LabellingPlan,
    picked: Sequence[tuple[Recording, PickedFrames]],
    date: str,
    progress: Progress,
) -> tuple[NewCapture, ...]:
    project = DlcProject(folder, folder.resolve().name, plan.scorer, plan.landmarks, plan.bones)
    # DeepLabCut knows a folder of pictures by the stem of a video; the videos themselves stay in the lab.
    videos = {
        folder.resolve() / "videos" / f"{group_name(r.label, v.camera)}{v.path.suffix}": r.sizes_px[v.camera]
        for r, _ in picked
        for v in r.videos
    }
    finished = False
    try:
        create_dlc_project(project, videos, date=date)
        make_folder(folder / "calibrations")
        progress.stage("take pictures", len(videos))
        captures = {r.label: _write_capture(project, r, frames, progress) for r, frames in picked}
        made = {"kind": "labelled", "trials": ", ".join(str(r.trial.name) for r, _ in picked), "seed": str(plan.seed)}
        save_notes(project, ProjectNotes(captures, made))
        finished = True
    finally:
        if not finished:
            shutil.rmtree(folder, ignore_errors=True)
    return tuple(_describe(recording, frames) for recording, frames in picked)


def _write_capture(project: DlcProject, recording: Recording, picked: PickedFrames, progress: Progress) -> Capture:
    cameras = {video.camera: group_name(recording.label, video.camera) for video in recording.videos}
    for video in recording.videos:
        target = project.pictures(cameras[video.camera])
        make_folder(target)
        frames = picked.frames[video.camera]
        # Two moments may share a frame of a camera that is slower than the others.
        first = {int(number): target / picture_name(moment) for moment, number in reversed(list(enumerate(frames)))}
        write_pictures(video, frames, first)
        for moment, number in enumerate(frames):
            path = target / picture_name(moment)
            if path != first[int(number)]:
                shutil.copyfile(first[int(number)], path)
        progress.advance()
    if recording.calibration is not None:
        write_anipose(calibration_file(project, recording.label), _as_filmed(recording.calibration, recording))
    frames_by_camera = {camera: tuple(map(int, frames)) for camera, frames in picked.frames.items()}
    calibrated = recording.calibration is not None
    return Capture(cameras, frames_by_camera, str(recording.trial.name), calibrated=calibrated)


def _as_filmed(calibration: Calibration, recording: Recording) -> Calibration:
    """The calibration with the sizes of the videos: where they differ, somebody said at the import that it fits."""
    cameras = tuple(
        replace(c, intrinsics=replace(c.intrinsics, size_px=recording.sizes_px.get(c.name, c.intrinsics.size_px)))
        for c in calibration.rig.cameras
    )
    return replace(calibration, rig=CameraRig(cameras))


def _describe(recording: Recording, picked: PickedFrames) -> NewCapture:
    cameras = tuple(video.camera for video in recording.videos)
    rig = None if recording.calibration is None or len(cameras) < 2 else recording.calibration.rig.select(cameras)
    return NewCapture(
        trial=str(recording.trial.name),
        capture=recording.label,
        moments=len(picked.apart_s),
        cameras=len(cameras),
        first_views=() if rig is None else best_pair(rig),
        apart_s=float(picked.apart_s.max()),
        left_out=recording.left_out,
    )
