"""How the service listens, read once at the edge: arguments first, then LABSYS_* of the environment."""

from __future__ import annotations

import ipaddress

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
        host, port: where to listen. There are no credentials yet, therefore nothing beyond this machine may ask.
        max_body_bytes: a larger request body is refused with 413.
    """

    model_config = SettingsConfigDict(env_prefix="LABSYS_", extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    max_body_bytes: int = Field(default=1 << 20, ge=1024)

    @field_validator("host")
    @classmethod
    def _stays_on_this_machine(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError(
                f"'{host}' can be reached from other machines, and this labsys has no credentials yet; "
                "use 127.0.0.1, and an SSH tunnel from elsewhere"
            )
        return host
