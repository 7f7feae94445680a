"""Models that others publish: which files they are made of, where a lab puts them, and how they become a model pack."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from labsys.core.errors import InputError, MissingPartError
from labsys.core.pose_model import CropMode, PoseModel
from labsys.core.skeleton import COCO_17
from labsys.storage.atomic import hash_file, is_there, write_text_atomic
from labsys.storage.cache import cache_folder
from labsys.storage.exchange.dlc import read_config_names, read_config_of_one
from labsys.storage.lab import Lab
from labsys.storage.models import CONFIG_FILE, StoredModel, save_model


@dataclass(frozen=True)
class PublicFile:
    """A published file.

    Attributes:
        source: its address, or where that stands.
        sha256_starts: how its SHA-256 starts, as its publisher says; "" where the publisher says nothing: then what is
            added to a lab first is what every use is checked against.
    """

    name: str
    source: str
    sha256_starts: str = ""


@dataclass(frozen=True)
class PublicModel:
    """A published network for one person, and the detector that finds them.

    Attributes:
        config: of DeepLabCut's model zoo. aliases: body part -> landmark. size_px: (width, height) it is shown.
    """

    name: str
    pose: PublicFile
    detector: PublicFile
    config: str
    aliases: Mapping[str, str]
    size_px: tuple[int, int]
    knows: str
    license: str


_SIDES = {"left": "L", "right": "R"}


def _coco_aliases() -> dict[str, str]:
    """DeepLabCut's names of COCO's points -> labsys's: left_knee -> LKnee."""
    joints = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    paired = {f"{side}_{j}": f"{letter}{j.capitalize()}" for j in joints for side, letter in _SIDES.items()}
    return {"nose": "Nose", **paired}


SUPERANIMAL_HUMANBODY = PublicModel(
    name="superanimal_humanbody",
    pose=PublicFile(
        "rtmpose-x_simcc-body7.pt", "https://huggingface.co/DeepLabCut/HumanBody/resolve/main/rtmpose-x_simcc-body7.pt"
    ),
    detector=PublicFile(
        "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth",
        "what torchvision names in FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1.url",
        sha256_starts="fb6a3cc7",
    ),
    config="rtmpose_x.yaml",
    aliases=_coco_aliases(),
    size_px=(288, 384),
    knows=f"people in everyday pictures ({COCO_17.name} points); no pelvis, spine or foot points: tier T0 only",
    license="pose: see huggingface.co/DeepLabCut/HumanBody; detector: torchvision, BSD-3-Clause",
)
PUBLIC_MODELS = {SUPERANIMAL_HUMANBODY.name: SUPERANIMAL_HUMANBODY}


def add_public_model(lab: Lab, public: PublicModel, folder: Path, *, detect_every: int = 16) -> StoredModel:
    """Make a model pack of the lab from the files that a public model is made of.

    Args:
        folder: where its two files lie. detect_every: frames from one look of the detector to the next.

    Raises:
        MissingPartError: a file is not there, or DeepLabCut, which brings the configuration, is not installed.
        InputError: a file is not the published one, or the lab has a model of that name.
    """
    _check_files(public, folder)
    with TemporaryDirectory(prefix="labsys-model-") as made:
        config = Path(made) / CONFIG_FILE
        write_text_atomic(config, read_config_of_one(find_zoo_config(public.config)))
        pose, detector = folder / public.pose.name, folder / public.detector.name
        model = PoseModel(
            body_parts=read_config_names(config),
            snapshot_sha256=hash_file(pose),
            config_sha256=hash_file(config),
            aliases=public.aliases,
            net_input_px=public.size_px,
            crop=CropMode.FOLLOW,
            detector_sha256=hash_file(detector),
            detect_every=detect_every,
            knows=public.knows,
            recipe={"published": f"{public.pose.source} and {public.detector.source}"},
            license=public.license,
        )
        return save_model(lab, public.name, model, snapshot=pose, config=config, detector=detector)


def find_zoo_config(name: str) -> Path:
    """A configuration of DeepLabCut's model zoo; DeepLabCut is not imported (MissingPartError: not installed)."""
    package = importlib.util.find_spec("deeplabcut")
    if package is None or package.origin is None:
        raise MissingPartError(
            "the configuration of public models comes with DeepLabCut, which is not installed",
            remedy="pip install 'labsys[pose]'",
        )
    path = Path(package.origin).parent / "modelzoo" / "model_configs" / name
    if not is_there(path):
        raise MissingPartError(
            "this DeepLabCut does not bring the model's configuration",
            where=str(path),
            remedy="pip install 'labsys[pose]' brings the version that does",
        )
    return path


def public_folder(public: PublicModel) -> Path:
    """Where its files are looked for, for all labs of this machine."""
    return cache_folder() / "models" / public.name


def say_how_to_get(public: PublicModel, folder: Path) -> str:
    """Which files to place where, in one sentence."""
    files = " and ".join(f"{file.source} as {folder / file.name}" for file in (public.pose, public.detector))
    elsewhere = "" if folder == public_folder(public) else f" --from {folder}"
    return f"On a machine with internet fetch {files}; then run: labsys model add {public.name}{elsewhere}"


def _check_files(public: PublicModel, folder: Path) -> None:
    absent = [file.name for file in (public.pose, public.detector) if not is_there(folder / file.name)]
    if absent:
        raise MissingPartError(
            f"{' and '.join(absent)} of public model {public.name} {'are' if len(absent) > 1 else 'is'} not there",
            where=str(folder),
            remedy=say_how_to_get(public, folder),
        )
    for file in (public.pose, public.detector):
        found = hash_file(folder / file.name)
        if not found.startswith(file.sha256_starts):
            raise InputError(
                f"is not the file that was published: SHA-256 {found[:16]}…, published {file.sha256_starts}…",
                where=str(folder / file.name),
                remedy=f"Fetch it again from {file.source}",
            )
