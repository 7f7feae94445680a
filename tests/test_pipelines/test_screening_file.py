"""Screening files are read strictly, and cannot be made to say more than was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from labsys.core.errors import InputError, NewerSchemaError, UnknownNameError
from labsys.storage.lab import create_lab
from pipelines.screening_file import SCREENING_FILE, load_rules, shipped_rules

SHIPPED = (Path(__file__).parents[2] / "hardware_configs" / SCREENING_FILE).read_text(encoding="utf-8")
MINE = SHIPPED.replace("name: labsys", "name: mine")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "running.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_a_new_lab_has_the_shipped_rules(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab")
    assert load_rules(lab.root / SCREENING_FILE) == shipped_rules()


def test_a_lab_may_change_a_threshold_under_its_own_name(write: Callable[[str], Path]) -> None:
    rules = load_rules(write(MINE.replace("borderline: 9, flagged: 5", "borderline: 11, flagged: 5")))
    assert rules.label == "mine 1"
    threshold = rules.rules[0].measures[0].borderline
    assert threshold is not None
    assert threshold.value == pytest.approx(0.19198621771937624)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("borderline: 9, flagged: 5", "borderline: 5, flagged: 9", "flagged begins before borderline"),
        ("metrics: [pelvis_rot_rom]", "metrics: [pelvis_rot_romm]", "Did you mean 'pelvis_rot_rom'"),
        ("    title: Trunk posture", "    titel: Trunk posture", "Did you mean 'title'"),
        ("title: Trunk posture", "title: Weak muscles of the trunk", "'Weak' is nothing that video can see"),
        ("title: Trunk posture", "title: An improved posture", "'improved'"),
        ("rule: F1,", "rule: F9,", "earlier rule 'F9'"),
        ("  - Discuss with a physiotherapist.\n", "", "closing sentences"),
        ("  pelvis_rot_rom: Range of pelvic rotation\n", "", "no name for pelvis_rot_rom"),
        ("min_strides: 10", "min_strides: '10'", "min_strides"),
        ("speed_mps: [2.2, 4.5]", "speed_mps: [4.5, 2.2]", "from low to high"),
        ("    side: both\n", "    side: both\n    highest_tier: T0\n    tier: T2\n", "occurs twice"),
        ("metrics: [thigh_ext_vertical_peak]", "metrics: [thigh_ext_vertical_peak, cadence]", "different units"),
        ("beyond: below, borderline: 20", "beyond: under, borderline: 20", "beyond"),
        ("stride_share: 0.8", "stride_share: 80", "stride_share"),
    ],
)
def test_what_is_wrong_is_named(write: Callable[[str], Path], old: str, new: str, message: str) -> None:
    assert old in MINE
    with pytest.raises(InputError, match=message) as raised:
        load_rules(write(MINE.replace(old, new)))
    assert "running.yaml" in str(raised.value)


def test_changed_rules_need_a_name_or_version_of_their_own(write: Callable[[str], Path]) -> None:
    changed = SHIPPED.replace("borderline: 9, flagged: 5", "borderline: 11, flagged: 5")
    with pytest.raises(InputError, match="still call themselves 'labsys 1'"):
        load_rules(write(changed))
    assert load_rules(write(SHIPPED + "\n# a remark changes nothing\n")) == shipped_rules()


def test_a_rule_of_the_midline_takes_no_value_per_side(write: Callable[[str], Path]) -> None:
    text = MINE.replace("metrics: [vertical_oscillation, vertical_oscillation_pelvis]", "metrics: [shank_angle_at_fs]")
    with pytest.raises(InputError, match="is a value per side"):
        load_rules(write(text))


def test_versions_of_the_format(write: Callable[[str], Path]) -> None:
    with pytest.raises(NewerSchemaError):
        load_rules(write(MINE.replace("labsys.screening/1", "labsys.screening/2")))
    with pytest.raises(UnknownNameError):
        load_rules(write(MINE + "\nrule_of_thumb: 1\n"))
