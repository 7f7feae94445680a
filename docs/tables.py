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
from labsys.biomechanics.reference_text import range_text
from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.catalogue import ANGLES, METRICS, Sided, find_metric
from labsys.core.errors import LabsysError
from labsys.core.measurement_error import default_error
from labsys.core.references import PUBLISHED, ReferenceValue
from labsys.core.screening import Beyond, Measure, Threshold
from labsys.core.skeleton import LANDMARK_SETS, Tier, tier_of
from labsys.core.units import to_outside
from pipelines.config import PipelineConfig, Profile, load_config
from pipelines.screening_file import shipped_rules

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


def angle_definitions() -> Rows:
    """Every angle with its figure, frame and source."""
    yield "figure", "id", "positive", "zero", "measured against", "from", "source", "version"
    for a in ANGLES:
        picture = f"![{a.id}](figures/{a.id}.svg)"
        yield (picture, f"`{a.id}`", a.positive, a.zero, a.reference.value, a.tier.name, a.source, str(a.version))


def metric_definitions() -> Rows:
    """Every metric per stride with its frame, error group and source."""
    yield "id", "unit", "what", "measured against", "zero", "error group", "source", "version"
    for m in METRICS:
        zero = "static" if m.static_referenced else "absolute"
        yield (
            f"`{m.id}`", m.unit.value, m.description, m.reference.value, zero, m.error_group.value, m.source,
            str(m.version),
        )  # fmt: skip


def screening_rules() -> Rows:
    """Every shipped screening rule."""
    yield "rule", "what", "side", "from", "looks at", "borderline", "flagged", "source"
    for rule in shipped_rules().rules:
        looked = [(m, " or ".join(f"`{i}`" for i in m.metrics)) for m in rule.measures]
        joint = f" {rule.combine} " if len(looked) > 1 else ""
        tiers = rule.tier.name if rule.highest_tier is Tier.T3 else f"{rule.tier.name} to {rule.highest_tier.name}"
        yield (
            rule.id,
            rule.title + (f" (where {rule.requires[0]} is {' or '.join(rule.requires[1])})" if rule.requires else ""),
            "per side" if rule.per_side else "both",
            tiers,
            (f"{joint.strip()} of: " if joint else "") + "; ".join(name for _, name in looked),
            "; ".join(_threshold(m, m.borderline) for m, _ in looked),
            "never" if rule.never_flag else "; ".join(_threshold(m, m.flagged) for m, _ in looked),
            rule.source,
        )


def references() -> Rows:
    """Every published reference value."""
    yield "metric", "value", "unit", "runners", "speed m/s", "surface", "method", "source"
    for r in PUBLISHED.published:
        speeds = "not retrieved" if r.speeds_mps is None else f"{r.speeds_mps[0]:.2f} to {r.speeds_mps[1]:.2f}"
        yield _reference(r, speeds)
    for s in PUBLISHED.series:
        for v in s.speeds_mps:
            found = s.at(v)
            if found is not None:
                yield _reference(found, f"{v:g}")


def _reference(r: ReferenceValue, speeds: str) -> tuple[str, ...]:
    who = f"{r.n} {r.sex}".strip()
    unit = find_metric(r.metric).unit.value
    return f"`{r.metric}`", range_text(r), unit, who, speeds, r.surface.value, r.method, r.source


def _threshold(measure: Measure, threshold: Threshold | None) -> str:
    if threshold is None:
        return "–"
    unit = find_metric(measure.metrics[0]).unit
    said = [] if threshold.value is None else [f"{to_outside(threshold.value, unit):g}"]
    said += ["MDC95"] if threshold.mdc95 else []
    said += (
        [f"own mean {'−' if measure.beyond is Beyond.BELOW else '+'} {threshold.lab_sds:g} SD"]
        if threshold.lab_sds
        else []
    )
    word = {Beyond.BELOW: "below", Beyond.ABOVE: "above", Beyond.FROM_ZERO: "beyond ±"}[measure.beyond]
    often = (
        f" in > {100 * measure.stride_share:g} % of strides"
        if measure.stride_share and threshold is measure.flagged
        else ""
    )
    return f"{word} {' and '.join(said)}{often}"


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
    "angle definitions": angle_definitions,
    "metric definitions": metric_definitions,
    "screening rules": screening_rules,
    "references": references,
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
