"""Whether a request comes from this machine itself and from none of the pages that other origins show there.

A lab without users is open to such requests alone. A proxy on this machine would pass on what others ask, so whatever
says that it was passed on does not count; neither does a page of an origin that may ask with a key. A proxy that says
nothing looks like this machine: who puts one in front adds a user first (docs/settings.md).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request

from api.settings import is_loopback

_PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


def is_from_own_machine(request: Request) -> bool:
    """Whether the peer is this machine, nobody passed the request on, and no page of another origin sent it."""
    peer = request.client
    return (
        peer is not None
        and is_loopback(peer.host)
        and not any(name in request.headers for name in _PASSED_ON)
        and is_own_origin(request.headers)
    )


def is_own_origin(headers: Headers) -> bool:
    """Whether no page sent the request, or one of this service itself."""
    origin = headers.get("origin")
    return origin is None or _authority_of(origin) == headers.get("host", "").lower()


def _authority_of(address: str) -> str:
    try:
        return urlsplit(address).netloc.lower()
    except ValueError:
        return ""
