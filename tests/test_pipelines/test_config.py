"""Configuration: profiles, files, settings, and what is refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from labsys.biomechanics.settings import AnalysisSettings
from labsys.core.errors import InputError, UnknownNameError
from pipelines.config import RULES_OF_ENGINE, Engine, PipelineConfig, Profile, Rule, load_config, restore_config


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("reconstruct:\n  max_error_px: 9\n  min_likelihood: 0.4\nanalyse:\n  proximal_cutoff_hz: 6\n")
    config = load_config(Profile.POSE2SIM, file=file, sets=["reconstruct.max_error_px=7"])
    assert config.reconstruct.rule is Rule.POSE2SIM
    assert config.reconstruct.max_error_px == 7.0
    assert config.reconstruct.min_likelihood == 0.4
    assert config.analyse.proximal_cutoff_hz == 6.0
    assert not config.analyse.filter_enabled, "Pose2Sim's profile does not filter"


def test_profile_may_stand_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("profile: anipose\n")
    assert load_config(file=file).reconstruct.engine is Engine.ANIPOSE


@pytest.mark.parametrize("engine", Engine)
def test_engine_brings_its_own_rule(engine: Engine) -> None:
    config = load_config(Profile.POSE2SIM, sets=[f"reconstruct.engine={engine}"])
    assert config.reconstruct.rule in RULES_OF_ENGINE[engine]


@pytest.mark.parametrize(
    ("setting", "named", "nearest"),
    [
        ("reconstruct.min_likelyhood=0.2", "reconstruct.min_likelyhood", "reconstruct.min_likelihood"),
        ("analyse.proximal_cutof_hz=6", "analyse.proximal_cutof_hz", "analyse.proximal_cutoff_hz"),
        ("reconstrct.engine=labsys", "reconstrct.engine", "reconstruct.engine"),
    ],
)
def test_unknown_key_names_the_nearest(setting: str, named: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=named) as refused:
        load_config(sets=[setting])
    assert refused.value.nearest == nearest


def test_unknown_key_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("reconstruct:\n  enginee: labsys\n")
    with pytest.raises(UnknownNameError, match=r"settings\.yaml"):
        load_config(file=file)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("reconstruct.min_cameras=1", "reconstruct.min_cameras"),
        ("reconstruct.max_error_px=fast", "reconstruct.max_error_px"),
        ("reconstruct.max_error_px=.nan", "reconstruct.max_error_px"),
        ("reconstruct.rule=optim", "does not belong to engine"),
        ("analyse.hampel_frames=4", "hampel_frames"),
        ("profile=fastest", "profile"),
        ("reconstruct", "setting"),
        ("reconstruct=3", "reconstruct"),
    ],
)
def test_value_that_does_not_fit_is_refused(setting: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_config(sets=[setting])


@pytest.mark.parametrize("text", ["- a list", "reconstruct: [", "just words"])
def test_file_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"settings\.yaml"):
        load_config(file=file)


def test_config_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_config().reconstruct.max_error_px = 3.0  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize("profile", Profile)
def test_provenance_gives_the_configuration_back(profile: Profile) -> None:
    config = load_config(profile, sets=["analyse.event_cutoff_hz=11.5"])
    assert restore_config({**config.dotted(), "trial.kind": "run"}) == config


def test_every_analysis_setting_can_be_set() -> None:
    dotted = PipelineConfig().dotted()
    assert {f"analyse.{f.name}" for f in fields(AnalysisSettings)} <= dotted.keys()
