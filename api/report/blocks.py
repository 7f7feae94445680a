"""What a report is made of: plain text in blocks, the same for PDF and HTML. Nothing here is markup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

FOOTER = "labsys measures movement; it is not a medical device and makes no diagnosis."


@dataclass(frozen=True)
class Facts:
    """Labels with what is known of each."""

    rows: tuple[tuple[str, str], ...]
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Words:
    """A paragraph. `head`: what it begins with, in bold; `warning`: to be read before the numbers."""

    text: str
    head: str = ""
    warning: bool = False
    kind: Literal["words"] = "words"


@dataclass(frozen=True)
class Table:
    """Rows under headers. `wide`: columns that share the room that is left; `right`: columns of numbers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: tuple[int, ...]
    right: tuple[int, ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Picture:
    """A drawing as SVG with its title, and what it shows in words."""

    title: str
    description: str
    svg: str


@dataclass(frozen=True)
class Pictures:
    """Drawings beside each other. `note`: how to read them."""

    pictures: tuple[Picture, ...]
    columns: int
    note: str
    kind: Literal["pictures"] = "pictures"


Block = Facts | Words | Table | Pictures


@dataclass(frozen=True)
class Section:
    """Blocks under a heading; "" for those at the beginning."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report. `made_at`: when the newest of its runs was made, so that equal content gives equal bytes."""

    title: str
    about: str
    made_at: datetime
    sections: tuple[Section, ...]
    footer: str = FOOTER
