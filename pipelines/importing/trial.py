"""Bring an existing recording in as a trial: all of it is read and judged first, then written, the take at once."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.progress import Progress
from labsys.core.session import Session, TrialName
from labsys.storage.atomic import read_json
from labsys.storage.calibrations import save_calibration_folder
from labsys.storage.erasures import refuse_new_take
from labsys.storage.lab import Lab
from labsys.storage.takes import StagedTake, stage_take
from pipelines.calibrating.fingerprints import differs_from_calibration, fingerprint_videos
from pipelines.importing.cameras import (
    IncomingCalibration,
    IncomingVideos,
    read_incoming_calibration,
    read_incoming_videos,
)
from pipelines.importing.landmarks2d import IncomingLandmarks2D, read_incoming_landmarks2d
from pipelines.importing.markers import check_upright, read_markers
from pipelines.importing.nouns import plan_session, plan_trial, write_nouns
from pipelines.importing.request import ImportRequest, check_request
from pipelines.retiming.stamps import TIMESTAMPS

_RATE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ImportReport:
    """What was imported, and what was found worth saying on the way."""

    name: TrialName
    n_frames: int
    rate_hz: float
    calibration: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Incoming:
    calibration: IncomingCalibration | None
    videos: IncomingVideos
    landmarks2d: IncomingLandmarks2D
    markers: Landmarks3D | None
    n_frames: int
    rate_hz: float
    remarks: tuple[str, ...]


def import_trial(lab: Lab, request: ImportRequest, *, progress: Progress) -> ImportReport:
    """Import one recording; subject and session are made when new. Nothing is written unless all of it is sound.

    Raises:
        InputError: anything about the files that is unreadable or inconsistent (named), the trial has a take, or its
            subject was erased.
        UnknownNameError: a camera, landmark, marker, static trial or episode that does not exist.
    """
    check_request(request)
    refuse_new_take(lab, request.name.subject)  # before anything long is read
    session = plan_session(lab, request)
    trial = plan_trial(lab, request, session)
    incoming = _read_all(request, progress)
    trial = replace(trial, accepted_sizes=incoming.videos.accepted_sizes)
    calibration = _write_calibration(lab, incoming.calibration, session)
    progress.stage("copy into the lab", len(incoming.videos.paths) + len(incoming.landmarks2d.tracks) + 1)
    kept = (*incoming.remarks, *_recorded(request), *((request.asked_by,) if request.asked_by else ()))
    with write_nouns(lab, session, trial), stage_take(lab, request.name) as staged:
        _stage_files(staged, request, incoming, progress)
        staged.finish(rate_hz=incoming.rate_hz, calibration=calibration, source=_source(request), notes=kept)
    return ImportReport(request.name, incoming.n_frames, incoming.rate_hz, calibration, incoming.remarks)


def _read_all(request: ImportRequest, progress: Progress) -> _Incoming:
    calibration = read_incoming_calibration(request.calibration, request.world_axes) if request.calibration else None
    rig = calibration.calibration if calibration else None
    tracks = read_incoming_landmarks2d(
        request.landmarks2d, rig, format=request.landmarks2d_format, timestamps=request.timestamps, progress=progress
    )
    videos = read_incoming_videos(
        request.videos, request.accepted_sizes, rig, timestamps=request.timestamps, progress=progress
    )
    markers: Landmarks3D | None = None
    said: tuple[str, ...] = ()
    if request.markers is not None:
        markers, said = read_markers(request.markers, request.marker_map, request.world_axes)
        check_upright(markers, request.kind, request.markers)
    n_frames = _agree_frames(videos, tracks, markers)
    rate_hz = _agree_rate(request.rate_hz, videos, tracks, markers)
    remarks = (*_remarks(calibration, tracks, videos), *tracks.remarks, *said)
    return _Incoming(calibration, videos, tracks, markers, n_frames, rate_hz, remarks)


def _agree_frames(videos: IncomingVideos, tracks: IncomingLandmarks2D, markers: Landmarks3D | None) -> int:
    for camera in videos.infos.keys() & tracks.tracks.keys():
        in_video, in_track = videos.infos[camera].n_frames, tracks.tracks[camera].n_frames
        if in_video != in_track:
            raise InputError(
                f"the video of {camera} has {in_video} frames, its 2D landmarks {in_track}",
                remedy="Give the 2D landmarks of this very video",
            )
    if markers is not None:
        return int(markers.times_s.size)
    return tracks.n_frames or videos.n_frames or 0


def _agree_rate(
    asked_hz: float | None, videos: IncomingVideos, tracks: IncomingLandmarks2D, markers: Landmarks3D | None
) -> float:
    if markers is not None:
        found_hz: float | None = markers.rate_hz
    else:
        found_hz = tracks.rate_hz or videos.rate_hz
    if found_hz is None and asked_hz is None:
        raise InputError("nothing says how many frames a second there are", remedy="Give --rate-hz")
    if asked_hz is not None and found_hz is not None and abs(asked_hz - found_hz) > _RATE_TOLERANCE * asked_hz:
        raise InputError(
            f"the files say {found_hz:g} frames a second, --rate-hz says {asked_hz:g}", remedy="Leave --rate-hz out"
        )
    return float(asked_hz if asked_hz is not None else found_hz or 0.0)


def _remarks(
    calibration: IncomingCalibration | None, tracks: IncomingLandmarks2D, videos: IncomingVideos
) -> tuple[str, ...]:
    said = []
    if calibration is not None:
        used = set(tracks.tracks) | set(videos.paths)
        idle = [n for n in calibration.calibration.rig.names if n not in used]
        if idle:
            said.append(f"the calibration also knows camera {', '.join(idle)}, of which nothing was given")
        if not calibration.calibration.heading_known:
            said.append("heading unknown: transverse angles are relative to an arbitrary direction")
    said += [f"{c}: size {w}x{h} accepted by hand" for c, (w, h) in videos.accepted_sizes.items()]
    if calibration is not None:
        said += differs_from_calibration(fingerprint_videos(videos.infos), calibration.calibration)
    return tuple(said)


def _write_calibration(lab: Lab, incoming: IncomingCalibration | None, session: Session) -> str:
    if incoming is None:
        return ""
    calibration = incoming.calibration
    report = {
        "source": calibration.source,
        "grade": calibration.grade,
        "heading_known": calibration.heading_known,
        "world_axes": incoming.axes_text or None,
        "original": incoming.original.name,
        "cameras": list(calibration.rig.names),
    }
    return save_calibration_folder(
        lab,
        label=re.sub(r"[^A-Za-z0-9-]+", "-", calibration.source) or "imported",
        date=session.captured_at[:10],
        calibration_toml=incoming.text,
        original=incoming.original,
        report=report,
    )


def _recorded(request: ImportRequest) -> tuple[str, ...]:
    """What the recorder told the technician."""
    if request.recording is None:
        return ()
    report = read_json(request.recording / "report.json")
    return (f"sync grade {report['grade']}", f"verdict {report['verdict']}", *report["reasons"])


def _recorder_files(request: ImportRequest) -> dict[str, Path]:
    if request.recording is None:
        return {}
    files = {role: request.recording / f"{role}.json" for role in ("manifest", "report")}
    return files | {f"sidecar-{path.stem}": path for path in sorted(request.recording.glob("raw/*.fts"))}


def _stage_files(staged: StagedTake, request: ImportRequest, incoming: _Incoming, progress: Progress) -> None:
    for camera, path in incoming.videos.paths.items():
        staged.add_video(camera, path)
        progress.advance()
    for camera, track in incoming.landmarks2d.tracks.items():
        staged.add_landmarks2d(camera, track)
        progress.advance()
    others = {
        "markers": request.markers,
        "marker_map": request.marker_map,
        "truth": request.truth,
        TIMESTAMPS: request.timestamps,
        **_recorder_files(request),
    }
    for role, file in others.items():
        if file is not None:
            staged.add_file(role, file)
    if request.markers is not None and request.world_axes is not None:
        with tempfile.TemporaryDirectory() as folder:
            axes = Path(folder, "world_axes.txt")
            axes.write_text(request.world_axes.text, encoding="utf-8")
            staged.add_file("world_axes", axes)
    progress.advance()


def _source(request: ImportRequest) -> str:
    if request.truth is not None:
        return "synthetic" if request.recording is None else "synthetic, of the frames that labsys recorded"
    if request.markers is not None:
        return f"3D markers of {request.markers.name}"
    parts = [w for w, given in (("videos", request.videos), ("2D landmarks", request.landmarks2d)) if given]
    return f"imported {' and '.join(parts)}"
