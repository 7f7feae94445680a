"""Who may recognise a runner: nobody who came by a read-only link, and nobody at all where the lab blurs every face.

Only films are blurred. Recordings as they were taken are kept from those who may not recognise anybody. Of a subject
who was erased nobody is given a recording, or a film that was made of one.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import Request

from api.access.authenticate import principal_of
from api.access.roles import Means
from api.errors import RefusedError
from api.settings import ServiceSettings
from labsys.storage.erasures import find_erasure
from labsys.storage.films import Faces
from labsys.storage.lab import Lab

# Kind of the files of a take that show people.
RECORDING = "video"


def must_blur(request: Request) -> bool:
    """Whether the one who asks may see no face."""
    settings: ServiceSettings = request.app.state.settings
    return settings.blur_faces or principal_of(request).means is Means.LINK


def faces_for(request: Request, asked: Faces | None) -> Faces:
    """The faces that the one who asks is shown; without a wish, as they may be seen.

    Raises:
        RefusedError: 403, faces are asked for by somebody who may see none.
    """
    if not must_blur(request):
        return asked or Faces.SHOWN
    if asked is Faces.SHOWN:
        raise _refusal("the film in which faces are shown")
    return Faces.BLURRED


def refuse_recording(request: Request, kind: str) -> None:
    """RefusedError 403 where a file shows people, and the one who asks may recognise nobody."""
    if kind == RECORDING and must_blur(request):
        raise _refusal("a recording as it was taken")


def refuse_erased(lab: Lab, subject: str) -> None:
    """RefusedError 404 where a subject's recordings are hidden or removed, whoever asks; it says until when."""
    erasure = find_erasure(lab, subject)
    if erasure is not None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "erased", erasure.says)


def may_see_recordings(request: Request, lab: Lab, subject: str) -> bool:
    """Whether the one who asks is given recordings of a subject as they were taken."""
    return not must_blur(request) and find_erasure(lab, subject) is None


def _refusal(what: str) -> RefusedError:
    return RefusedError(
        HTTPStatus.FORBIDDEN,
        "faces-blurred",
        f"{what} is not given out here, because people can be recognised in it",
        remedy="Look at the film with blurred faces: faces=blurred",
    )
