"""Writes the tables of docs/ that follow from the code: catalogue, landmark sets, errors, commands, settings.

`python docs/tables.py` rewrites them in place; a test fails when that would change anything. A table stands between
`<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from api.cli import app
from api.settings import ServiceSettings
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import ANGLES, METRICS, Sided
from labsys.core.errors import LabsysError
from labsys.core.measurement_error import default_error
from labsys.core.skeleton import LANDMARK_SETS, Tier, tier_of
from labsys.core.units import to_outside
from pipelines.config import PipelineConfig, Profile, load_config

DOCS = Path(__file__).parent
Rows = Iterator[tuple[str, ...]]


def angles() -> Rows:
    """Every angle."""
    yield "id", "side", "what", "positive", "zero", "from"
    for a in ANGLES:
        yield f"`{a.id}`", _sides(a.sided), a.description, a.positive, a.zero, a.tier.name


def metrics() -> Rows:
    """Every metric, with the default error at the highest tier."""
    yield "id", "side", "unit", "what", "higher means", "from", "SEM", "MDC95"
    for m in METRICS:
        error = default_error(m.id, Tier.T3)
        sem, mdc95 = (
            (f"{to_outside(error.sem, m.unit):g}", f"{to_outside(error.mdc95, m.unit):.2g}") if error else ("–", "–")
        )
        yield f"`{m.id}`", _sides(m.sided), m.unit.value, m.description, m.positive, m.tier.name, sem, mdc95


def landmark_sets() -> Rows:
    """Every landmark set with the tier that it reaches."""
    yield "set", "landmarks", "tier", "names"
    for s in LANDMARK_SETS.values():
        tier = tier_of(s.landmarks)
        yield f"`{s.name}`", str(len(s.landmarks)), tier.name if tier is not None else "–", ", ".join(s.landmarks)


def errors() -> Rows:
    """Every deliberate error with its exit code."""
    yield "error", "exit code", "meaning"
    waiting: list[type[LabsysError]] = [LabsysError]
    while waiting:
        kind = waiting.pop(0)
        if kind.__module__ == LabsysError.__module__:
            yield f"`{kind.__name__}`", str(kind.exit_code), _first_sentence(kind.__doc__ or "")
        waiting = [*kind.__subclasses__(), *waiting]


def commands() -> Rows:
    """Every command with its arguments and options."""
    yield "command", "does", "options"
    for path, command in _walk(typer.main.get_command(app), ("labsys",)):
        arguments = [p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument"]
        options = [max(p.opts, key=len) for p in command.params if p.param_type_name == "option"]
        listed = " ".join(f"`{o}`" for o in options if o not in ("--lab", "--json", "--quiet"))
        yield f"`{' '.join((*path, *arguments))}`", _first_sentence(command.help or ""), listed or "–"


def pipeline_settings() -> Rows:
    """Every key that `--set` and `--config` know, with its value in each profile."""
    yield "key", *(p.value for p in Profile)
    values = {profile: load_config(profile).dotted() for profile in Profile}
    for key in values[Profile.DEFAULT]:
        yield f"`{key}`", *(values[profile].get(key, "–") for profile in Profile)


def setting_meanings() -> Rows:
    """What the keys mean, from the docstrings of their sections."""
    yield "keys", "meaning"
    yield "`profile`", "Starting point of all other keys"
    sections: list[tuple[str, type[Any]]] = [
        (name, field.annotation)
        for name, field in PipelineConfig.model_fields.items()
        if isinstance(field.annotation, type) and (issubclass(field.annotation, BaseModel | AnalysisSettings))
    ]
    for section, kind in sections:
        for names, meaning in _attributes(kind):
            yield ", ".join(f"`{section}.{n}`" for n in names), meaning


def service_settings() -> Rows:
    """Every setting of the service, as environment variable."""
    yield "variable", "default"
    for name, field in ServiceSettings.model_fields.items():
        yield f"`LABSYS_{name.upper()}`", str(field.default)


TABLES: dict[str, Callable[[], Rows]] = {
    "angles": angles,
    "metrics": metrics,
    "landmark sets": landmark_sets,
    "errors": errors,
    "commands": commands,
    "pipeline settings": pipeline_settings,
    "setting meanings": setting_meanings,
    "service settings": service_settings,
}


def render(text: str) -> str:
    """The document with every table written anew."""
    pattern = r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda m: f"{m[1]}{_as_markdown(TABLES[m[2]]())}\n{m[3]}", text, flags=re.DOTALL)


def _as_markdown(rows: Rows) -> str:
    head, *body = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _sides(sided: Sided) -> str:
    return "per side" if sided is Sided.PER_SIDE else "both"


def _first_sentence(text: str) -> str:
    line = " ".join(text.split("\n\n")[0].split())
    return line.split(". ")[0].rstrip(".")


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from _walk(child, (*path, name))


def _attributes(kind: type[Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """(names, meaning) of the lines under `Attributes:`; raises KeyError where a field is not described."""
    block = inspect.getdoc(kind) or ""
    block = block.partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w[\w, ]*): ((?:.|\n(?!    \w[\w, ]*:))*)", block, flags=re.MULTILINE)
    described = [(tuple(n.strip() for n in names.split(",")), " ".join(text.split())) for names, text in found]
    model_fields = getattr(kind, "model_fields", None)
    wanted = list(model_fields) if model_fields is not None else [f.name for f in fields(kind)]
    missing = set(wanted) - {n for names, _ in described for n in names}
    if missing:
        raise KeyError(f"{kind.__name__} does not describe {', '.join(sorted(missing))}")
    yield from described


def main() -> None:
    """Rewrite the tables of every document."""
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(render(text), encoding="utf-8")


if __name__ == "__main__":
    main()
