"""Board files: YAML to the core's Board."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from labsys.capture.strict_yaml import Section, parse_section, read_mapping
from labsys.core.board import Board
from labsys.core.errors import InputError, UnknownNameError

Length = Annotated[float, Field(gt=0, lt=2, allow_inf_nan=False)]


class BoardFile(Section):
    """A ChArUco board as people write it."""

    section: ClassVar[str] = "board"
    kind: Literal["charuco"]
    columns: Annotated[int, Field(ge=3, le=100)]
    rows: Annotated[int, Field(ge=3, le=100)]
    square_m: Length
    marker_m: Length
    dictionary: str
    inverted: bool = False
    legacy_pattern: bool = False
    mirrored_back: bool = False


def load_board_config(path: Path) -> Board:
    """Read a board file.

    Raises:
        UnknownNameError: an unknown key or dictionary; names the nearest valid one.
        InputError: unreadable, or sizes that do not fit (metres, marker smaller than square).
    """
    written = parse_section(BoardFile, read_mapping(path), path=path)
    try:
        return Board(**written.model_dump(exclude={"kind"}))
    except UnknownNameError:
        raise
    except InputError as error:
        raise InputError(error.what, where=str(path), remedy=error.remedy) from error
