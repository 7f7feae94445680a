"""`labsys calibrate --check`: whether a calibration still holds, or which camera moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.commands.calibrating_options import board_path, cache_folder, find_source, lab_if_any, load_tag_set
from api.commands.terminal import Terminal
from labsys.core.errors import InputError

if TYPE_CHECKING:
    from labsys.core.cameras import Calibration
    from labsys.storage.lab import Lab
    from pipelines.calibrating.source import CalibrationSource


def run_check(
    terminal: Terminal,
    take: str | None,
    videos: Sequence[str],
    board: str | None,
    timestamps: Path | None,
    *,
    tags: str | None,
    calibration: str | None,
    cache: bool,
) -> None:
    """Check, keep what was found beside the lab's calibration, and leave with 0 when it still is valid, else 3."""
    from labsys.capture.board_file import load_board_config
    from pipelines.calibrating.check import CheckRequest, check_calibration
    from pipelines.calibrating.recorded import keep_check

    source = find_source(terminal, take, videos)
    lab, name, known, in_lab = _find_calibration(terminal, calibration, source)
    if tags is not None and not in_lab:
        raise InputError(
            "tags say how the treadmill stands in LAB, and this calibration is not placed there",
            where=name,
            remedy="Leave --tags out, or give a calibration that is placed",
        )
    request = CheckRequest(
        calibration=known,
        name=name,
        videos=source.videos,
        board=load_board_config(board_path(terminal, board, source)),
        timestamps=timestamps or source.timestamps,
        tags=None if tags is None else load_tag_set(terminal, tags),
        cache=cache_folder(terminal, use=cache),
    )
    with terminal.progress() as progress:
        outcome = check_calibration(request, progress=progress)
    document = dict(outcome.document)
    if lab is not None:
        document = keep_check(lab, name, outcome)
        if document["repair"] is not None and document["repair"]["confirmed_by"]:
            terminal.say(f"the repaired pose of {document['repair']['camera']} is confirmed; process its trials again")
    for remark in document["remarks"]:
        terminal.say(str(remark))
    if outcome.refusal is not None and not terminal.as_json:
        terminal.give(document, _table(document))
        raise outcome.refusal
    terminal.give(document, f"{_table(document)}\nstill valid: {document['reason']}")
    if outcome.refusal is not None:
        raise outcome.refusal


def _find_calibration(
    terminal: Terminal, text: str | None, source: CalibrationSource
) -> tuple[Lab | None, str, Calibration, bool]:
    """The lab, where the calibration is one of its own; the calibration's name or path; it, and whether it is in LAB.

    Where cameras stand against each other can be checked in any world, so none needs to be placed in LAB.
    """
    from calibration.formats import read_as_written
    from labsys.storage.calibrations import calibration_folder, latest_calibration

    path = Path(text).expanduser() if text else None
    if path is not None and (path.suffix or len(path.parts) > 1):
        return None, str(path), *read_as_written(path)
    lab = lab_if_any(terminal) or terminal.open_lab()
    name = text or source.calibration or latest_calibration(lab)
    return lab, name, *read_as_written(calibration_folder(lab, name) / "calibration.toml")


def _table(document: Mapping[str, Any]) -> str:
    from api.commands.text_table import format_number, format_table

    headers = ("camera", "boards", "turned deg", "shifted mm", "image px", "")
    rows = [
        (name, c["boards"],
         f"{format_number(c['turn_deg'], 2)} ± {format_number(c['turn_sd_deg'], 2)}",
         f"{format_number(c['shift_mm'], 1)} ± {format_number(c['shift_sd_mm'], 1)}",
         f"{format_number(c['image_px'], 1)} ± {format_number(c['image_sd_px'], 1)}",
         "MOVED" if c["moved"] else "" if c["checked"] else "not checked")
        for name, c in document["cameras"].items()
    ]  # fmt: skip
    return f"checked {document['calibration']}\n{format_table(headers, rows, right=headers[1:5])}"
