"""A synthetic trial on disk as two imports: the static of the visit, then the trial that refers to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError
from labsys.core.session import Conditions, Surface, TrialKind, TrialName
from labsys.storage.atomic import read_json
from pipelines.importing.request import ImportRequest, VisitFacts

TRUTH_FILE = "truth.json"
STATIC_TRUTH_FILE = "static_truth.json"
CALIBRATION_FILE = "calibration.toml"
TIMESTAMPS_FILE = "timestamps.csv"


def synthetic_requests(
    folder: Path,
    name: TrialName,
    *,
    conditions: Callable[[Conditions], Conditions],
    visit: VisitFacts,
    recorded_at: str = "",
    notes: str = "",
) -> tuple[ImportRequest, ...]:
    """The imports that bring a folder of `labsys synth` in; the static is called `<trial>-static`.

    conditions: changes what the truth states by what the person states.

    Raises:
        InputError: the folder holds no synthetic trial, or a file of it is missing.
    """
    truth = read_json(folder / TRUTH_FILE)
    made = truth.get("synthetic")
    if not isinstance(made, Mapping):
        raise InputError("is not the truth of a synthetic trial", where=str(folder / TRUTH_FILE))
    stated = conditions(_conditions(truth))
    static = TrialName(name.subject, name.session, f"{name.trial}-static")
    common: dict[str, Any] = {"visit": visit, "recorded_at": recorded_at, "rate_hz": float(truth["rate_hz"])}
    run = ImportRequest(
        name=name,
        kind=TrialKind(str(truth["kind"])),
        conditions=stated,
        static=static.trial,
        notes=notes,
        truth=folder / TRUTH_FILE,
        **_files(folder, "run"),
        **common,
    )
    if run.kind is TrialKind.STATIC:
        raise InputError("the synthetic trial is a static one", where=str(folder), remedy="Make it with --kind run")
    standing = ImportRequest(
        name=static,
        kind=TrialKind.STATIC,
        truth=folder / STATIC_TRUTH_FILE,
        **_files(folder, "static"),
        **common,
    )
    return standing, run


def _conditions(truth: Mapping[str, Any]) -> Conditions:
    surface = truth.get("surface")
    return Conditions(
        surface=Surface(surface) if surface else None,
        speed_mps=truth.get("speed_mps"),
        incline_pct=float(truth.get("incline_pct") or 0.0),
    )


def _files(folder: Path, part: str) -> dict[str, Any]:
    markers = folder / f"{part}.trc"
    if markers.exists():
        return {"markers": markers}
    cameras = {path.stem: path for path in sorted((folder / part).glob("*.h5"))}
    if not cameras:
        raise InputError(f"holds neither {part}.trc nor {part}/<camera>.h5", where=str(folder))
    stamps = folder / part / TIMESTAMPS_FILE
    timestamps = stamps if stamps.exists() else None
    return {"landmarks2d": cameras, "calibration": folder / CALIBRATION_FILE, "timestamps": timestamps}
