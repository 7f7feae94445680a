"""How many days that which is to go is kept, unless somebody says otherwise: long enough to notice a mistake."""

from __future__ import annotations

ERASED = 30
BINNED = 30
