"""`labsys rig`: what rigs the lab has, what cameras are plugged in, and whether a rig is ready."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.recording import make_watcher, open_hardware, read_rig, require_free
from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import GateRefusedError, LabsysError

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Rigs: list, and check before recording.")

RigArgument = Annotated[str, typer.Argument(metavar="RIG", help="Rig of the lab (rigs/RIG.yaml), or a file.")]


@app.command("list")
def list_rigs(
    emit_config: Annotated[
        bool, typer.Option("--emit-config", help="Print a rig file for the cameras that are plugged in.")
    ] = False,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List the lab's rigs and the cameras that are plugged in.

    \b
    Example: labsys rig list --emit-config > rigs/mine.yaml
    """
    from labsys.capture.drivers.v4l2 import discover_cameras, find_forbidden
    from labsys.capture.skeleton import write_skeleton

    terminal = Terminal(lab, as_json, quiet)
    cameras, forbidden = discover_cameras(), find_forbidden()
    if forbidden:
        terminal.say(
            f"{len(forbidden)} video devices may not be opened: add this user to the group video, and log in again"
        )
    if emit_config:
        typer.echo(write_skeleton(cameras), nl=False)
        return
    rigs = [_describe_rig(path) for path in sorted((terminal.open_lab().root / "rigs").glob("*.yaml"))]
    plugged = [{"port": c.port, "node": c.node, "model": c.model, "usb_id": c.usb_id} for c in cameras]
    lines = [f"rig {r['rig']}: {r['state']}" for r in rigs]
    lines += [f"camera {c['model']} ({c['usb_id']}) at {c['port']}, now {c['node']}" for c in plugged]
    terminal.give({"rigs": rigs, "cameras": plugged}, "\n".join(lines or ["no rigs and no cameras"]))


@app.command("check")
def check_rig(
    rig: RigArgument,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Length of the takes to come.")] = 60.0,
    stream: Annotated[float, typer.Option("--stream", metavar="S", help="How long all cameras stream.")] = 5.0,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check a rig: cameras, buses, streams, controls, trigger, light, disk, machine; faults with fixes (exit code 3).

    \b
    Example: labsys rig check treadmill
    """
    from labsys.capture.preflight.run import run_preflight
    from labsys.storage.armed import arming

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    loaded = read_rig(folder, rig)[0]
    require_free(folder, loaded)
    with arming(folder), open_hardware(loaded) as studio:
        found = run_preflight(
            studio, folder.root, planned_s=seconds, stream_s=stream, waiting=make_watcher(terminal).waiting
        )
    rows = [{"check": r.check, "outcome": r.outcome.value, "what": r.what, "fix": r.fix} for r in found.results]
    lines = [f"{r['outcome']:4} {r['check']}: {r['what']}{'. ' if r['fix'] else ''}{r['fix']}" for r in rows]
    terminal.give({"seconds": found.seconds, "checks": rows}, "\n".join(lines))
    if found.failed:
        raise typer.Exit(GateRefusedError.exit_code)


@app.command("open")
def open_rig(rig: RigArgument, lab: LabOption = None, quiet: QuietOption = False) -> None:
    """Hold the cameras of a rig open for the page /record, until Ctrl-C or until nobody has looked for half an hour.

    The page does the same by itself. Call this from a unit of the system where a restart of the service's own unit
    would end all that it started.

    \b
    Example: labsys rig open treadmill
    """
    from api.recording.station_process import serve_station
    from labsys.capture.rig import find_rig_file

    terminal = Terminal(lab, as_json=False, quiet=quiet)
    folder = terminal.open_lab()
    path = find_rig_file(folder.root / "rigs", rig)
    said = f"the cameras of {path.stem} are opened: see /record of `labsys serve` (Ctrl-C lets them go)"
    by = f"{getpass.getuser()} in a terminal"
    serve_station(folder, path, by=by, opened=lambda: terminal.say(said))


@app.command("measure")
def measure(
    rig: RigArgument,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="How long to record.")] = 60.0,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a rig on its first day into RIG.bench.json, with the list of what a person has to try by hand.

    \b
    Example: labsys rig measure treadmill --seconds 1200
    """
    from labsys.capture.bench_day import measure_rig, save_measurement
    from labsys.capture.rig import find_rig_file
    from labsys.storage.armed import arming

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    loaded, text = read_rig(folder, rig)
    with arming(folder), open_hardware(loaded) as studio:
        found = measure_rig(studio, folder.root, rig_text=text, seconds=seconds)
    path = save_measurement(find_rig_file(folder.root / "rigs", rig), found)
    report = found["report"]
    said = "not recorded: a check failed" if report is None else f"{report['verdict']}, grade {report['grade']}"
    terminal.give({"file": str(path), **found}, f"{said}; what is left to try by hand is listed in {path}")
    if report is None:
        raise typer.Exit(GateRefusedError.exit_code)


def _describe_rig(path: Path) -> dict[str, Any]:
    from labsys.capture.rig import load_rig_config

    try:
        rig = load_rig_config(path)
    except LabsysError as error:
        return {"rig": path.stem, "state": str(error)}
    return {"rig": path.stem, "state": f"{len(rig.cameras)} cameras, driver {rig.driver}, {rig.sync.mode}"}
