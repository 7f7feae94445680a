"""The terminal: `labsys COMMAND`. Heavy imports happen inside commands, so that `--help` answers at once.

Exit codes: 0 done; 2 the input is unreadable, inconsistent or unknown; 3 the input is valid and a gate refuses the
result; 1 anything else. One handler, here, turns a LabsysError into one line on stderr.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer

from api.commands import (
    archiving,
    boards,
    calibrating,
    calibration_files,
    comparing,
    demo,
    doctor,
    episodes,
    erasing,
    exporting,
    importing,
    judging_models,
    keys,
    labelling_models,
    making_models,
    modelling,
    processing,
    quick_result,
    recalibrating,
    recording,
    references,
    releasing,
    reliability,
    reporting,
    reprocessing,
    rigs,
    service,
    session_protocol,
    sessions,
    showing,
    subjects,
    synth,
    trial_bin,
    trial_moves,
    trials,
    users,
    working,
)
from api.commands.terminal import root_lab
from api.unexpected import keep_traceback
from labsys import __version__
from labsys.core.errors import InputError, LabsysError

# Options that take all the values that follow them: `--videos cam1=a.mp4 cam2=b.mp4`.
SPREADING = frozenset({"--videos", "--landmarks2d", "--accept-size", "--known-length"})

app = typer.Typer(
    name="labsys",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    help="Markerless multi-camera motion capture for treadmill running, with its measurement error.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"labsys {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    lab: Annotated[Path | None, typer.Option("--lab", metavar="LAB", help="Lab folder for the command.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Full traceback of unexpected errors.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    root_lab.set(lab)
    if debug:
        os.environ["LABSYS_DEBUG"] = "1"


_MODULES = (
    demo, doctor, calibrating, importing, recording, quick_result, processing, reprocessing, recalibrating, showing,
    comparing, reliability, reporting, exporting, synth, service, working,
)  # fmt: skip
for _module in _MODULES:
    _module.register(app)
for _module in (labelling_models, making_models, judging_models):
    _module.register(modelling.model_app)
session_protocol.register(sessions.app)
trial_moves.register(trials.app)
trial_bin.register(trials.app)
erasing.register(subjects.app)
app.add_typer(recording.record_app, name="record")
app.add_typer(rigs.app, name="rig")
app.add_typer(archiving.app, name="archive")
app.add_typer(boards.board_app, name="board")
app.add_typer(modelling.model_app, name="model")
app.add_typer(calibration_files.app, name="calibration")
app.add_typer(references.app, name="reference")
app.add_typer(releasing.app, name="release")
app.add_typer(users.app, name="user")
app.add_typer(keys.app, name="key")
for _name, _nouns in (("subject", subjects), ("episode", episodes), ("session", sessions), ("trial", trials)):
    app.add_typer(_nouns.app, name=_name)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code (SystemExit)."""
    if arguments is None:
        sys.excepthook = report_unexpected
    try:
        words = spread_values(list(sys.argv[1:] if arguments is None else arguments))
        # Not app(...): that would put typer's own hook in the place of ours.
        _command()(args=words, prog_name="labsys")
    except LabsysError as error:
        typer.echo(f"error: {describe_error(error)}", err=True)
        raise SystemExit(error.exit_code) from None


@cache
def _command() -> Callable[..., object]:
    """All commands, read once per process: typer takes a fifth of a second to look at their signatures."""
    return typer.main.get_command(app)


def describe_error(error: LabsysError) -> str:
    """Where, what, what to do: `/data/lab: is a lab already. Choose another folder`."""
    place = f"{error.where}: " if error.where else ""
    remedy = f". {error.remedy}" if error.remedy else ""
    return f"{place}{error.what}{remedy}"


def spread_values(words: list[str]) -> list[str]:
    """Repeat an option of `SPREADING` before every value after it, as the parser wants it (InputError: no value)."""
    spread: list[str] = []
    option = ""
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        if word.startswith("-"):
            option = word if word in SPREADING else ""
            if option and after.startswith("-"):
                raise InputError(f"{option} has no value", remedy=f"Type {option} and at least one value after it")
            spread += [] if option else [word]
        else:
            spread += [option, word] if option else [word]
    return spread


def report_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """One line for an error that nobody foresaw, and its traceback in a file; all of it on stderr when debugging."""
    if os.environ.get("LABSYS_DEBUG", "") not in ("", "0"):
        sys.stderr.writelines(traceback.format_exception(kind, error, trace))
        return
    kept = keep_traceback(error)
    details = f"the details are in {kept}" if kept else "the details are above, for the disk has no room"
    sys.stderr.write(
        f"error: unexpected {kind.__name__}: {error}. This is a defect of labsys; {details} "
        "(or run the command again after 'export LABSYS_DEBUG=1')\n"
    )
