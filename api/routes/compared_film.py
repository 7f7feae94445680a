"""The film of two visits, side by side and locked by stride percentage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from sqlalchemy.orm import Session

from api.access.audit import record
from api.access.authenticate import actor_of
from api.access.faces import refuse_erased
from api.dependencies import DatabaseDep, LabDep, SessionDep
from api.documents import send
from api.errors import problem_responses
from api.jobs.kinds import JobKind
from api.jobs.queue import JobRequest, find_job, submit
from api.playback import describe_film, film_under_way, send_array
from api.queries import find_run, find_trial
from api.routes.playback import ARRAY, FILM, FacesDep, Version, refuse_if_settled
from api.routing import Router
from api.schemas.jobs import JobDocument
from api.schemas.playback import PairFilmDocument
from api.streaming import stream_file
from labsys.core.errors import UnknownNameError
from labsys.core.session import TrialName
from labsys.core.skeleton import Side
from labsys.storage.erasures import find_erasure
from labsys.storage.films import Faces, Film, film_video, has_film, load_film, load_film_landmarks, pair_film_key
from labsys.storage.lab import Lab
from labsys.storage.takes import Take, has_take, load_take

router = Router(prefix="/compare/film", tags=["playback"])

_TRIAL = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}/[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_THIGHS = (("GT", "LFE"), ("Hip", "Knee"))
Code = Annotated[str, Query(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", examples=["S01"])]
OneTrial = Annotated[str, Query(pattern=_TRIAL, description="session/trial", examples=["2026-11-22/run1"])]


@dataclass(frozen=True)
class Pair:
    """Two trials of a subject, the side whose strides lock them, and whether faces are shown."""

    pre: TrialName
    post: TrialName
    side: Side
    faces: Faces

    @property
    def query(self) -> str:
        """As addresses name it."""
        visits = "&".join(f"{k}={n.session}/{n.trial}" for k, n in (("pre", self.pre), ("post", self.post)))
        return f"subject={self.pre.subject}&{visits}&side={self.side}&faces={self.faces}"

    @property
    def parameters(self) -> dict[str, str]:
        """What a job is told beside its target."""
        return {"pre": str(self.pre), "side": self.side.value, "faces": self.faces.value}


def get_pair(subject: Code, pre: OneTrial, post: OneTrial, faces: FacesDep, side: Side = Side.RIGHT) -> Pair:
    """The trials that the query names; strides have a side, and both is taken for right."""
    names = [TrialName.parse(f"{subject}/{visit}") for visit in (pre, post)]
    return Pair(names[0], names[1], Side.RIGHT if side is Side.BOTH else side, faces)


PairDep = Annotated[Pair, Depends(get_pair)]


@router.get("", response_model=PairFilmDocument, responses=problem_responses(404))
def get_pair_film(request: Request, db: SessionDep, lab: LabDep, pair: PairDep) -> Response:
    """Where the film is, or how far it is; which panels show what."""
    return send(request, _document(db, lab, pair))


@router.get("/video", response_class=Response, responses={**problem_responses(404, 416, 429), **FILM})
def get_pair_video(request: Request, db: SessionDep, lab: LabDep, pair: PairDep, _version: Version = None) -> Response:
    """H.264 in MP4, by range: one frame per per cent of a stride."""
    key = _made(db, lab, pair)
    place, what = film_video(lab, pair.post, key), f"film of {pair.pre} and {pair.post}, faces {pair.faces}"
    return stream_file(request, place, what=what, sha256=key)


@router.get("/landmarks", response_class=Response, responses={**problem_responses(404), **ARRAY})
def get_pair_landmarks(request: Request, db: SessionDep, lab: LabDep, pair: PairDep) -> Response:
    """Where landmarks stand in the film: (frame, landmark of all panels in their order, axis), px of the film."""
    return send_array(request, load_film_landmarks(lab, pair.post, _made(db, lab, pair)))


@router.post("", status_code=202, response_model=JobDocument, responses=problem_responses(404, 409))
def make_pair_film(request: Request, database: DatabaseDep, lab: LabDep, pair: PairDep) -> Response:
    """Make the film; answers with the job that does. Asking while it is made answers with the same job."""
    with database.write() as session:
        found = _document(session, lab, pair)
        refuse_if_settled(found)
        if found.state == "making" and found.job is not None:
            document = JobDocument.of(find_job(session, found.job))
        else:
            actor, subject_id = actor_of(request), find_trial(session, pair.post).session.subject_id
            asked = JobRequest(JobKind.PAIR_FILM.value, str(pair.post), subject_id, pair.parameters)
            document = JobDocument.of(submit(session, actor.name, asked))
            record(session, actor, "job.submit", f"{document.id} {asked.kind} {asked.target}")
    return send(request, document, status=202, location=f"/api/v1/jobs/{document.id}")


def _document(db: Session, lab: Lab, pair: Pair) -> PairFilmDocument:
    key, erasure = _key(db, lab, pair), find_erasure(lab, pair.post.subject)
    if erasure is not None:
        return PairFilmDocument(state="impossible", faces=pair.faces, reason=erasure.says, side=pair.side)
    if not key:
        reason = "one of the two visits has no videos"
        return PairFilmDocument(state="impossible", faces=pair.faces, reason=reason, side=pair.side)
    if not has_film(lab, pair.post, key):
        found = film_under_way(db, JobKind.PAIR_FILM, pair.post, pair.parameters)
        return PairFilmDocument(**found.model_dump(), side=pair.side)
    film, base = load_film(lab, pair.post, key), "/api/v1/compare/film"
    whole = describe_film(
        film, video=f"{base}/video?{pair.query}&v={key}", landmarks_at=f"{base}/landmarks?{pair.query}"
    )
    return PairFilmDocument(
        **whole.model_dump(),
        side=pair.side,
        rate_hz=film.rate_hz,
        n_frames=film.n_frames,
        thighs=_thighs(film, pair.side),
    )


def _thighs(film: Film, side: Side) -> list[tuple[int, int] | None]:
    """Per panel which landmarks are hip and knee of the side, by the names of either landmark set."""
    return [_places(camera.landmarks, side) for camera in film.cameras]


def _places(landmarks: tuple[str, ...], side: Side) -> tuple[int, int] | None:
    for hip, knee in _THIGHS:
        ends = (side.letter + hip, side.letter + knee)
        if set(ends) <= set(landmarks):
            return landmarks.index(ends[0]), landmarks.index(ends[1])
    return None


def _made(db: Session, lab: Lab, pair: Pair) -> str:
    key = _key(db, lab, pair)
    refuse_erased(lab, pair.post.subject)
    if not key or not has_film(lab, pair.post, key):
        raise UnknownNameError("film", f"{pair.pre} and {pair.post}", valid=())
    return key


def _key(db: Session, lab: Lab, pair: Pair) -> str:
    runs = [find_run(db, name).run for name in (pair.pre, pair.post)]
    takes = [load_take(lab, n) if has_take(lab, n) else Take(rate_hz=1.0) for n in (pair.pre, pair.post)]
    return pair_film_key(list(zip(takes, runs, strict=True)), pair.side, pair.faces)
