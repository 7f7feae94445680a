"""The process of a station: the one of its lab, found through LAB/.station, ended in order by a signal."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from api.recording.line import PLACE, SOCKET, Line, describe_holder
from api.recording.recovering import clear_begun
from api.recording.station import Station
from api.recording.station_state import Opened
from labsys.capture.preview import FOLDER_PREFIX, make_preview_folder
from labsys.capture.rig import load_recordable_rig
from labsys.core.clock import utc_now
from labsys.core.errors import ConcurrencyError, LabsysError
from labsys.storage.lab import Lab, open_lab
from labsys.storage.locks import hold_lock


def serve_asked() -> None:
    """Entry point of the process that the service starts; what to open comes as JSON on the standard input."""
    asked = json.load(sys.stdin)
    try:
        lab = replace(open_lab(Path(asked["lab"])), database=asked["database"])
        serve_station(lab, Path(asked["rig"]), by=asked["by"])
    except LabsysError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)


def serve_station(lab: Lab, rig: Path, *, by: str, opened: Callable[[], None] = lambda: None) -> None:
    """Hold the cameras of a rig until told to let go. by: who opened them. opened: called once orders are heard.

    Raises:
        ConcurrencyError: the lab has a station already. InputError, UnknownNameError: as the rig's file is read.
    """
    loaded = load_recordable_rig(rig)
    place = lab.root / PLACE
    with _holding(lab):
        remove_left(place)
        clear_begun(lab)
        folder = make_preview_folder()
        try:
            text = rig.read_text(encoding="utf-8")
            station = Station(lab, loaded, text, folder, Opened(rig.stem, by, utc_now()))
            for which in (signal.SIGTERM, signal.SIGINT):
                signal.signal(which, lambda *_: station.end())
            line = Line(folder / SOCKET, station.hear)
            place.write_text(json.dumps({"folder": str(folder)}), encoding="utf-8")
            opened()
            try:
                station.run()
            finally:
                line.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _holding(lab: Lab) -> Iterator[None]:
    """The one station of a lab (ConcurrencyError: there is one, and whose)."""
    place = lab.root / PLACE
    try:
        with hold_lock(place, what="the station"):
            yield
    except ConcurrencyError as error:
        if error.where != str(place):
            raise
        raise ConcurrencyError(
            describe_holder(lab) or "cameras of this lab are open already",
            where=str(place),
            remedy="Work with them at /record, or close them there first",
        ) from error


def remove_left(place: Path) -> None:
    """Remove the pictures that a station left which was ended by force."""
    try:
        folder = Path(json.loads(place.read_text(encoding="utf-8"))["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if folder.name.startswith(FOLDER_PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
