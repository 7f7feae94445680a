"""`labsys init` and `labsys doctor`: a new lab, and what this machine can do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal, root_lab
from labsys.core.errors import LabsysError

_NEEDED = ("numpy", "scipy", "pandas", "pyarrow", "tables", "av", "pydantic", "sqlalchemy", "fastapi", "aniposelib")
_LOW_DISK_GB = 20.0


@dataclass(frozen=True)
class Check:
    """One thing looked at. `needed`: without it labsys does not work; else something optional is missing."""

    name: str
    ok: bool
    needed: bool
    found: str
    fix: str = ""


def register(app: typer.Typer) -> None:
    """Add the commands to the terminal."""
    app.command("init")(init)
    app.command("doctor")(examine)


def init(
    lab: Annotated[Path, typer.Argument(metavar="LAB", help="New or empty folder.")],
    name: Annotated[str, typer.Option("--name", help="What people call the lab.")] = "",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a lab folder with its database, and templates of rigs, boards and protocols in it.

    \b
    Example: labsys init mylab --name "Gait lab, clinic north"
    """
    from api.database.connection import upgrade_database
    from labsys.storage.lab import create_lab

    terminal = Terminal(lab, as_json, quiet)
    made = create_lab(lab, name=name)
    revision = upgrade_database(made)
    terminal.say(f"next: cd {lab} && labsys import --help")
    terminal.give({"lab": str(made.root), "uuid": made.uuid, "database_revision": revision}, str(made.root))


def examine(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Say what this machine can do and what is missing, with the fix. Exit code 1: something needed is missing.

    \b
    Example: labsys doctor
    """
    terminal = Terminal(lab, as_json, quiet)
    checks = [*_check_machine(), *_check_packages(), _check_opencv(), *_check_extras(), _check_lab(terminal)]
    lines = []
    for check in checks:
        mark = "ok     " if check.ok else ("MISSING" if check.needed else "absent ")
        lines.append(f"{mark}  {check.name}: {check.found}" + (f"\n         fix: {check.fix}" if check.fix else ""))
    healthy = all(c.ok or not c.needed for c in checks)
    terminal.give({"ok": healthy, "checks": [asdict(c) for c in checks]}, "\n".join(lines))
    if not healthy:
        raise typer.Exit(1)


def _check_machine() -> Iterator[Check]:
    version = platform.python_version()
    supported = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Check("Python", supported, True, version, "" if supported else "Install Python 3.11, 3.12 or 3.13")
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    fix = "" if free_gb > _LOW_DISK_GB else "A visit with four cameras takes several GB; free some space"
    yield Check("free disk", free_gb > _LOW_DISK_GB, False, f"{free_gb:.0f} GB here", fix)


def _check_packages() -> Iterator[Check]:
    for name in _NEEDED:
        version = _version(name)
        yield Check(name, version is not None, True, version or "not installed", "" if version else "make setup")


def _check_opencv() -> Check:
    """The headless wheel must be the one that is active: the contrib wheel needs graphics libraries."""
    fix = "pip install --force-reinstall --no-deps opencv-python-headless==5.0.0.93"
    try:
        import cv2
    except ImportError as error:
        return Check("OpenCV", False, True, str(error), fix)
    gui = next((line.split(":")[1].strip() for line in cv2.getBuildInformation().splitlines() if "GUI:" in line), "")
    headless = gui in ("", "NONE")
    aruco = hasattr(cv2, "aruco")
    found = f"{cv2.__version__}, {'headless' if headless else f'with graphics ({gui})'}"
    if not aruco:
        return Check("OpenCV", False, True, f"{found}, without aruco", fix)
    return Check("OpenCV", headless, False, found, "" if headless else fix)


def _check_extras() -> Iterator[Check]:
    parts = {
        "DeepLabCut": ("deeplabcut", "pose", "finding landmarks in video"),
        "torch": ("torch", "pose", "finding landmarks in video"),
        "Dask": ("distributed", "cluster", "processing on several machines"),
    }
    for name, (module, extra, purpose) in parts.items():
        version = _version(module)
        fix = "" if version else f"pip install 'labsys[{extra}]'"
        yield Check(name, version is not None, False, version or f"not installed; needed for {purpose}", fix)


def _check_lab(terminal: Terminal) -> Check:
    try:
        lab = terminal.open_lab()
    except LabsysError as error:
        named = terminal.lab_path or root_lab.get()
        return Check("lab", False, named is not None, str(error), "labsys init LAB, then --lab LAB or $LABSYS_LAB")
    return Check("lab", True, False, str(lab.root))


def _version(name: str) -> str | None:
    if importlib.util.find_spec(name) is None:
        return None
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
