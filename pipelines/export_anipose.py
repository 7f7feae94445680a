"""A trial as an Anipose project, for `anipose triangulate` and `anipose angles`, set as labsys uses Anipose itself."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from calibration.formats import format_anipose
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.atomic import write_text_atomic
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, take_folder
from labsys.storage.trials import load_trial
from pipelines.config import Profile, load_config
from pipelines.export_trial import make_new_folder
from pipelines.pose2d import find_landmarks2d
from pipelines.retime import read_clocks, retime
from pipelines.retiming.stamps import TIMESTAMPS, read_stamps
from pipelines.trajectory import bones_of
from pipelines.trial_inputs import calibrated_take, load_calibration

# Angles between two segments that meet in the middle landmark, by names of clinical and of keypoint sets.
_JOINTS = {
    "hip": (("AC", "GT", "LFE"), ("Shoulder", "Hip", "Knee")),
    "knee": (("GT", "LFE", "LM"), ("Hip", "Knee", "Ankle")),
    "ankle": (("LFE", "LM", "MT5"), ("Knee", "Ankle", "BigToe")),
    "elbow": (("AC", "ELB", "WRI"), ("Shoulder", "Elbow", "Wrist")),
}


def export_anipose(lab: Lab, name: TrialName, out: Path, *, run: str | None = None) -> tuple[Path, ...]:
    """An Anipose project with this trial's 2D landmarks, calibration and videos.

    Anipose takes row i of every camera as one moment. Landmarks of cameras with clocks of their own are brought onto
    the common one as a run does; their videos, whose frames are other moments, stay out of the project.

    Raises:
        InputError: the trial has no 2D landmarks, or videos of several kinds; it is no matter of a run, so `run` must
            not be given.
    """
    if run is not None:
        raise InputError("an Anipose project holds the 2D landmarks, which belong to no run", remedy="Leave --run out")
    take = calibrated_take(lab, load_trial(lab, name))
    calibration = load_calibration(lab, take)
    if calibration is None or not (take.landmarks2d or take.cameras):
        raise InputError(f"trial {name} has no 2D landmarks with a calibration", remedy="Export it as trc or csv")
    tracks = find_landmarks2d(lab, name, take)
    stamps = take.files.get(TIMESTAMPS)
    if stamps is not None:
        tracks = _on_one_clock(tracks, take.rate_hz, take_folder(lab, name) / stamps.path)
    videos = {} if stamps is not None else {c: take_folder(lab, name) / file.path for c, file in take.cameras.items()}
    suffix = _suffix_of(videos)
    make_new_folder(out)
    cameras, session = tuple(tracks), out / name.session
    landmarks = next(iter(tracks.values())).landmarks
    files = {
        out / "config.toml": format_config(cameras, landmarks, video_suffix=suffix),
        session / "calibration" / "calibration.toml": format_anipose(calibration.select(cameras)),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, text)
    return (*files, *_write_tracks(session, name, tracks), *_copy_videos(session, name, videos))


def _on_one_clock(tracks: Mapping[str, CameraTrack], rate_hz: float, stamps: Path) -> dict[str, CameraTrack]:
    config = load_config(Profile.ANIPOSE)
    clocks = read_clocks(tracks, rate_hz=rate_hz, stamps=read_stamps(stamps, tracks))
    seen = retime(
        tracks,
        clocks,
        max_gap_frames=config.retime.max_gap_frames,
        min_confidence=config.reconstruct.min_likelihood,
    )
    return {
        camera: CameraTrack(seen.landmarks, seen.xy_px[:, i], seen.confidence[:, i], source=tracks[camera].source)
        for i, camera in enumerate(seen.cameras)
    }


def _suffix_of(videos: Mapping[str, Path]) -> str:
    """How all videos' names end; "" without videos (InputError: Anipose looks for one kind only)."""
    suffixes = sorted({path.suffix for path in videos.values()})
    if len(suffixes) > 1:
        raise InputError(
            f"the videos are of several kinds ({', '.join(suffixes)}), and an Anipose project has one",
            where=", ".join(str(path) for path in videos.values()),
            remedy="Import the trial again with all videos as one kind",
        )
    return "".join(suffixes)


def _write_tracks(session: Path, name: TrialName, tracks: Mapping[str, CameraTrack]) -> list[Path]:
    written = [session / "pose-2d" / f"{name.trial}-{camera}.h5" for camera in tracks]
    for target, track in zip(written, tracks.values(), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_dlc_h5(target, track)
    return written


def _copy_videos(session: Path, name: TrialName, videos: Mapping[str, Path]) -> list[Path]:
    written = [session / "videos-raw" / f"{name.trial}-{camera}{path.suffix}" for camera, path in videos.items()]
    for target, path in zip(written, videos.values(), strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return written


def format_config(cameras: Sequence[str], landmarks: Sequence[str], *, video_suffix: str = "") -> str:
    """Anipose's config.toml: cameras by the end of file names, points as sure as `--engine anipose` asks, angles."""
    pattern = "|".join(re.escape(c) for c in cameras)
    lines = ["nesting = 1"]
    if video_suffix:
        lines.append(f'video_extension = "{video_suffix.removeprefix(".")}"')
    bones = [(landmarks[a], landmarks[b]) for a, b in bones_of(tuple(landmarks))]
    lines += [
        "",
        "[filter]",
        "enabled = false",
        "",
        "[triangulation]",
        "triangulate = true",
        f"cam_regex = '-({pattern})$'",
        "ransac = false",
        "optim = false",
        # Anipose's own 0.8 would leave out most points of networks whose likelihoods are low.
        f"score_threshold = {load_config(Profile.ANIPOSE).reconstruct.min_likelihood}",
        # Only for those who switch optim on.
        f"constraints = {_array(bones)}",
        "",
        "[labeling]",
        f"scheme = {_array(bones)}",
    ]
    angles = list(_angles(landmarks))
    if angles:
        lines += ["", "[angles]", *(f"{joint} = {_row(points)}" for joint, points in angles)]
    return "\n".join(lines) + "\n"


def _angles(landmarks: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for joint, choices in _JOINTS.items():
        for side in "LR":
            for choice in choices:
                points = tuple(side + point for point in choice)
                if set(points) <= set(landmarks):
                    yield f"{side}_{joint}_flex", points
                    break


def _array(rows: Sequence[Sequence[str]]) -> str:
    return f"[{', '.join(_row(row) for row in rows)}]"


def _row(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
