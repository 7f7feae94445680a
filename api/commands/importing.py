"""`labsys import`: existing videos, 2D landmarks, 3D markers and calibrations as a trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.stated import (
    ConditionsFile,
    EpisodeOption,
    FootwearOption,
    HeightOption,
    InclineOption,
    LegLengthOption,
    MassOption,
    NotesOption,
    OperatorOption,
    PainOption,
    PhaseOption,
    SpeedOption,
    Stated,
    SurfaceOption,
    read_stated,
)
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, parse_pairs, parse_size, parse_time
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import TrialKind, TrialName

if TYPE_CHECKING:
    from calibration.align import WorldAxes
    from labsys.storage.exchange.sniff import Landmarks2DFormat
    from pipelines.importing.request import ImportRequest
    from pipelines.importing.trial import ImportReport


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("import")(import_recording)


def import_recording(
    subject: Annotated[str, typer.Option("--subject", metavar="CODE", help="Made when new.")],
    session: Annotated[str, typer.Option("--session", metavar="DATE", help="The visit; made when new.")],
    trial: Annotated[str, typer.Option("--trial", metavar="NAME")],
    kind: Annotated[TrialKind | None, typer.Option("--kind")] = None,
    videos: Annotated[
        list[str] | None, typer.Option("--videos", metavar="CAM=PATH …", help="One video per camera.")
    ] = None,
    accept_size: Annotated[
        list[str] | None,
        typer.Option("--accept-size", metavar="CAM=WxH …", help="Take a video whose size differs; recorded."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="Anipose, Pose2Sim, Qualisys, OpenCV, …")
    ] = None,
    world_axes: Annotated[
        str | None,
        typer.Option("--world-axes", metavar="forward=+x,up=+z", help="What the calibration's or file's axes mean."),
    ] = None,
    landmarks2d: Annotated[
        list[str] | None,
        typer.Option("--landmarks2d", metavar="CAM=PATH …", help="h5, csv, or a folder of OpenPose JSON."),
    ] = None,
    landmarks2d_format: Annotated[
        str | None, typer.Option("--landmarks2d-format", metavar="dlc|openpose", help="Recognised when not given.")
    ] = None,
    timestamps: Annotated[
        Path | None,
        typer.Option("--timestamps", metavar="FILE", help="CSV cam_id,frame_time[,frame][,kind]: cameras ran free."),
    ] = None,
    markers: Annotated[Path | None, typer.Option("--markers", metavar="FILE", help="3D markers, .trc.")] = None,
    marker_map: Annotated[
        Path | None, typer.Option("--marker-map", metavar="FILE", help="YAML: landmark -> marker or list to average.")
    ] = None,
    from_synth: Annotated[
        Path | None, typer.Option("--from-synth", metavar="DIR", help="A folder of 'labsys synth', with its static.")
    ] = None,
    rate_hz: Annotated[
        float | None, typer.Option("--rate-hz", help="Frames per second, where the files do not say.")
    ] = None,
    static: Annotated[
        str | None, typer.Option("--static", metavar="TRIAL", help="Static trial of the visit to reference to.")
    ] = None,
    recorded_at: Annotated[
        str | None, typer.Option("--recorded-at", metavar="TIME", help="ISO-8601; the session's time if not given.")
    ] = None,
    surface: SurfaceOption = None,
    speed_mps: SpeedOption = None,
    incline_pct: InclineOption = None,
    footwear: FootwearOption = None,
    pain: PainOption = None,
    phase: PhaseOption = None,
    episode: EpisodeOption = None,
    operator: OperatorOption = None,
    mass_kg: MassOption = None,
    height_m: HeightOption = None,
    leg_length_m: LegLengthOption = None,
    notes: NotesOption = None,
    conditions: ConditionsFile = None,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bring an existing recording in as a trial; the last line printed is the trial's name.

    \b
    Example: labsys import --subject S01 --session 2026-11-22 --trial run1 --kind run --surface treadmill
             --speed-mps 3.0 --calibration calibration.toml --landmarks2d cam1=cam1.h5 cam2=cam2.h5 --rate-hz 100
    Example: labsys import --subject S01 --session 2026-11-22 --trial run2 --kind run --surface overground
             --markers run.trc --marker-map map.yaml
    """
    from pipelines.importing.request import ImportRequest, VisitFacts
    from pipelines.importing.synth import synthetic_requests

    terminal = Terminal(lab, as_json, quiet)
    given = Stated(
        surface, speed_mps, incline_pct, footwear, pain, phase, episode, operator, mass_kg, height_m, leg_length_m
    )
    stated = read_stated(conditions, given)
    visit = VisitFacts(stated.phase, stated.episode or "", stated.operator or "", anthropometry=stated.anthropometry())
    moment = parse_time(recorded_at, "--recorded-at") if recorded_at else ""
    name = TrialName(subject, session, trial)
    if from_synth is not None:
        files = (kind, videos, accept_size, calibration, world_axes, landmarks2d, markers, marker_map, rate_hz, static)
        if any(v is not None for v in (*files, timestamps)):
            raise InputError("--from-synth brings its own files", remedy="Leave kind, file and rate options out")
        requests = synthetic_requests(
            from_synth, name, conditions=stated.conditions, visit=visit, recorded_at=moment, notes=notes or ""
        )
    else:
        if kind is None:
            raise InputError("a trial needs a kind", remedy="Give --kind static, run, walk or other")
        request = ImportRequest(
            name=name,
            kind=kind,
            conditions=stated.conditions(),
            visit=visit,
            static=static or "",
            recorded_at=moment,
            notes=notes or "",
            rate_hz=rate_hz,
            videos=_paths(videos, "--videos"),
            accepted_sizes=_sizes(accept_size),
            landmarks2d=_paths(landmarks2d, "--landmarks2d"),
            landmarks2d_format=_format(landmarks2d_format),
            timestamps=timestamps,
            calibration=calibration,
            world_axes=_axes(world_axes),
            markers=markers,
            marker_map=marker_map,
        )
        requests = (request,)
    _import_all(terminal, requests)


