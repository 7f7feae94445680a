"""A run moment by moment: skeleton, angles and strides on the trial's clock, from the run's files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.database.tables_owned import JobRow
from api.documents import holds
from api.jobs.kinds import JobKind, faces_of
from api.jobs.queue import JobState
from api.schemas.playback import (
    ArrayDocument,
    BlurredDocument,
    FilmDocument,
    NumberDocument,
    PanelDocument,
    PlaybackDocument,
    PlayedAngle,
    PlayedStride,
)
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import find_angle
from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import AngleSeries
from labsys.core.session import TrialName
from labsys.core.skeleton import find_bones, side_of
from labsys.core.units import to_outside_array
from labsys.storage.erasures import find_erasure
from labsys.storage.film_layout import NUMBER_BITS, NUMBER_BLOCK_PX
from labsys.storage.films import Faces, Film, FilmedCamera, has_film, load_film, trial_film_key
from labsys.storage.lab import Lab
from labsys.storage.motion_tables import read_angles
from labsys.storage.results import LANDMARKS3D_FILE, read_landmarks3d
from labsys.storage.runs import run_file
from labsys.storage.stride_tables import read_strides
from labsys.storage.takes import Take, has_take, load_take
from pipelines.playback.faces_told import tell_blurred

_NO_VIDEOS = "this trial has no videos, only 2D landmarks or markers"


@dataclass(frozen=True, eq=False)
class Playback:
    """The document and its arrays. skeleton: (T, K, 3) m in LAB; angles: (A, T) in outside units."""

    document: PlaybackDocument
    skeleton: FloatArray
    angles: FloatArray


def load_playback(db: Session, lab: Lab, name: TrialName, run: str, faces: Faces = Faces.SHOWN) -> Playback:
    """One run of a trial for a player, and the film that shows faces or does not.

    Raises:
        UnknownNameError: no such run. InputError: its files cannot be read.
    """
    landmarks = read_landmarks3d(run_file(lab, name, run, LANDMARKS3D_FILE))
    angles = read_angles(run_file(lab, name, run, "angles.parquet"))
    chosen = [(s, _reported(s)) for s in angles.series]
    chosen = [(s, values) for s, values in chosen if np.isfinite(values).any()]
    times_s = landmarks.times_s - landmarks.times_s[0]
    if angles.times_s.size != times_s.size:
        raise InputError(f"angles and landmarks of trial {name} are not of the same moments", where=f"run {run}")
    rows = [to_outside_array(v, find_angle(s.id).unit) for s, v in chosen]
    base = f"/api/v1/trials/{name}/playback"
    document = PlaybackDocument(
        trial=str(name),
        run=run,
        rate_hz=landmarks.rate_hz if times_s.size > 1 else 1.0,
        n_frames=times_s.size,
        landmarks=list(landmarks.landmarks),
        sides=[side_of(n) for n in landmarks.landmarks],
        bones=list(find_bones(landmarks.landmarks)),
        skeleton=ArrayDocument(href=f"{base}/skeleton", shape=list(landmarks.xyz_m.shape), unit="m"),
        angles=[PlayedAngle(id=s.id, side=s.side, unit=find_angle(s.id).unit.value) for s, _ in chosen],
        angle_values=ArrayDocument(href=f"{base}/angles", shape=[len(rows), times_s.size], unit="as its row says"),
        strides=_strides(lab, name, run, landmarks),
        film=find_film(db, lab, name, run, faces),
    )
    return Playback(document, landmarks.xyz_m, np.array(rows).reshape(len(rows), times_s.size))


def find_film(db: Session, lab: Lab, name: TrialName, run: str, faces: Faces) -> FilmDocument:
    """Where the film of a run is, or how far it is."""
    erasure = find_erasure(lab, name.subject)
    if erasure is not None:
        return FilmDocument(state="impossible", faces=faces, reason=erasure.says)
    take = load_take(lab, name) if has_take(lab, name) else Take(rate_hz=1.0)
    key = trial_film_key(take, run, faces)
    if not key:
        return FilmDocument(state="impossible", faces=faces, reason=_NO_VIDEOS)
    if has_film(lab, name, key):
        return _ready(lab, name, key, faces)
    return film_under_way(db, JobKind.FILM, name, {"faces": faces.value})


def film_under_way(db: Session, kind: JobKind, name: TrialName, parameters: Mapping[str, Any]) -> FilmDocument:
    """Of a film that is not there: whether a job makes it, or failed to. A job is told by what it was given."""
    statement = select(JobRow).where(JobRow.kind == kind.value, JobRow.target == str(name))
    latest = db.scalars(statement.order_by(JobRow.submitted_at.desc(), JobRow.id.desc()).limit(20))
    faces = faces_of(parameters)
    job = next((j for j in latest if parameters.items() <= {"faces": Faces.SHOWN, **j.parameters}.items()), None)
    if job is None or job.state in (JobState.DONE, JobState.CANCELLED):
        return FilmDocument(state="none", faces=faces)
    if job.state == JobState.FAILED:
        return FilmDocument(state="failed", faces=faces, reason=job.error, job=job.id)
    return FilmDocument(state="making", faces=faces, job=job.id)


def _ready(lab: Lab, name: TrialName, key: str, faces: Faces) -> FilmDocument:
    base, asked = f"/api/v1/trials/{name}/playback", f"faces={faces}"
    film = load_film(lab, name, key)
    return describe_film(film, video=f"{base}/film?{asked}&v={key}", landmarks_at=f"{base}/landmarks?{asked}")


def describe_film(film: Film, *, video: str, landmarks_at: str) -> FilmDocument:
    """A film that is there, and where its video and its landmarks are."""
    panels, first = [], 0
    for camera in film.cameras:
        panels.append(_panel(camera, first))
        first += len(camera.landmarks)
    landmarks = ArrayDocument(href=landmarks_at, shape=[film.n_frames, first, 2], unit="px of the film")
    return FilmDocument(
        state="ready",
        faces=Faces.SHOWN if film.blurred is None else Faces.BLURRED,
        blurred=_describe_blurred(film),
        href=video,
        size_px=film.size_px,
        number=NumberDocument(top=film.number_top_px, bits=NUMBER_BITS, block_px=NUMBER_BLOCK_PX),
        panels=panels,
        landmarks=landmarks,
        notes=list(film.notes),
    )


def _describe_blurred(film: Film) -> BlurredDocument | None:
    found = film.blurred
    if found is None:
        return None
    cameras: dict[str, int] = {}
    for c in film.cameras:
        cameras[c.camera] = cameras.get(c.camera, 0) + (c.blurred.not_found if c.blurred else 0)
    return BlurredDocument(**asdict(found), cameras=cameras, says=tell_blurred(found))


def _panel(filmed: FilmedCamera, first: int) -> PanelDocument:
    place = filmed.panel
    return PanelDocument(
        camera=filmed.camera,
        left=place.left,
        top=place.top,
        width=place.width,
        height=place.height,
        first_landmark=first,
        landmarks=list(filmed.landmarks),
        sides=[side_of(n) for n in filmed.landmarks],
        bones=list(find_bones(filmed.landmarks)),
    )


def _reported(series: AngleSeries) -> FloatArray:
    """(T,) rad as curves and metrics have it: the change from standing where the catalogue says so."""
    return series.ref_rad if find_angle(series.id).static_referenced else series.raw_rad


def _strides(lab: Lab, name: TrialName, run: str, landmarks: Landmarks3D) -> list[PlayedStride]:
    start_s = float(landmarks.times_s[0])
    return [
        PlayedStride(
            side=s.side,
            begins_s=s.foot_strike_s - start_s,
            toe_off_s=s.toe_off_s - start_s,
            ends_s=s.next_foot_strike_s - start_s,
            counts=s.valid,
        )
        for s in read_strides(run_file(lab, name, run, "strides.parquet"))
    ]


def send_array(request: Request, values: NDArray[np.floating]) -> Response:
    """An array as `ArrayDocument` describes it; 304 where the client holds it already."""
    body = np.ascontiguousarray(values, dtype="<f4").tobytes()
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if holds(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/octet-stream", headers=headers)
