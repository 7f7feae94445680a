"""DeepLabCut's side of the real tests, in a process of its own (its import takes a minute and warns a lot).

`make FOLDER VIDEO BODYPART…` writes a project with a small untrained network, and analyze_videos looks at the video
(FOLDER/dlc/*.h5). `read FOLDER VIDEO` filters and reads FOLDER/<video><scorer of analyze_videos>.h5 as DeepLabCut does.
`person FOLDER VIDEO SIZE` writes the weights of a public model, small or whole, and what DeepLabCut's own code for it
finds (reference.npy); its detector takes every picture for one large person.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

TASK, DATE, SHUFFLE = "tiny", "Nov22", 1
# Space that DeepLabCut leaves around a box here: as much as labsys does around a person 320 px high.
PERSON_MARGIN_PX = 32


def make(folder: Path, video: Path, bodyparts: list[str]) -> None:
    """A project whose network has random weights that are the same every time."""
    import torch
    import yaml
    from deeplabcut.pose_estimation_pytorch import analyze_videos
    from deeplabcut.pose_estimation_pytorch.config import PoseConfig
    from deeplabcut.pose_estimation_pytorch.models.model import PoseModel

    from labsys.storage.exchange.dlc_project import DlcProject, create_dlc_project
    from labsys.storage.video import read_frames

    frame = next(iter(read_frames(video)))
    project = DlcProject(folder / "dlc", TASK, "nobody", tuple(bodyparts))
    create_dlc_project(project, {video: (frame.shape[1], frame.shape[0])}, date=DATE)
    train = project.folder / f"dlc-models-pytorch/iteration-0/{TASK}{DATE}-trainset95shuffle{SHUFFLE}/train"
    train.mkdir(parents=True)
    path = train / "pytorch_config.yaml"
    told = {
        "Task": TASK, "scorer": "nobody", "date": DATE, "multianimalproject": False, "identity": False,
        "project_path": str(project.folder), "bodyparts": bodyparts, "engine": "pytorch", "video_sets": {},
        "skeleton": [],
    }  # fmt: skip
    config = PoseConfig.build(told, path, net_type="hrnet_w18", top_down=False, save=False)
    config.model.backbone["model_name"] = "hrnet_w18_small"
    # The small one ends in 16 channels, hrnet_w18 in 18.
    config.model.backbone_output_channels = 16
    for head in ("heatmap_config", "locref_config"):
        config.model.heads["bodypart"][head]["channels"][0] = 16
    config.inference.multithreading.enabled = False
    config.to_yaml(path)
    # What create_training_dataset writes beside it; analyze_videos notes some of it down.
    (train.parent / "test").mkdir()
    joints = {"all_joints": [[i] for i in range(len(bodyparts))], "all_joints_names": bodyparts}
    (train.parent / "test" / "pose_cfg.yaml").write_text(yaml.safe_dump(joints))
    torch.manual_seed(0)
    model = PoseModel.build(PoseConfig.from_yaml(path)["model"], weight_init=None, pretrained_backbone=False)
    torch.save({"metadata": {"epoch": 1}, "model": model.state_dict()}, train / "snapshot-001.pt")
    analyze_videos(str(project.config), [str(video)], shuffle=SHUFFLE, destfolder=str(project.folder), device="cpu")


def read(folder: Path, video: Path) -> None:
    """Filter landmarks and load both, as people do with files of analyze_videos."""
    import deeplabcut
    from deeplabcut.utils import auxiliaryfunctions

    config = folder / "dlc" / "config.yaml"
    cfg = auxiliaryfunctions.read_config(str(config))
    scorer, _ = auxiliaryfunctions.get_scorer_name(cfg, SHUFFLE, 0.95)
    table, path, _, _ = auxiliaryfunctions.load_analyzed_data(str(folder), video.stem, scorer)
    deeplabcut.filterpredictions(
        str(config), [str(video)], shuffle=SHUFFLE, destfolder=str(folder), save_as_csv=False, filtertype="median"
    )
    smooth, filtered, _, _ = auxiliaryfunctions.load_analyzed_data(str(folder), video.stem, scorer, filtered=True)
    sys.stdout.write(f"{Path(path).name} {len(table)} {Path(filtered).name} {len(smooth)} {table.columns.names}\n")


def person(folder: Path, video: Path, size: str) -> None:
    """Weights of RTMPose and of the detector from nothing, and DeepLabCut's own answers with them."""
    import torch
    import yaml
    from deeplabcut.pose_estimation_pytorch.config import PoseConfig
    from deeplabcut.pose_estimation_pytorch.models.model import PoseModel
    from deeplabcut.pose_estimation_pytorch.modelzoo import inference_helpers
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn

    from labsys.storage.video import read_frames
    from pipelines.pose.public import SUPERANIMAL_HUMANBODY, find_zoo_config

    document: dict[str, Any] = yaml.safe_load(find_zoo_config(SUPERANIMAL_HUMANBODY.config).read_text())
    if size == "small":
        _shrink(document)
    (folder / "zoo.yaml").write_text(yaml.safe_dump(document))
    document["metadata"] |= {"individuals": ["subject"], "project_path": None, "pose_config_path": None}
    document["data"]["inference"]["top_down_crop"]["margin"] = PERSON_MARGIN_PX
    document |= {"inference": {"multithreading": {"enabled": False}}, "device": "cpu"}
    (folder / "reference.yaml").write_text(yaml.safe_dump(document))
    config = PoseConfig.from_yaml(folder / "reference.yaml")
    torch.manual_seed(0)
    model = PoseModel.build(config["model"], weight_init=None, pretrained_backbone=False)
    pose = folder / SUPERANIMAL_HUMANBODY.pose.name
    torch.save({"model": model.state_dict()}, pose)
    detector = fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None)
    with torch.no_grad():
        # Whatever it sees is a person, as large as the picture.
        detector.rpn.head.bbox_pred.bias.view(-1, 4)[:, 2:] = 4.0
        detector.roi_heads.box_predictor.cls_score.bias[1] = 20.0
        detector.roi_heads.box_predictor.bbox_pred.bias[4:8] = torch.tensor([0.0, 0.0, 20.0, 20.0])
    weights = folder / SUPERANIMAL_HUMANBODY.detector.name
    torch.save(detector.state_dict(), weights)
    # Where torch hub looks before it downloads.
    cached = folder / "hub" / "checkpoints" / weights.name
    cached.parent.mkdir(parents=True)
    cached.symlink_to(weights)
    torch.hub.set_dir(str(folder / "hub"))
    runner, finder, _ = inference_helpers.create_superanimal_inference_runners(
        "superanimal_humanbody",
        "rtmpose_x",
        max_individuals=1,
        customized_model_config=config,
        customized_pose_checkpoint=pose,
    )
    frames = list(read_frames(video))
    boxes = finder.inference(frames)
    found = runner.inference(list(zip(frames, boxes, strict=True)))
    np.save(folder / "boxes.npy", np.stack([b["bboxes"][0] for b in boxes]))
    np.save(folder / "reference.npy", np.stack([f["bodyparts"][0] for f in found]))


def _shrink(document: dict[str, Any]) -> None:
    """The same kinds of layers, a fiftieth of the weights."""
    backbone, head = document["model"]["backbone"], document["model"]["heads"]["bodypart"]
    backbone |= {"deepen_factor": 0.167, "widen_factor": 0.125}
    document["model"]["backbone_output_channels"] = head["in_channels"] = 128


if __name__ == "__main__":
    action, *arguments = sys.argv[1:]
    match action:
        case "make":
            make(Path(arguments[0]), Path(arguments[1]), arguments[2:])
        case "read":
            read(Path(arguments[0]), Path(arguments[1]))
        case "person":
            person(Path(arguments[0]), Path(arguments[1]), arguments[2])
