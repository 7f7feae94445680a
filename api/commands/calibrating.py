"""`labsys calibrate`: from videos of a board to a calibrated rig, and whether a calibration still holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from api.commands.calibrating_arguments import (
    BeltBoardOption,
    BeltLevelSdOption,
    BoardOption,
    CalibrationOption,
    CheckOption,
    EngineName,
    EngineOption,
    FeetOption,
    GradesOption,
    IntrinsicsOption,
    KnownLengthOption,
    LabPointsOption,
    LensModelOption,
    LensName,
    LevelBoardOption,
    NoCacheOption,
    OutOption,
    OverrideOption,
    PlumbLineOption,
    RigOption,
    SaveOption,
    SurveyTagsOption,
    TagsOption,
    TakeArgument,
    TimestampsOption,
    VideosOption,
    WorldAxesOption,
)
from api.commands.calibrating_options import (
    PlacingWords,
    board_path,
    cache_folder,
    find_source,
    load_rig,
    load_tag_set,
    read_placing,
    read_reason,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import InputError

if TYPE_CHECKING:
    from pipelines.calibrating.inputs import CalibrationRequest

_WITH_CHECK = frozenset(
    {"take", "videos", "board", "timestamps", "tags", "check", "calibration", "no_cache", "lab", "as_json", "quiet"}
)


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("calibrate")(calibrate)


def calibrate(
    context: typer.Context,
    take: TakeArgument = None,
    videos: VideosOption = None,
    board: BoardOption = None,
    out: OutOption = None,
    timestamps: TimestampsOption = None,
    intrinsics: IntrinsicsOption = None,
    engine: EngineOption = EngineName.LABSYS,
    lens_model: LensModelOption = LensName.PINHOLE,
    known_length: KnownLengthOption = None,
    world_axes: WorldAxesOption = None,
    belt_board: BeltBoardOption = None,
    lab_points: LabPointsOption = None,
    tags: TagsOption = None,
    survey_tags: SurveyTagsOption = None,
    feet: FeetOption = None,
    level_board: LevelBoardOption = None,
    plumb_line: PlumbLineOption = None,
    belt_level_sd: BeltLevelSdOption = None,
    rig: RigOption = None,
    grades: GradesOption = None,
    override: OverrideOption = None,
    save: SaveOption = None,
    check: CheckOption = False,
    calibration: CalibrationOption = None,
    no_cache: NoCacheOption = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Calibrate cameras from videos of a waved board, refusing grades worse than C; or check a calibration.

    \b
    Example: labsys calibrate --videos cam0=cam0.mp4 cam1=cam1.mp4 --board charuco_4x5 --out calibration1
    Example: labsys calibrate --videos cam0=cam0.mp4 cam1=cam1.mp4 --board board.yaml --intrinsics camera_array.toml
             --belt-board forward:0-30 --level-board 0-30 --out calibration1
    Example: labsys calibrate --check --videos cam0=sweep0.mp4 cam1=sweep1.mp4 --board charuco_4x5
    """
    from calibration.calibrate import Engine
    from calibration.rig.grade import GradeLimits
    from labsys.capture.board_file import load_board_config
    from labsys.core.cameras import LensModel
    from pipelines.calibrating.grades_file import load_grades
    from pipelines.calibrating.inputs import CalibrationRequest

    terminal = Terminal(lab, as_json, quiet)
    if check:
        _refuse_with_check(context)
        from api.commands.calibrating_check import run_check

        run_check(
            terminal, take, videos or [], board, timestamps, tags=tags, calibration=calibration, cache=not no_cache
        )
        return
    if out is None:
        raise InputError("where shall the calibration go?", remedy="Give --out DIR")
    if calibration is not None:
        raise InputError("--calibration goes with --check", remedy="Add --check, or leave it out")
    placing_tags = None if survey_tags is not None else tags
    words = PlacingWords(world_axes, belt_board, lab_points, placing_tags, level_board, plumb_line, belt_level_sd, feet)
    reason = read_reason(override)
    placing = read_placing(terminal, words)
    source = find_source(terminal, take, videos or [])
    board_file = board_path(terminal, board, source)
    request = CalibrationRequest(
        videos=source.videos,
        board=load_board_config(board_file),
        timestamps=timestamps or source.timestamps,
        lenses=intrinsics or source.lenses,
        known_lengths=tuple(known_length or ()),
        engine=Engine(engine.value),
        lens_model=LensModel(lens_model.value),
        placing=placing,
        survey=None if survey_tags is None else (load_tag_set(terminal, _named(tags)), survey_tags),
        recorded_with=None if rig is None else load_rig(terminal, rig),
        grades=load_grades(grades) if grades is not None else GradeLimits(),
        override_reason=reason,
        cache=cache_folder(terminal, use=not no_cache),
    )
    _calibrate(terminal, request, out, save=save, board_file=board_file)


