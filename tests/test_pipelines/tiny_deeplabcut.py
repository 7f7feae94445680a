"""DeepLabCut's side of the real test, in a process of its own (its import takes a minute and warns a lot).

`make FOLDER VIDEO BODYPART…` writes a small untrained network (snapshot.pt, pytorch_config.yaml) and what DeepLabCut's
own runner finds with it (reference.npy). `read FOLDER VIDEO SCORER` reads FOLDER/<video><scorer>.h5 as DeepLabCut does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def make(folder: Path, video: Path, bodyparts: list[str]) -> None:
    """A network with random weights that are the same every time."""
    import torch
    from deeplabcut.pose_estimation_pytorch.apis.utils import get_pose_inference_runner
    from deeplabcut.pose_estimation_pytorch.config import PoseConfig
    from deeplabcut.pose_estimation_pytorch.models.model import PoseModel

    from labsys.storage.video import read_frames

    project = {
        "Task": "tiny", "scorer": "nobody", "date": "Nov22", "multianimalproject": False, "identity": False,
        "project_path": str(folder), "bodyparts": bodyparts, "engine": "pytorch", "video_sets": {}, "skeleton": [],
    }  # fmt: skip
    path = folder / "pytorch_config.yaml"
    config = PoseConfig.build(project, path, net_type="hrnet_w18", top_down=False, save=False)
    config.model.backbone["model_name"] = "hrnet_w18_small"
    # The small one ends in 16 channels, hrnet_w18 in 18.
    config.model.backbone_output_channels = 16
    for head in ("heatmap_config", "locref_config"):
        config.model.heads["bodypart"][head]["channels"][0] = 16
    config.to_yaml(path)
    config = PoseConfig.from_yaml(path)
    config.inference.multithreading.enabled = False
    torch.manual_seed(0)
    model = PoseModel.build(config["model"], weight_init=None, pretrained_backbone=False)
    torch.save({"metadata": {"epoch": 0}, "model": model.state_dict()}, folder / "snapshot.pt")
    runner = get_pose_inference_runner(config, snapshot_path=folder / "snapshot.pt", batch_size=8, device="cpu")
    found = runner.inference(list(read_frames(video)))
    np.save(folder / "reference.npy", np.stack([f["bodyparts"][0] for f in found]))


def read(folder: Path, video: Path, scorer: str) -> None:
    """Load landmarks and filter them, as people do with files of analyze_videos."""
    from deeplabcut.post_processing.filtering import columnwise_spline_interp
    from deeplabcut.utils import auxiliaryfunctions

    table, path, _, _ = auxiliaryfunctions.load_analyzed_data(str(folder), video.stem, scorer)
    filled = columnwise_spline_interp(table.to_numpy(), 3)
    sys.stdout.write(f"{Path(path).name} {len(table)} {len(filled)} {table.columns.names}\n")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
    else:
        read(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
