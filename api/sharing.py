"""What a read-only link to a subject shows of faces: said before it is handed on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.access.faces import RECORDING
from api.database.tables import FileRow, SessionRow, SubjectRow, TrialRow
from api.playback import find_film
from api.schemas.access import SharedFilm
from labsys.core.session import TrialName
from labsys.storage.erasures import find_erasure
from labsys.storage.films import BlurredFaces, Faces
from labsys.storage.lab import Lab
from pipelines.playback.faces_told import tell_blurred


def shared_films(db: Session, lab: Lab, subject: SubjectRow) -> list[SharedFilm]:
    """The films with blurred faces of a subject's trials that were processed and have videos, by time; none of somebody
    erased."""
    if find_erasure(lab, subject.code) is not None:
        return []
    has_video = select(FileRow.path).where(FileRow.trial_id == TrialRow.id, FileRow.kind == RECORDING).exists()
    statement = select(TrialRow).join(TrialRow.session).where(SessionRow.subject_id == subject.id, has_video)
    trials = db.scalars(statement.where(TrialRow.current_run.is_not(None)).order_by(TrialRow.recorded_at))
    return [_shared(db, lab, trial) for trial in trials]


def _shared(db: Session, lab: Lab, trial: TrialRow) -> SharedFilm:
    name = TrialName(trial.session.subject.code, trial.session.code, trial.code)
    film = find_film(db, lab, name, str(trial.current_run), Faces.BLURRED)
    told = film.blurred
    if told is None:
        return SharedFilm(trial=str(name), state=film.state)
    return SharedFilm(
        trial=str(name), state=film.state, pictures=told.pictures, not_found=told.not_found, hidden=told.hidden
    )


def tell_shared(films: Sequence[SharedFilm]) -> str:
    """What whoever hands a link on should know of the faces in it; "" where there is no film."""
    ready = [f for f in films if f.pictures is not None]
    if not ready:
        return ""
    counts = [BlurredFaces(f.pictures or 0, f.not_found or 0, f.hidden or 0) for f in ready]
    return tell_blurred(sum(counts, BlurredFaces(0, 0, 0)))
