"""What people write after `labsys calibrate`, as the values that the pipeline takes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from api.commands.terminal import Terminal, parse_pairs, root_lab
from labsys.core.errors import InputError, UnknownNameError
from labsys.storage.templates import find_template

if TYPE_CHECKING:
    from labsys.capture.rig import Rig
    from labsys.capture.tags import TagSet
    from labsys.core.board import Board
    from labsys.storage.lab import Lab
    from pipelines.calibrating.placement import GravitySource, LabRequest, LabSource
    from pipelines.calibrating.source import CalibrationSource

_FRAMES = re.compile(r"(\d+)-(\d+)")


@dataclass(frozen=True)
class PlacingWords:
    """The options that say where LAB is, as they were written."""

    world_axes: str | None = None
    belt_board: str | None = None
    lab_points: Path | None = None
    tags: str | None = None
    level_board: str | None = None
    plumb_line: Path | None = None
    belt_level_sd_deg: float | None = None
    feet: str | None = None


def lab_if_any(terminal: Terminal) -> Lab | None:
    """The lab that was named, else the nearest upwards, else none."""
    from labsys.storage.lab import LAB_FILE

    if terminal.lab_path is not None or root_lab.get() is not None:
        return terminal.open_lab()
    here = Path.cwd()
    return terminal.open_lab() if any((folder / LAB_FILE).is_file() for folder in (here, *here.parents)) else None


def cache_folder(terminal: Terminal, *, use: bool) -> Path | None:
    """Where found boards are kept: in the lab where there is one, else where programs of this user keep such things."""
    from pipelines.calibrating.detection_cache import user_cache_folder

    if not use:
        return None
    lab = lab_if_any(terminal)
    return user_cache_folder() if lab is None else lab.root / "cache" / "detections"


def load_board(terminal: Terminal, text: str) -> Board:
    """A board file by its path, else by its name in the lab's boards/."""
    from labsys.capture.board_file import load_board_config

    return load_board_config(template_path(terminal, text, "board"))


def load_tag_set(terminal: Terminal, text: str) -> TagSet:
    """A tag set by its path, else by its name in the lab's tags/."""
    from labsys.capture.tags import load_tags

    return load_tags(template_path(terminal, text, "tag"))


def load_rig(terminal: Terminal, text: str) -> Rig:
    """A rig file by its path, else by its name in the lab's rigs/."""
    from labsys.capture.rig import load_rig_config

    return load_rig_config(template_path(terminal, text, "rig"))


def template_path(terminal: Terminal, text: str, kind: str) -> Path:
    """A YAML file by its path, else by its name in the lab's folder of that kind (UnknownNameError otherwise)."""
    path = Path(text).expanduser()
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or path.is_file():
        return path
    return find_template(terminal.open_lab(), kind, text)


def find_source(terminal: Terminal, take: str | None, videos: Sequence[str]) -> CalibrationSource:
    """The videos to work on: of a stored take, or given one by one (InputError: neither, or both)."""
    from pipelines.calibrating.source import CalibrationSource, find_take

    if take is not None and videos:
        raise InputError("both a take and --videos were given", remedy="Give one of them")
    if take is not None:
        return find_take(take, lab_if_any(terminal))
    if not videos:
        raise InputError("nothing to calibrate from", remedy="Give --videos cam0=PATH cam1=PATH, or the name of a take")
    pairs = parse_pairs(videos, "--videos", "cam0=PATH cam1=PATH")
    return CalibrationSource({camera: Path(path).expanduser() for camera, path in pairs.items()})


def board_path(terminal: Terminal, text: str | None, source: CalibrationSource) -> Path:
    """The board file that was named, else the one kept with the take."""
    if text is not None:
        return template_path(terminal, text, "board")
    if source.board is None:
        raise InputError("which board is in the videos?", remedy="Give --board FILE, or its name in the lab's boards/")
    return source.board


def read_placing(terminal: Terminal, words: PlacingWords) -> LabRequest:
    """What says where LAB is (InputError: options that contradict, or are not understood)."""
    from pipelines.calibrating.feet import load_feet_run
    from pipelines.calibrating.placement import LabRequest

    level = words.belt_level_sd_deg
    if level is not None and not 0 <= level < 20:
        raise InputError(f"{level:g} degrees cannot be", where="--belt-level-sd", remedy="Write for example 0.3")
    if level is not None and (words.level_board or words.plumb_line):
        raise InputError("gravity is measured and stated too", remedy="Leave --belt-level-sd out")
    return LabRequest(
        source=_lab_source(terminal, words),
        gravity=_gravity_source(words),
        belt_level_sd_rad=None if level is None else math.radians(level),
        feet=None if words.feet is None else load_feet_run(terminal.open_lab(), words.feet),
    )


def _lab_source(terminal: Terminal, words: PlacingWords) -> LabSource | None:
    from calibration.align import WorldAxes
    from pipelines.calibrating.marked_points import load_lab_points

    options = {
        "--world-axes": words.world_axes,
        "--belt-board": words.belt_board,
        "--lab-points": words.lab_points,
        "--tags": words.tags,
    }
    given = [option for option, value in options.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"both {given[0]} and {given[1]} were given", remedy="Give one of them")
    if words.world_axes is not None:
        return WorldAxes.parse(words.world_axes)
    if words.lab_points is not None:
        return load_lab_points(words.lab_points)
    if words.tags is not None:
        return load_tag_set(terminal, words.tags)
    return None if words.belt_board is None else _belt_board(words.belt_board)


def _belt_board(text: str) -> LabSource:
    from calibration.placing.lab_frame import BoardDirection
    from pipelines.calibrating.placement import BeltBoard

    found = re.fullmatch(rf"(\w+):{_FRAMES.pattern}", text.strip().lower())
    if found is None:
        raise InputError(f"'{text}' is not understood", where="--belt-board", remedy="Write forward:0-30")
    directions = [d.value for d in BoardDirection]
    if found[1] not in directions:
        raise UnknownNameError("direction", found[1], valid=directions, where="--belt-board")
    return BeltBoard(BoardDirection(found[1]), int(found[2]), int(found[3]))


def _gravity_source(words: PlacingWords) -> GravitySource | None:
    from pipelines.calibrating.marked_points import load_plumb_line
    from pipelines.calibrating.placement import Frames, LevelBoard

    if words.level_board is not None and words.plumb_line is not None:
        raise InputError("both --level-board and --plumb-line were given", remedy="Give one of them")
    if words.plumb_line is not None:
        return load_plumb_line(words.plumb_line)
    if words.level_board is None:
        return None
    found = _FRAMES.fullmatch(words.level_board.strip())
    if found is None:
        raise InputError(f"'{words.level_board}' is not understood", where="--level-board", remedy="Write 0-30")
    return LevelBoard(Frames(int(found[1]), int(found[2])))


def read_reason(text: str | None) -> str:
    """Why a refusal is set aside (InputError where it is empty)."""
    if text is not None and not text.strip():
        raise InputError("an override needs a reason", where="--override", remedy="Say why, it stays on record")
    return (text or "").strip()
