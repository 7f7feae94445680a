"""The process that trains: `python -m pipelines.modelling.trainer JOB.json`. The only place that trains a network."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labsys.capture.priority import die_with_parent
from labsys.core.errors import LabsysError, MissingPartError
from labsys.storage.documents import load_document
from pipelines.modelling.beginning import begin, find_weights
from pipelines.modelling.job import TrainingJob
from pipelines.modelling.recipe import TrainingRecipe
from pipelines.pose.backbones import TIMM_BRANCHES, count_channels, register_backbones
from pipelines.pose.dlc import EXTRA
from pipelines.pose.job import Kind, failure, message

CONFIG_FILE = "pytorch_config.yaml"
# DeepLabCut's configuration is built for this one; its backbone and head are exchanged then.
_NET_TYPE = "hrnet_w18"


def train(job: TrainingJob) -> None:
    """Train with DeepLabCut; snapshots and its configuration come into the job's folder.

    Raises:
        MissingPartError: DeepLabCut or torch is not installed.
    """
    try:
        import torch
        from deeplabcut.pose_estimation_pytorch import COCOLoader
        from deeplabcut.pose_estimation_pytorch.apis import training
        from deeplabcut.pose_estimation_pytorch.task import Task
        from deeplabcut.pose_estimation_pytorch.utils import fix_seeds

        register_backbones()
    except ImportError as error:
        raise MissingPartError(f"DeepLabCut is not installed ({error})", remedy=EXTRA) from error
    if job.threads:
        torch.set_num_threads(job.threads)
    path = Path(job.out) / CONFIG_FILE
    config = write_config(job.project_config, path, job.recipe, job.symmetries)
    fix_seeds(job.recipe.seed)
    start = job.start or write_first_snapshot(config, Path(job.out) / "first.pt")
    loader = COCOLoader(job.data, model_config=path)
    device = job.device or ("cuda" if torch.cuda.is_available() else "cpu")
    keep_head = job.keep_head or not job.start
    training.PoseModel = _Builder(job.recipe.weights(loader.model_cfg["metadata"]["bodyparts"]))
    training.train(
        loader, loader.model_cfg, Task.BOTTOM_UP, device=device, snapshot_path=start, load_head_weights=keep_head
    )


def write_config(
    project_config: str, path: Path, recipe: TrainingRecipe, symmetries: Sequence[tuple[int, int]] = ()
) -> Any:
    """Write DeepLabCut's configuration of a recipe's network for a project; returns it.

    Args:
        project_config: the project's config.yaml. path: of the file to write. symmetries: as in the job.
    """
    from deeplabcut.pose_estimation_pytorch.config import PoseConfig

    config = PoseConfig.build(project_config, path, top_down=False, net_type=_NET_TYPE)
    for key, value in settings(recipe, len(config.metadata.bodyparts), symmetries).items():
        config.set_nested(key, value)
    config.to_yaml(path, overwrite=True)
    return config


_HEATMAP_WEIGHT = 20.0


class _Builder:
    """Builds DeepLabCut's model with its weights in the order in which convolutions are fastest (a fifth sooner), and
    with a loss that weighs the landmarks; DeepLabCut's configuration has no word for that, and needs none later."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = weights

    def build(self, *arguments: Any, **options: Any) -> Any:
        import torch
        from deeplabcut.pose_estimation_pytorch.models import PoseModel

        model = PoseModel.build(*arguments, **options).to(memory_format=torch.channels_last)
        if len(set(self._weights)) > 1:
            head = model.heads["bodypart"]
            head.criterion["heatmap"] = weigh_landmarks(head.criterion["heatmap"], self._weights)
        return model


def weigh_landmarks(criterion: Any, weights: Sequence[float]) -> Any:
    """DeepLabCut's criterion of heatmaps with a weight for each landmark's, K of them; brought to a mean of 1."""
    import torch

    shares = torch.tensor(weights, dtype=torch.float32)
    shares = (shares / shares.mean())[:, None, None]

    class Weighed(torch.nn.Module):  # type: ignore[misc, unused-ignore] # Any where torch is not installed
        def forward(self, output: Any, target: Any, weights: Any = 1.0, **options: Any) -> Any:
            return criterion(output, target, weights * shares.to(output.device), **options)

    return Weighed()


