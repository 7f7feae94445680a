"""Stable identities of nouns."""

from __future__ import annotations

import os
import time
import uuid


def new_uuid() -> str:
    """A new UUID of version 7 (RFC 9562): 48 bits of milliseconds since 1970, then random; sorts by time of making."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))
