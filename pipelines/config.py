"""How a trial is processed: one strict, frozen object, read once at the edge and then unpacked to plain arguments.

A value comes from the profile, then from `--config FILE`, then from `--set key=value`; later ones win. An unknown key
is an error that names the nearest valid one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.errors import InputError, UnknownNameError


class Profile(StrEnum):
    """Named starting points: labsys's own, Anipose's engine and defaults, Pose2Sim's rule without a filter."""

    DEFAULT = "default"
    ANIPOSE = "anipose"
    POSE2SIM = "pose2sim"


class Engine(StrEnum):
    """Whose code turns 2D into 3D."""

    LABSYS = "labsys"
    ANIPOSE = "anipose"


class Rule(StrEnum):
    """How an engine decides which cameras to believe; each belongs to one engine."""

    TRAJECTORY = "trajectory"
    ROBUST = "robust"
    POSE2SIM = "pose2sim"
    TRIANGULATE = "triangulate"
    RANSAC = "ransac"
    OPTIM = "optim"
    RANSAC_OPTIM = "ransac_optim"


RULES_OF_ENGINE: dict[Engine, tuple[Rule, ...]] = {
    Engine.LABSYS: (Rule.TRAJECTORY, Rule.ROBUST, Rule.POSE2SIM),
    Engine.ANIPOSE: (Rule.TRIANGULATE, Rule.RANSAC, Rule.OPTIM, Rule.RANSAC_OPTIM),
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CropChoice(StrEnum):
    """What of a frame a model is shown: as it was trained, all of it, or a box that follows the subject."""

    MODEL = "model"
    NONE = "none"
    FOLLOW = "follow"


class Pose2dConfig(_Section):
    """Video to 2D, where a take has no 2D landmarks.

    Attributes:
        model: name of the model pack; empty takes the only one that the lab has.
        crop: what the model is shown of a frame: `model` as it was trained, `none` all of it, `follow` a box around the
            subject that is carried forward from the frames before.
    """

    model: str = ""
    crop: CropChoice = CropChoice.MODEL


class RetimeConfig(_Section):
    """Tracks onto one clock.

    Attributes:
        max_gap_frames: free-running cameras: nothing is carried over more missing frames than this.
        estimate_offsets: estimate from the landmarks how much later than its clock says each camera looks, and correct
            it where that is known to half a millisecond; without it timestamps (or the frames' numbers) are believed.
    """

    max_gap_frames: int = Field(default=3, ge=0)
    estimate_offsets: bool = False


class SidesConfig(_Section):
    """Left and right.

    Attributes:
        repair: exchange left and right back where a camera contradicts the others, or a frame its neighbours.
    """

    repair: bool = True


class ReconstructConfig(_Section):
    """2D to 3D.

    Attributes:
        engine, rule: whose code, and how it turns pixels into points. labsys: `trajectory` solves the whole trial at
            once with smoothness and limb lengths, `robust` every frame by itself, `pose2sim` by Pose2Sim's rule.
        min_likelihood: 2D landmarks below are not used. Low by default: robust triangulation weighs what it uses by
            likelihood, and a cut at 0.6 leaves two views or none of what one camera's side of the body hides.
        max_error_px: a camera whose reprojection error is larger is dropped.
        min_cameras: fewer cameras give no point.
        max_gap_s: longest time without a point that rule `trajectory` bridges; what it filled in is marked.
    """

    engine: Engine = Engine.LABSYS
    rule: Rule = Rule.TRAJECTORY
    min_likelihood: float = Field(default=0.1, ge=0.0, le=1.0)
    max_error_px: float = Field(default=15.0, gt=0.0)
    min_cameras: int = Field(default=2, ge=2)
    max_gap_s: float = Field(default=0.1, ge=0.0)

    @model_validator(mode="after")
    def _rule_belongs_to_engine(self) -> ReconstructConfig:
        rules = RULES_OF_ENGINE[self.engine]
        if self.rule not in rules:
            names = ", ".join(rules)
            raise ValueError(f"rule '{self.rule}' does not belong to engine '{self.engine}', which knows: {names}")
        return self


class PipelineConfig(_Section):
    """Everything that a run depends on beside its input; its dotted form is part of the run's identity."""

    profile: Profile = Profile.DEFAULT
    pose2d: Pose2dConfig = Pose2dConfig()
    retime: RetimeConfig = RetimeConfig()
    sides: SidesConfig = SidesConfig()
    reconstruct: ReconstructConfig = ReconstructConfig()
    analyse: AnalysisSettings = AnalysisSettings()

    def dotted(self) -> dict[str, str]:
        """Every setting as dotted key -> text, as provenance and the run's identity hold them."""
        return {key: str(value) for key, value in _flatten(self.model_dump(mode="json"))}


# What each profile says differently from the defaults of the sections.
_PROFILES: dict[Profile, dict[str, Any]] = {
    Profile.DEFAULT: {},
    # As Anipose's own default configuration: neither RANSAC nor optim unless asked for (reconstruct.rule).
    Profile.ANIPOSE: {
        "reconstruct": {"engine": "anipose", "rule": "triangulate", "min_likelihood": 0.3},
        "sides": {"repair": False},
    },
    Profile.POSE2SIM: {
        "sides": {"repair": False},
        "reconstruct": {"rule": "pose2sim", "min_likelihood": 0.3},
        "analyse": {"filter_enabled": False},
    },
}


def load_config(
    profile: Profile = Profile.DEFAULT, *, file: Path | None = None, sets: Iterable[str] = ()
) -> PipelineConfig:
    """The configuration of a profile, changed by a YAML file, changed by `key=value` texts.

    Raises:
        UnknownNameError: a key that does not exist; names the nearest.
        InputError: an unreadable file, or a value that does not fit its key.
    """
    layers: list[tuple[str, dict[str, Any]]] = []
    if file is not None:
        layers.append((str(file), _read_yaml(file)))
    layers += [(f"--set {text}", _read_setting(text)) for text in sets]
    document: dict[str, Any] = {}
    for where, layer in layers:
        _check_keys(layer, where)
        profile = Profile(layer.get("profile", profile)) if layer.get("profile", profile) in set(Profile) else profile
        _merge(document, layer)
    merged: dict[str, Any] = {}
    _merge(merged, _PROFILES[profile])
    _merge(merged, {"profile": profile.value})
    _merge(merged, document)
    _choose_rule(merged, document)
    return _validate(merged, ", ".join(where for where, _ in layers))


def _choose_rule(merged: dict[str, Any], asked: dict[str, Any]) -> None:
    """An engine named without a rule brings its own first rule."""
    section = merged.get("reconstruct", {})
    engine = section.get("engine")
    if engine in set(Engine) and "rule" not in asked.get("reconstruct", {}):
        rules = RULES_OF_ENGINE[Engine(engine)]
        if section.get("rule", rules[0]) not in rules:
            section["rule"] = rules[0].value
        section.setdefault("rule", rules[0].value)


def _validate(document: dict[str, Any], where: str) -> PipelineConfig:
    try:
        return PipelineConfig.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"configuration: {key}: {first['msg']}", where=where) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError("configuration cannot be read", where=f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise InputError(
            "configuration is not a table of keys", where=str(path), remedy="Write 'section: {key: value}'"
        )
    return document


def _read_setting(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"'{text}' is not a setting", remedy="Write --set section.key=value")
    try:
        parsed: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"'{text}' has an unreadable value", remedy="Write --set section.key=value") from error
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def _check_keys(document: Mapping[Any, Any], where: str) -> None:
    valid = known_keys()
    sections = {k.split(".")[0] for k in valid if "." in k}
    for key, _ in _flatten(document):
        if key not in valid:
            choices = valid | sections
            raise UnknownNameError("configuration key", key, valid=choices, where=where)


def known_keys() -> frozenset[str]:
    """Every dotted configuration key."""
    return frozenset(key for key, _ in _flatten(PipelineConfig().model_dump(mode="json")))


def _flatten(document: Mapping[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in document.items():
        dotted = f"{prefix}{key}"
        flat += _flatten(value, f"{dotted}.") if isinstance(value, Mapping) else [(dotted, value)]
    return flat


def _merge(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value


def restore_config(parameters: Mapping[str, str]) -> PipelineConfig:
    """The configuration that a run's provenance holds as dotted key -> text (InputError where it cannot be read)."""
    document: dict[str, Any] = {}
    for key in known_keys() & parameters.keys():
        section = document
        *path, last = key.split(".")
        for part in path:
            section = section.setdefault(part, {})
        section[last] = parameters[key]
    return _validate(document, "run.json")