def _import_all(terminal: Terminal, requests: Sequence[ImportRequest]) -> None:
    from api.commands.changes import settle_session
    from pipelines.importing.trial import import_trial

    lab = terminal.open_lab()
    for request in requests:
        with terminal.progress() as progress:
            report = import_trial(lab, request, progress=progress)
        for remark in report.remarks:
            terminal.say(f"{report.name.trial}: {remark}")
    settle_session(terminal, lab, report.name.subject, report.name.session)
    terminal.give(_document(report), _text(report))


def _text(report: ImportReport) -> str:
    source = f", calibration {report.calibration}" if report.calibration else ""
    return f"{report.n_frames} frames at {report.rate_hz:g} Hz{source}\n{report.name}"


def _document(report: ImportReport) -> dict[str, object]:
    return {
        "trial": str(report.name),
        "n_frames": report.n_frames,
        "rate_hz": report.rate_hz,
        "calibration": report.calibration or None,
        "remarks": list(report.remarks),
    }


def _paths(texts: list[str] | None, option: str) -> dict[str, Path]:
    pairs = parse_pairs(texts or [], option, "cam1=PATH cam2=PATH")
    return {camera: Path(path).expanduser() for camera, path in pairs.items()}


def _sizes(texts: list[str] | None) -> dict[str, tuple[int, int]]:
    pairs = parse_pairs(texts or [], "--accept-size", "cam1=1080x1920")
    return {camera: parse_size(size, "--accept-size") for camera, size in pairs.items()}


def _format(text: str | None) -> Landmarks2DFormat | None:
    from labsys.storage.exchange.sniff import Landmarks2DFormat

    if text is None:
        return None
    valid = [f.value for f in Landmarks2DFormat]
    if text not in valid:
        raise UnknownNameError("format of 2D landmarks", text, valid=valid, where="--landmarks2d-format")
    return Landmarks2DFormat(text)


def _axes(text: str | None) -> WorldAxes | None:
    from calibration.align import WorldAxes

    return None if text is None else WorldAxes.parse(text)