def _calibrate(
    terminal: Terminal, request: CalibrationRequest, out: Path, *, save: str | None, board_file: Path
) -> None:
    from pipelines.calibrating.files import check_can_be_kept, store_calibration
    from pipelines.calibrating.take import calibrate_take

    folder = None
    if save is not None:
        check_can_be_kept(save, request.placing)
        folder = terminal.open_lab()
    with terminal.progress() as progress:
        files = calibrate_take(request, out, progress=progress)
    document = dict(files.document)
    for remark in document.get("remarks") or ():
        terminal.say(str(remark))
    if files.refusal is not None:
        if terminal.as_json:
            terminal.give(document, "")
        terminal.say(f"the report is in {out}")
        raise files.refusal
    if folder is not None and save is not None:
        document["saved"] = store_calibration(folder, files, label=save, made_from=request, board_file=board_file)
    if request.survey is not None:
        terminal.say(f"the surveyed tags are in {request.survey[1]}")
    terminal.give(document, _text(document))


def _named(tags: str | None) -> str:
    if tags is None:
        raise InputError("which tags are to be surveyed?", remedy="Give --tags FILE, their ids and sizes")
    return tags


def _refuse_with_check(context: typer.Context) -> None:
    """Refuse every option that was given and means nothing to a check."""
    sources = {option: context.get_parameter_source(option.name or "") for option in context.command.params}
    given = [
        option.opts[0]
        for option, source in sources.items()
        if option.name not in _WITH_CHECK and source is not None and source.name != "DEFAULT"
    ]
    if given:
        raise InputError(f"--check changes nothing and takes no {', '.join(given)}", remedy="Leave one of them out")


def _text(document: Mapping[str, Any]) -> str:
    from api.commands.text_table import format_number, format_table

    rows = [
        (name, c["boards"], format_number(c["rms_px"], 2), format_number(c["coverage_pct"], 0),
         format_number(c["time_offset_ms"], 1))
        for name, c in document["cameras"].items()
    ]  # fmt: skip
    headers = ("camera", "boards", "rms px", "covered %", "lag ms")
    worst = "; ".join(document["decided_by"])
    lines = [
        f"grade {document['grade']} (decided by: {worst})",
        f"board fit {format_number(document['board_fit_rms_mm'], 2)} mm, edges "
        f"{format_number(document['edge_mean_mm'], 2)} of {format_number(document['edge_true_mm'], 2)} mm, "
        f"{format_number(document['rms_px'], 2)} px, held out {format_number(document['heldout_rms_px'], 2)} px",
        *([_placed(document)] if document["placed_by"] else []),
        format_table(headers, rows, right=headers[1:]),
        *([f"overridden: {document['override_reason']}"] if document["override_reason"] else []),
        *([f"kept as {document['saved']}"] if "saved" in document else []),
        str(document["calibration"]),
    ]
    return "\n".join(lines)


def _placed(document: Mapping[str, Any]) -> str:
    from api.commands.text_table import format_number

    up, heading = (document[f"{what}_sd_deg"] for what in ("up", "heading"))
    return (
        f"placed by {document['placed_by']}: up "
        f"{'unknown' if up is None else f'± {format_number(up, 2)} degrees'}, heading "
        f"{'unknown' if heading is None else f'± {format_number(heading, 2)} degrees'}"
    )
