"""DeepLabCut's networks (PyTorch). Imported in the network's own process only: the import takes tens of seconds."""

from __future__ import annotations

import importlib.metadata
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, MissingPartError
from pipelines.pose.job import PoseJob
from pipelines.pose.network import DeviceMemoryError

EXTRA = "pip install 'labsys[pose]'"


class DeepLabCutNetwork:
    """A loaded network of DeepLabCut.

    Its runner's own loop is not used: that one shares a list between threads and can lose frames. The steps it is made
    of are called here, one frame in and one answer out.
    """

    def __init__(self, runner: Any, torch: Any, device: str) -> None:
        self._runner, self._torch = runner, torch
        self.device = torch.cuda.get_device_name() if device.startswith("cuda") else device
        self.versions = {name: importlib.metadata.version(name) for name in ("deeplabcut", "torch")}

    def prepare(self, picture: NDArray[np.uint8]) -> Any:
        """A tensor (3, H, W), and how to come back from its pixels."""
        inputs, context = self._runner.preprocessor(picture, {})
        return inputs[0], context

    def predict(self, prepared: Sequence[Any]) -> list[FloatArray]:
        """Per picture (K, 3) px and likelihood; NaN where nothing was found."""
        torch = self._torch
        try:
            with torch.inference_mode():
                raw = self._runner.predict(torch.stack([inputs for inputs, _ in prepared]))
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise DeviceMemoryError(f"out of memory: {error}") from error
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
            raise DeviceMemoryError(f"out of memory: {error}") from error
        return [self._answer(head, context) for head, (_, context) in zip(raw, prepared, strict=True)]

    def _answer(self, head: Any, context: dict[str, Any]) -> FloatArray:
        # The context is changed on the way; a frame that is looked at again (less memory) needs the first one.
        answer, _ = self._runner.postprocessor([head], dict(context))
        people = np.asarray(answer["bodyparts"], dtype=np.float64)[..., :3]
        return people[0] if len(people) else np.full(people.shape[1:], np.nan)


def load_network(job: PoseJob) -> DeepLabCutNetwork:
    """Load weights and configuration of a job.

    Raises:
        MissingPartError: DeepLabCut or torch is not installed. InputError: the files do not make the network that the
            job is about, or they are of a kind that needs a detector.
    """
    try:
        import torch
        from deeplabcut.pose_estimation_pytorch.apis.utils import get_pose_inference_runner
        from deeplabcut.pose_estimation_pytorch.config import PoseConfig

        import pipelines.pose.backbones  # noqa: F401  (makes labsys's backbones known)
    except ImportError as error:
        raise MissingPartError(f"DeepLabCut is not installed ({error})", remedy=EXTRA) from error
    config = PoseConfig.from_yaml(Path(job.config))
    _check(config, job)
    config.inference.multithreading.enabled = False
    # Weights alone are read: a pack from elsewhere must not be able to run code.
    config.runner.load_weights_only = True
    device = job.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        runner = get_pose_inference_runner(config, snapshot_path=job.snapshot, device=device)
    except (RuntimeError, KeyError, ValueError, OSError, pickle.UnpicklingError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"weights and configuration do not make a network: {first}",
            where=job.snapshot,
            remedy="Pack the model again; labsys model check tells what differs",
        ) from error
    return DeepLabCutNetwork(runner, torch, device)


def _check(config: Any, job: PoseJob) -> None:
    found = tuple(map(str, config["metadata"]["bodyparts"]))
    if found != job.body_parts:
        raise InputError("the configuration has other body parts than the model", where=job.config)
    method = str(getattr(config["method"], "value", config["method"])).lower()
    if method != "bu":
        raise InputError(
            f"models of method '{method}' need a detector, which labsys does not run yet", where=job.config
        )
    people = len(config["metadata"]["individuals"])
    if people != 1 or config["metadata"]["unique_bodyparts"]:
        raise InputError(f"the model is for {people} individuals or has unique body parts", where=job.config)
