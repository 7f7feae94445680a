"""Rig, board, protocol and tag files: the shipped ones load, each broken rule is refused with a message that helps."""

from __future__ import annotations

import copy
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined

from labsys.capture.board_file import BoardFile
from labsys.capture.genicam import GenicamRig
from labsys.capture.hardware import load_board_config, load_protocol, load_rig_config, load_tags
from labsys.capture.protocol import REQUIRABLE, Protocol
from labsys.capture.strict_yaml import Section
from labsys.capture.tags import TagSet
from labsys.capture.uvc import UvcRig
from labsys.core.board import Board
from labsys.core.errors import InputError, NewerSchemaError, UnknownNameError
from pipelines.screening_file import ScreeningFile

TEMPLATES = Path(__file__).parents[2] / "hardware_configs"
ELP, BASLER, WEBCAM = "rigs/elp4_gs_trigger.yaml", "rigs/basler6_usb3.yaml", "rigs/webcam2_freerun.yaml"
Edit = Callable[[dict[str, Any]], object]


def _written(template: str) -> dict[str, Any]:
    content = yaml.safe_load((TEMPLATES / template).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def _edited(folder: Path, template: str, edit: Edit) -> Path:
    content = copy.deepcopy(_written(template))
    edit(content)
    path = folder / "edited.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def test_shipped_rigs_load() -> None:
    elp = load_rig_config(TEMPLATES / ELP)
    assert isinstance(elp, UvcRig)
    assert elp.rate_of("camA") == 100.0
    assert elp.controls_of("camA")["exposure_time_absolute"] == 8
    assert elp.limits.hs_bus_mbps == 40.0
    basler = load_rig_config(TEMPLATES / BASLER)
    assert isinstance(basler, GenicamRig)
    assert basler.defaults.node("ExposureTime") == 800.0
    assert basler.defaults.node("Absent") is None
    webcam = load_rig_config(TEMPLATES / WEBCAM)
    assert isinstance(webcam, UvcRig)
    assert (webcam.rate_of("left"), webcam.grade_cap) == (60.0, "C")


def test_every_shipped_file_loads() -> None:
    loaders: dict[str, Callable[[Path], object]] = {
        "rigs": load_rig_config,
        "boards": load_board_config,
        "protocols": load_protocol,
        "tags": load_tags,
    }
    for folder, load in loaders.items():
        files = sorted((TEMPLATES / folder).glob("*.yaml"))
        assert files, folder
        for file in files:
            assert load(file) is not None


def test_the_board_is_the_one_of_the_terminal_description() -> None:
    board = load_board_config(TEMPLATES / "boards/charuco_4x5.yaml")
    assert board == Board(4, 5, 0.054, 0.0405, "DICT_4X4_1000", inverted=True)
    assert (board.n_corners, board.n_markers) == (12, 10)


def test_a_cameras_own_mode_and_controls_come_before_the_defaults(tmp_path: Path) -> None:
    def edit(rig: dict[str, Any]) -> None:
        rig["cameras"]["camB"] |= {
            "mode": {"fourcc": "MJPG", "width": 640, "height": 480, "fps": 200},
            "controls": {"gain": 7},
        }

    rig = load_rig_config(_edited(tmp_path, ELP, edit))
    assert isinstance(rig, UvcRig)
    assert (rig.mode_of("camA").fps, rig.mode_of("camB").fps) == (120.0, 200.0)
    assert (rig.controls_of("camA")["gain"], rig.controls_of("camB")["gain"]) == (40, 7)


BROKEN_RIGS: list[tuple[str, Edit, str]] = [
    (
        ELP,
        lambda r: r["cameras"]["camB"].update(by_path=r["cameras"]["camA"]["by_path"]),
        r"port \(by_path\) used more",
    ),
    (ELP, lambda r: r["sync"].update(fps=109), r"109 fps is more than camA .* at most 108 fps"),
    (ELP, lambda r: r["defaults"]["controls"].update(exposure_time_absolute=80), "8000 µs is too long for 100 fps"),
    (
        ELP,
        lambda r: r["defaults"]["controls"].update(exposure_time_absolute=11),
        "1100 µs exceeds task.max_exposure_us",
    ),
    (ELP, lambda r: r["sync"].update(pulse_us=10000), "pulse of 10000 µs does not fit"),
    (ELP, lambda r: r["trigger_box"]["pins"].update(camB=2), "pin used more than once: 2"),
    (ELP, lambda r: r["trigger_box"].update(led_pin=3), "pin used more than once: 3"),
    (ELP, lambda r: r["trigger_box"]["pins"].pop("camC"), "no trigger pin for camC"),
    (ELP, lambda r: r["trigger_box"]["pins"].update(camX=9), "Unknown camera 'camX'"),
    (ELP, lambda r: r["policy"].update(min_cameras=5), "min_cameras is 5, the rig has 4"),
    (ELP, lambda r: r["defaults"].update(buffers=2), "defaults.buffers"),
    (ELP, lambda r: r["defaults"].update(buffers="32"), "defaults.buffers"),
    (ELP, lambda r: r["cameras"]["camA"].update(usb_id="32e49230"), "cameras.camA.usb_id"),
    (ELP, lambda r: r["cameras"]["camA"].update(rotate=45), "cameras.camA.rotate"),
    (ELP, lambda r: r["defaults"].update(optional_controls=["gian"]), "Unknown control 'gian'.*Did you mean 'gain'"),
    (ELP, lambda r: r["record"].update(container="mp4"), "record.container"),
    (ELP, lambda r: r["sync"].update(mode="free"), "sync"),
    (ELP, lambda r: r.update(cameras={}), "cameras"),
    (
        ELP,
        lambda r: r["defaults"]["mode"].update(fourcc="YUYV"),
        "camA has format YUYV, only JPEG pictures are recorded",
    ),
    (ELP, lambda r: r.pop("task"), "task: Field required"),
    (ELP, lambda r: r.update(name="rig/1"), "cannot name a rig"),
    (ELP, lambda r: r.update(driver="v4l"), "Unknown driver 'v4l'.*Did you mean 'v4l2'"),
    (ELP, lambda r: r["task"].update(v_max_mps=float("nan")), "task.v_max_mps"),
    (WEBCAM, lambda r: r.update(trigger_box=_written(ELP)["trigger_box"]), "trigger box has no use"),
    (WEBCAM, lambda r: r["defaults"]["controls"].update(exposure_time_absolute=134), "too long for 60 fps"),
    (BASLER, lambda r: r["cameras"]["c2"].update(serial="40012345"), "serial number used more than once: 40012345"),
    (BASLER, lambda r: r["defaults"]["nodes"].append({"ExposureTime": 6000.0}), "6000 µs is too long for 150 fps"),
    (BASLER, lambda r: r["genicam"].update(backend="harvesters"), "vendor's .cti"),
    (BASLER, lambda r: r["record"].pop("encode"), "record.encode"),
    (
        BASLER,
        lambda r: r.update(sync={"mode": "primary_camera", "primary": "c9", "out_line": "Line2", "fps": 150}),
        "Unknown camera 'c9'",
    ),
]


@pytest.mark.parametrize(("template", "edit", "message"), BROKEN_RIGS)
def test_a_broken_rig_is_refused(tmp_path: Path, template: str, edit: Edit, message: str) -> None:
    path = _edited(tmp_path, template, edit)
    with pytest.raises(InputError, match=message) as caught:
        load_rig_config(path)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value), "the message names the file"


