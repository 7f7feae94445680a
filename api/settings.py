"""How the service listens, read once at the edge: arguments first, then LABSYS_* of the environment."""

from __future__ import annotations

import ipaddress
import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from labsys.core.errors import InputError


def is_loopback(host: str) -> bool:
    """Whether a host name or address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class ServiceSettings(BaseSettings):
    """Strict and frozen; an unknown argument is refused.

    Attributes:
        host, port: where to listen. Beyond this machine only once there are credentials (`refuse_open_doors`).
        allowed_hosts: names that requests may call the service by, besides this machine's and `host`.
        cors_origins: pages of other origins that may ask with a key. Never with a cookie.
        secure_cookies: True where a proxy in front speaks HTTPS; the browser then sends the cookie over HTTPS alone.
        blur_faces: films show no faces, to nobody, and recordings are not given out.
        max_body_bytes: a larger request body is refused with 413.
        max_upload_bytes: the same, for one uploaded file.
    """

    model_config = SettingsConfigDict(env_prefix="LABSYS_", extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8000, ge=0, le=65535)
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    secure_cookies: bool = False
    blur_faces: bool = False
    max_body_bytes: int = Field(default=1 << 20, ge=1024)
    max_upload_bytes: int = Field(default=32 << 30, ge=1024)

    @field_validator("cors_origins")
    @classmethod
    def _names_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+", origin):
                raise ValueError(f"'{origin}' is no origin; write https://host, without a path, and never *")
        return origins

    def refuse_open_doors(self, *, has_credentials: bool) -> None:
        """Refuse to listen where strangers could come in.

        Raises:
            InputError: other machines reach `host`, and there is no user or key yet, or no name to call it by.
        """
        if is_loopback(self.host):
            return
        if not has_credentials:
            raise InputError(
                f"'{self.host}' can be reached from other machines, and this lab has no credentials yet",
                remedy="Make a user first (labsys user add NAME --role admin), or use 127.0.0.1 and an SSH tunnel",
            )
        if self.host in ("0.0.0.0", "::") and not self.allowed_hosts:
            raise InputError(
                f"'{self.host}' is every address, and no name says which requests are meant for this service",
                remedy="Name them: LABSYS_ALLOWED_HOSTS='[\"lab.example\"]'",
            )

    def answers_to(self, name: str) -> bool:
        """Whether a request may call the service by this host name."""
        return is_loopback(name) or name.lower() in {n.lower() for n in (self.host, *self.allowed_hosts)}
