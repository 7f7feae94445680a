"""What people state about a visit and a trial: options and the `--conditions FILE` that may hold them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.session import Anthropometry, Conditions, Phase, Surface

ConditionsFile = Annotated[
    Path | None, typer.Option("--conditions", metavar="FILE", help="YAML with any of the conditions below.")
]
SurfaceOption = Annotated[Surface | None, typer.Option("--surface")]
SpeedOption = Annotated[float | None, typer.Option("--speed-mps", help="Belt or running speed, m/s.")]
InclineOption = Annotated[float | None, typer.Option("--incline-pct", help="Incline, %.")]
FootwearOption = Annotated[str | None, typer.Option("--footwear")]
PainOption = Annotated[float | None, typer.Option("--pain", help="Pain, 0 to 10.")]
PhaseOption = Annotated[Phase | None, typer.Option("--phase")]
EpisodeOption = Annotated[str | None, typer.Option("--episode", help="Label of the subject's episode.")]
OperatorOption = Annotated[str | None, typer.Option("--operator")]
MassOption = Annotated[float | None, typer.Option("--mass-kg")]
HeightOption = Annotated[float | None, typer.Option("--height-m")]
LegLengthOption = Annotated[float | None, typer.Option("--leg-length-m")]
NotesOption = Annotated[str | None, typer.Option("--notes")]
ClearOption = Annotated[
    list[str] | None, typer.Option("--clear", metavar="FIELD", help="Take back what was stated; repeatable.")
]


@dataclass(frozen=True)
class Stated:
    """Everything that may be stated; None where nobody did."""

    surface: Surface | None = None
    speed_mps: float | None = None
    incline_pct: float | None = None
    footwear: str | None = None
    pain_0_10: float | None = None
    phase: Phase | None = None
    episode: str | None = None
    operator: str | None = None
    mass_kg: float | None = None
    height_m: float | None = None
    leg_length_m: float | None = None

    def conditions(self, before: Conditions | None = None) -> Conditions:
        """A trial's conditions: those before, changed by what is stated."""
        return replace(
            before or Conditions(), **self._given("surface", "speed_mps", "incline_pct", "footwear", "pain_0_10")
        )

    def anthropometry(self, before: Anthropometry | None = None) -> Anthropometry:
        """A session's body measures: those before, changed by what is stated."""
        return replace(before or Anthropometry(), **self._given("mass_kg", "height_m", "leg_length_m"))

    def _given(self, *names: str) -> dict[str, Any]:
        return {n: getattr(self, n) for n in names if getattr(self, n) is not None}


def read_stated(file: Path | None, options: Stated) -> Stated:
    """What the file states, overruled by the options.

    Raises:
        UnknownNameError: a key that does not exist; names the nearest. InputError: unreadable file, or a wrong value.
    """
    if file is None:
        return options
    given = {f.name: getattr(options, f.name) for f in fields(options) if getattr(options, f.name) is not None}
    return replace(_from_file(file), **given)


def _from_file(path: Path) -> Stated:
    import yaml

    from labsys.storage.atomic import read_text

    try:
        document = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError("conditions are not valid YAML", where=f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise InputError("conditions hold no keys", where=str(path), remedy="Write lines like 'speed_mps: 3.0'")
    valid = [f.name for f in fields(Stated)]
    for key in document:
        if key not in valid:
            raise UnknownNameError("condition", str(key), valid=valid, where=str(path))
    return Stated(**{key: _value(key, value, path) for key, value in document.items() if value is not None})


def _value(key: str, value: object, path: Path) -> Any:
    kinds = {"surface": Surface, "phase": Phase}
    if key in kinds:
        words = [str(w) for w in kinds[key]]
        if value not in words:
            raise UnknownNameError(key, str(value), valid=words, where=str(path))
        return kinds[key](str(value))
    if key in ("footwear", "episode", "operator"):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"condition {key} is '{value}', not a number", where=str(path))
    return float(value)