@pytest.mark.parametrize(
    ("edit", "nearest"),
    [
        (lambda r: r.update(trigerbox={}), "trigger_box"),
        (lambda r: r["defaults"]["mode"].update(widht=1), "width"),
        (lambda r: r["cameras"]["camA"].update(bypath=""), "by_path"),
        (lambda r: r["limits"].update(hs_bus_mbps=40), "hs_bus_MBps"),
        (lambda r: r["sync"].update(pulse_ms=1), "pulse_us"),
        (lambda r: r["record"].update(fsyncs=1), "fsync_s"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path: Path, edit: Edit, nearest: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_rig_config(_edited(tmp_path, ELP, edit))
    assert caught.value.nearest == nearest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema: labsys.hardware/1\nname: a\nname: b\n", "key 'name' occurs twice, the second time in line 3"),
        ("- a\n- b\n", "does not hold keys and values"),
        ("a: [1, 2\n", "is not YAML"),
        ("name: a\n", "has schema None, expected labsys.hardware/1"),
        ("schema: labsys.protocol/1\n", "expected labsys.hardware/1"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_rig_config(path)


def test_a_missing_file_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read absent\.yaml"):
        load_rig_config(tmp_path / "absent.yaml")
    (tmp_path / "rig.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError):
        load_rig_config(tmp_path / "rig.yaml")


@pytest.mark.parametrize(
    ("template", "load", "schema"),
    [
        (ELP, load_rig_config, "labsys.hardware/2"),
        ("protocols/run_standard.yaml", load_protocol, "labsys.protocol/7"),
        ("tags/treadmill_template.yaml", load_tags, "labsys.tags/2"),
    ],
)
def test_a_newer_schema_is_said_so(tmp_path: Path, template: str, load: Callable[[Path], object], schema: str) -> None:
    with pytest.raises(NewerSchemaError, match="Update labsys"):
        load(_edited(tmp_path, template, lambda c: c.update(schema=schema)))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda b: b.update(square_m=54.0), "square_m"),
        (lambda b: b.update(marker_m=0.06), "do not fit"),
        (lambda b: b.update(columns=2), "columns"),
        (lambda b: b.update(columns=90, rows=90), "needs 4050 markers"),
        (lambda b: b.update(dictionary="DICT_4X4_1001"), "Did you mean 'DICT_4X4_100"),
        (lambda b: b.update(kind="chessboard"), "kind"),
        (lambda b: b.update(squares_m=0.05), "Did you mean 'square_m'"),
        (lambda b: b.update(inverted="yes"), "inverted"),
    ],
)
def test_a_broken_board_is_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_board_config(_edited(tmp_path, "boards/charuco_4x5.yaml", edit))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda p: p["steps"].pop(0), "no static step"),
        (lambda p: p["steps"][2].pop("speed_mps"), r"step 3 \(run\) has no speed_mps"),
        (lambda p: p["steps"][0].update(speed_mps=2.0), "step 1 is static and has a speed"),
        (lambda p: p["steps"][2].update(speed_mps="prefered"), "speed_mps"),
        (lambda p: p["steps"][2].update(speed_mps=-1.0), "speed_mps"),
        (lambda p: p.update(required=["shoe"]), "Did you mean 'shoes'"),
        (lambda p: p.update(steps=[]), "steps"),
        (lambda p: p["steps"][0].update(second=5), "Did you mean 'seconds'"),
    ],
)
def test_a_broken_protocol_is_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_protocol(_edited(tmp_path, "protocols/run_standard.yaml", edit))


