"""A trial moment by moment: the film of its cameras, skeleton and angles, on one clock."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from api.access.audit import record
from api.access.authenticate import actor_of
from api.access.faces import faces_for, refuse_erased
from api.dependencies import DatabaseDep, LabDep, SessionDep, TrialNameDep
from api.documents import send
from api.errors import RefusedError, problem_responses
from api.jobs.kinds import JobKind
from api.jobs.queue import JobRequest, find_job, submit
from api.playback import find_film, load_playback, send_array
from api.queries import find_run, find_trial
from api.routing import Router
from api.schemas.jobs import JobDocument
from api.schemas.playback import FilmDocument, PlaybackDocument
from api.streaming import STREAMED, stream_file
from labsys.core.errors import UnknownNameError
from labsys.core.session import TrialName
from labsys.storage.films import Faces, film_video, has_film, load_film_landmarks, trial_film_key
from labsys.storage.lab import Lab
from labsys.storage.takes import has_take, load_take

router = Router(prefix="/trials/{subject}/{session}/{trial}/playback", tags=["playback"])

ARRAY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "32-bit floats, little-endian"},
    304: {"description": "You hold it already"},
}
FILM: dict[int | str, dict[str, Any]] = {
    code: said | ({"content": {"video/mp4": {}}} if "content" in said else {}) for code, said in STREAMED.items()
}
Version = Annotated[
    str | None,
    Query(alias="v", max_length=64, description="Of the film that is meant: another one has another address"),
]


def get_faces(
    request: Request,
    faces: Annotated[Faces | None, Query(description="Of the film; shown, unless you may see none")] = None,
) -> Faces:
    """The film that is meant: the one that shows faces, or the one in which they are blurred (RefusedError 403)."""
    return faces_for(request, faces)


FacesDep = Annotated[Faces, Depends(get_faces)]


@router.get("", response_model=PlaybackDocument, responses=problem_responses(404))
def get_playback(request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep, faces: FacesDep) -> Response:
    """The clock, the skeleton's names and bones, strides, and where arrays and film are."""
    return send(request, load_playback(db, lab, name, find_run(db, name).run, faces).document)


@router.get("/skeleton", response_class=Response, responses={**problem_responses(404), **ARRAY})
def get_skeleton(request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep) -> Response:
    """Every landmark at every moment: (moment, landmark, axis), m in LAB (X forward, Y up, Z to the right)."""
    return send_array(request, load_playback(db, lab, name, find_run(db, name).run).skeleton)


@router.get("/angles", response_class=Response, responses={**problem_responses(404), **ARRAY})
def get_angles(request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep) -> Response:
    """Every angle at every moment: (angle, moment), in the unit that its row of the document says."""
    return send_array(request, load_playback(db, lab, name, find_run(db, name).run).angles)


@router.get("/landmarks", response_class=Response, responses={**problem_responses(404), **ARRAY})
def get_landmarks(request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep, faces: FacesDep) -> Response:
    """Where landmarks stand in the film: (moment, landmark of all panels in their order, axis), px of the film."""
    return send_array(request, load_film_landmarks(lab, name, _made_film(lab, name, find_run(db, name).run, faces)))


@router.get("/film", response_class=Response, responses={**problem_responses(404, 416, 429), **FILM})
def get_film(
    request: Request, db: SessionDep, lab: LabDep, name: TrialNameDep, faces: FacesDep, _version: Version = None
) -> Response:
    """All cameras' pictures side by side on the trial's clock, H.264 in MP4, by range."""
    key = _made_film(lab, name, find_run(db, name).run, faces)
    what = f"film of {name}, faces {faces}"
    return stream_file(request, film_video(lab, name, key), what=what, sha256=key)


@router.post("/film", status_code=202, response_model=JobDocument, responses=problem_responses(404, 409))
def make_film(request: Request, database: DatabaseDep, lab: LabDep, name: TrialNameDep, faces: FacesDep) -> Response:
    """Make the film; answers with the job that does. Asking while it is made answers with the same job."""
    with database.write() as session:
        trial = find_trial(session, name)
        found = find_film(session, lab, name, find_run(session, name).run, faces)
        refuse_if_settled(found)
        if found.state == "making" and found.job is not None:
            document = JobDocument.of(find_job(session, found.job))
        else:
            actor = actor_of(request)
            parameters = {"faces": faces.value}
            asked = JobRequest(JobKind.FILM.value, str(name), trial.session.subject_id, parameters)
            document = JobDocument.of(submit(session, actor.name, asked))
            record(session, actor, "job.submit", f"{document.id} {asked.kind} {asked.target}")
    return send(request, document, status=202, location=f"/api/v1/jobs/{document.id}")


def refuse_if_settled(found: FilmDocument) -> None:
    """RefusedError 409 where a film is there, or cannot be made."""
    if found.state == "impossible":
        raise RefusedError(HTTPStatus.CONFLICT, "no-videos", found.reason or "", remedy="Import the videos too")
    if found.state == "ready":
        raise RefusedError(HTTPStatus.CONFLICT, "made-already", "the film is there", remedy=f"Ask for {found.href}")


def _made_film(lab: Lab, name: TrialName, run: str, faces: Faces) -> str:
    refuse_erased(lab, name.subject)
    key = trial_film_key(load_take(lab, name), run, faces) if has_take(lab, name) else ""
    if not key or not has_film(lab, name, key):
        raise UnknownNameError("film", str(name), valid=())
    return key