def settings(recipe: TrainingRecipe, n_parts: int, symmetries: Sequence[tuple[int, int]]) -> Mapping[str, Any]:
    """What differs from DeepLabCut's own configuration, dotted key -> value."""
    changed: dict[str, Any] = {
        "data.inference.auto_padding": {"pad_width_divisor": 32, "pad_height_divisor": 32, "position": "top_left"},
        "data.train": _augmentation(recipe, symmetries),
        "runner.optimizer": {"type": "AdamW", "params": {"lr": recipe.learning_rate, "weight_decay": 0.01}},
        "runner.scheduler": _schedule(recipe.epochs),
        "runner.eval_interval": max(1, recipe.epochs // 6),
        # No such measure: the last snapshot of a cosine is the one to keep, not the luckiest on few pictures.
        "runner.key_metric": "none",
        "runner.snapshots.max_snapshots": 2,
        "runner.snapshots.save_epochs": max(1, recipe.epochs // 6),
        "train_settings.batch_size": recipe.batch_size,
        "train_settings.epochs": recipe.epochs,
        "train_settings.dataloader_workers": 1,
        "train_settings.display_iters": 25,
        "train_settings.seed": recipe.seed,
        "model.heads.bodypart.target_generator.pos_dist_thresh": recipe.heatmap_px,
        "model.heads.bodypart.weight_init": {"type": "Normal", "std": 0.01},
        # Of a map's cells one in a thousand is not zero. Weighed as DeepLabCut does, nine tenths of the loss would be
        # the offsets', and heatmaps would stay empty for hours.
        "model.heads.bodypart.criterion.heatmap.weight": _HEATMAP_WEIGHT,
    }
    return changed | _network(recipe, n_parts)


def _network(recipe: TrainingRecipe, n_parts: int) -> dict[str, Any]:
    channels = count_channels(recipe.backbone)
    return {
        "model.backbone": {
            "type": TIMM_BRANCHES,
            "model_name": recipe.backbone,
            "still_stages": recipe.still_stages,
            "freeze_bn_weights": False,
            # Batches are small, and what is normalised is known from photographs.
            "freeze_bn_stats": True,
        },
        "model.backbone_output_channels": channels,
        "model.heads.bodypart.heatmap_config": _head(channels, recipe.head_channels, n_parts),
        "model.heads.bodypart.locref_config": _head(channels, recipe.head_channels, 2 * n_parts),
    }


def _head(channels: int, between: int, outputs: int) -> dict[str, Any]:
    """Two layers in every cell by itself: what is coarse says where to look, what is fine where exactly."""
    return {"channels": [channels, between, outputs], "kernel_size": [1, 1], "strides": [1, 1]}


def _augmentation(recipe: TrainingRecipe, symmetries: Sequence[tuple[int, int]]) -> dict[str, Any]:
    mirrored = {"hflip": {"p": 0.5, "symmetries": [list(pair) for pair in symmetries]}} if recipe.mirror else {}
    return {
        **mirrored,
        "affine": {
            "p": 0.9,
            "rotation": recipe.turn_deg,
            "scaling": list(recipe.scale),
            "translation": recipe.shift_px,
        },
        "gaussian_noise": recipe.noise,
        "motion_blur": False,
        "normalize_images": True,
    }


def _schedule(epochs: int) -> dict[str, Any]:
    warm = {"type": "LinearLR", "params": {"start_factor": 0.3, "total_iters": 1}}
    cosine = {"type": "CosineAnnealingLR", "params": {"T_max": max(epochs - 1, 1)}}
    return {"type": "SequentialLR", "params": {"schedulers": [warm, cosine], "milestones": [1]}}


def write_first_snapshot(config: Any, path: Path) -> str:
    """A snapshot of a network that knows photographs: DeepLabCut would fetch weights from the internet.

    Raises:
        MissingPartError: its weights are not installed. InputError: they are of another network.
    """
    import torch
    from deeplabcut.pose_estimation_pytorch.models import PoseModel

    register_backbones()
    model = PoseModel.build(config["model"], weight_init=None, pretrained_backbone=False)
    begin(model.backbone, torch.load(find_weights(), map_location="cpu", weights_only=True))
    torch.save({"metadata": {"epoch": 0}, "model": model.state_dict()}, path)
    return str(path)


class _Teller(logging.Handler):
    """Passes on what DeepLabCut logs, a message a line."""

    def __init__(self, out: Any) -> None:
        super().__init__(logging.INFO)
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        self._out.write(message(Kind.NOTE, text=record.getMessage()))
        self._out.flush()


def main(arguments: Sequence[str]) -> int:
    """Do the training of a job file; what libraries print goes to stderr, so that messages stay readable."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.getLogger().addHandler(_Teller(out))
    logging.getLogger().setLevel(logging.INFO)
    with out:
        try:
            train(load_document(Path(arguments[0]), TrainingJob))
        except LabsysError as error:
            out.write(failure(error))
            return error.exit_code
        out.write(json.dumps({"kind": Kind.DONE.value}) + "\n")
    return 0


if __name__ == "__main__":
    die_with_parent(os.getppid())
    raise SystemExit(main(sys.argv[1:]))
