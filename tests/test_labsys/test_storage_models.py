"""Model packs: description, hashes, body parts, and what their landmarks promise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labsys.core.catalogue import METRICS
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.landmark_contract import check_landmarks
from labsys.core.pose_model import CropMode, PoseModel
from labsys.core.skeleton import COCO_17, HALPE_26, LABSYS_RUN_37, RUN_MINIMUM, Tier, lacking_landmarks, tier_of
from labsys.storage.atomic import hash_file
from labsys.storage.lab import Lab, create_lab
from labsys.storage.models import StoredModel, copy_model, list_models, load_model, save_model, verify_model

PARTS = ("hip", "knee")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    snapshot, config = tmp_path / "weights.pt", tmp_path / "any.yaml"
    snapshot.write_bytes(b"weights")
    config.write_text("metadata:\n  bodyparts: [hip, knee]\n")
    return snapshot, config


def _model(files: tuple[Path, Path]) -> PoseModel:
    return PoseModel(PARTS, hash_file(files[0]), hash_file(files[1]), aliases={"hip": "RHip"}, knows="drawings")


def _saved(lab: Lab, files: tuple[Path, Path]) -> StoredModel:
    return save_model(lab, "m1", _model(files), snapshot=files[0], config=files[1])


def test_a_pack_comes_back_as_it_was_saved(lab: Lab, files: tuple[Path, Path]) -> None:
    saved = _saved(lab, files)
    loaded = load_model(lab, "m1")
    assert loaded == saved
    assert list_models(lab) == ("m1",)
    assert loaded.model.landmarks == ("RHip", "knee")
    verify_model(loaded)


def test_a_pack_from_elsewhere_is_copied_with_all_that_is_in_it(
    lab: Lab, files: tuple[Path, Path], tmp_path: Path
) -> None:
    detector, seen = tmp_path / "det.pth", tmp_path / "pictures.txt"
    detector.write_bytes(b"finds people")
    seen.write_text("a picture\n")
    model = replace(
        _model(files), net_input_px=(64, 64), crop=CropMode.FOLLOW, detector_sha256=hash_file(detector), detect_every=16
    )
    pack = save_model(
        create_lab(tmp_path / "other"),
        "m1",
        model,
        snapshot=files[0],
        config=files[1],
        detector=detector,
        beside=[seen],
    )
    copied = copy_model(lab, pack)
    verify_model(copied)
    assert load_model(lab, "m1").model == model
    contents = [{path.name: path.read_bytes() for path in m.folder.iterdir()} for m in (pack, copied)]
    assert contents[0] == contents[1]
    assert "pictures.txt" in contents[1]


def test_words_leave_the_digest_as_it_is_and_what_decides_does_not(files: tuple[Path, Path]) -> None:
    model = _model(files)
    assert replace(model, knows="people", license="MIT", evaluation={"error_px": 2.0}).digest == model.digest
    others = (
        replace(model, aliases={}),
        replace(model, net_input_px=(64, 64)),
        replace(model, net_input_px=(64, 64), crop=CropMode.FOLLOW),
        replace(model, snapshot_sha256="0"),
        replace(model, body_parts=("hip", "ankle")),
    )
    assert len({model.digest, *(m.digest for m in others)}) == 1 + len(others)


@pytest.mark.parametrize("name", ["snapshot.pt", "pytorch_config.yaml"])
def test_changed_and_missing_files_are_named(lab: Lab, files: tuple[Path, Path], name: str) -> None:
    saved = _saved(lab, files)
    (saved.folder / name).write_bytes(b"other")
    with pytest.raises(InputError, match=rf"{name} is not the one that model m1 was packed with"):
        verify_model(saved)
    (saved.folder / name).unlink()
    with pytest.raises(InputError, match=f"model m1 lacks {name}"):
        verify_model(saved)


def test_other_body_parts_than_the_configuration_are_refused_and_nothing_stays(
    lab: Lab, files: tuple[Path, Path]
) -> None:
    wrong = replace(_model(files), body_parts=("hip", "ankle"))
    with pytest.raises(InputError, match=r"other body parts than model\.json: ankle, knee"):
        save_model(lab, "m1", wrong, snapshot=files[0], config=files[1])
    assert list_models(lab) == ()
    assert list((lab.root / "models").iterdir()) == []


def test_models_are_written_once_and_unknown_ones_named(lab: Lab, files: tuple[Path, Path]) -> None:
    _saved(lab, files)
    with pytest.raises(InputError, match="there is a model m1 already"):
        _saved(lab, files)
    with pytest.raises(UnknownNameError, match="Did you mean 'm1'"):
        load_model(lab, "m2")


def test_an_unknown_field_in_a_description_is_refused(lab: Lab, files: tuple[Path, Path]) -> None:
    saved = _saved(lab, files)
    path = saved.folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "body_part": []}))
    with pytest.raises(InputError, match=r"unknown field 'body_part'.*Did you mean 'body_parts'"):
        load_model(lab, "m1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"body_parts": ()}, "no body parts"),
        ({"body_parts": ("hip", "hip")}, "more than once: hip"),
        ({"aliases": {"toe": "RHip"}}, "lacks: toe"),
        ({"aliases": {"hip": "knee"}}, "more than once: knee"),
        ({"net_input_px": (0, 5)}, "0x5"),
        ({"crop": CropMode.FOLLOW}, "net_input_px"),
    ],
)
def test_descriptions_that_cannot_be_are_refused(
    files: tuple[Path, Path], change: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        replace(_model(files), **change)  # type: ignore[arg-type]  # each case changes another field


def test_the_full_set_promises_every_metric() -> None:
    contract = check_landmarks(LABSYS_RUN_37.landmarks)
    assert (contract.tier, contract.missing, contract.unknown) == (Tier.T3, (), ())
    assert check_landmarks(RUN_MINIMUM).missing == ()


def test_coco_says_which_metrics_will_be_missing_and_what_they_need() -> None:
    contract = check_landmarks((*COCO_17.landmarks, "tail"))
    assert (contract.tier, contract.unknown) == (Tier.T0, ("tail",))
    assert {m.id for m in contract.missing} == {m.id for m in METRICS if m.tier > Tier.T0}
    reasons = {m.id: m.reason for m in contract.missing}
    assert reasons["contact_time"].startswith("needs tier T1: RHeel, RBigToe, LHeel, LBigToe")
    assert "RASIS" in reasons["hip_ext_excursion_stance"]


def test_landmarks_that_give_nothing_miss_everything() -> None:
    contract = check_landmarks(("Nose",))
    assert contract.tier is None
    assert {m.id for m in contract.missing} == {m.id for m in METRICS}


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("have", [(), ("Nose", "RGT"), COCO_17.landmarks, HALPE_26.landmarks, RUN_MINIMUM])
def test_adding_what_is_lacking_reaches_the_tier_and_less_does_not(have: tuple[str, ...], tier: Tier) -> None:
    lacking = lacking_landmarks(have, tier)
    reached = tier_of((*have, *lacking))
    assert reached is not None
    assert reached >= tier
    for name in lacking:
        less = tier_of(tuple(n for n in (*have, *lacking) if n != name))
        assert less is None or less < tier