POSE = {"rotvec_rad": [0.0, 0.0, 0.0], "translation_m": [0.9, 0.1, -0.4]}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t["tags"].pop(), "tags"),
        (lambda t: t["tags"][1].update(id=0), "tag id used more than once: 0"),
        (lambda t: t["tags"][1].update(id=587), "has no tag 587"),
        (lambda t: t["tags"][0].update(pose=POSE), "survey is incomplete"),
        (lambda t: t.update(surveyed_on="2026-11-22"), "survey is incomplete"),
        (lambda t: [tag.update(pose=POSE) for tag in t["tags"]], "survey is incomplete"),
        (lambda t: t.update(surveyed_on="yesterday"), "surveyed_on"),
        (lambda t: t.update(dictionary="DICT_4X4"), "Unknown ArUco dictionary"),
    ],
)
def test_a_broken_tag_set_is_refused(tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_tags(_edited(tmp_path, "tags/treadmill_template.yaml", edit))


def test_a_surveyed_tag_set_loads(tmp_path: Path) -> None:
    def edit(tags: dict[str, Any]) -> None:
        tags["surveyed_on"] = "2026-11-22"
        for tag in tags["tags"]:
            tag["pose"] = POSE

    assert load_tags(_edited(tmp_path, "tags/treadmill_template.yaml", edit)).surveyed
    assert not load_tags(TEMPLATES / "tags/treadmill_template.yaml").surveyed


# ---- hardware_configs/README.md against the schema


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _sections_in(part)


def _all_sections() -> dict[str, type[Section]]:
    found: dict[str, type[Section]] = {}
    waiting: list[type[Section]] = [UvcRig, GenicamRig, BoardFile, Protocol, TagSet, ScreeningFile]
    while waiting:
        section = waiting.pop()
        if found.get(section.section) is section:
            continue
        assert section.section not in found, f"two sections are called {section.section}"
        found[section.section] = section
        waiting += [s for field in section.model_fields.values() for s in _sections_in(field.annotation)]
    return found


def _documented() -> dict[str, dict[str, str]]:
    """Heading -> key -> default, as the README's tables say."""
    tables: dict[str, dict[str, str]] = {}
    heading = ""
    for line in (TEMPLATES / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
            tables[heading] = {}
        row = re.fullmatch(r"\| `(\w+)` \| (.+) \| (.+) \| (.+) \|", line)
        if row and heading:
            tables[heading][row[1]] = row[3]
    return tables


def _default_text(default: Any) -> str:
    match default:
        case None:
            return "null"
        case bool():
            return str(default).lower()
        case float() | int():
            return f"{default:g}"
        case "" | ():
            return "empty"
        case Section():
            return "all defaults"
    return str(default)


def test_the_readme_documents_every_key_with_its_default() -> None:
    documented = _documented()
    sections = _all_sections()
    assert set(documented) == set(sections)
    for heading, section in sections.items():
        expected = {}
        for name, field in section.model_fields.items():
            required = field.default is PydanticUndefined and field.default_factory is None
            default = () if field.default_factory is not None else field.default
            expected[field.alias or name] = "required" if required else _default_text(default)
        assert documented[heading] == expected, heading


def test_the_readme_lists_every_shipped_file_and_every_requirable_field() -> None:
    text = (TEMPLATES / "README.md").read_text(encoding="utf-8")
    for file in TEMPLATES.rglob("*.yaml"):
        assert f"`{file.relative_to(TEMPLATES).as_posix()}`" in text
    assert ", ".join(REQUIRABLE) in text
