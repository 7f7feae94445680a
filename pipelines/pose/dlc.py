"""DeepLabCut's networks (PyTorch). Imported in the network's own process only: the import takes tens of seconds."""

from __future__ import annotations

import importlib.metadata
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from calibration.processors import n_processors
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, LabsysError, MissingPartError
from pipelines.pose.backbones import register_backbones
from pipelines.pose.job import PoseJob
from pipelines.pose.lighten import lighten
from pipelines.pose.network import DeviceMemoryError
from pipelines.pose.person import PersonDetector, load_detector

T = TypeVar("T")
EXTRA = "pip install 'labsys[pose]'"
# Size of the picture that a network is tried with where its pack names none.
_TRIAL_PX = (64, 64)
# What torch and DeepLabCut raise where configuration and weights do not fit, by the layer that notices it.
_MISFITS = (
    RuntimeError, KeyError, ValueError, OSError, TypeError, AttributeError, AssertionError, IndexError,
    NotImplementedError, ImportError, pickle.UnpicklingError, EOFError,
)  # fmt: skip
_REMEDY = "Pack the model again; labsys model check tells what differs"


class DeepLabCutNetwork:
    """A loaded network of DeepLabCut.

    Its runner's own loop is not used: that one shares a list between threads and can lose frames. The steps it is made
    of are called here, one frame in and one answer out.
    """

    def __init__(self, runner: Any, torch: Any, device: str, detector: PersonDetector | None = None) -> None:
        self._runner, self._torch, self._detector = runner, torch, detector
        self.device = torch.cuda.get_device_name() if device.startswith("cuda") else device
        self.versions = {name: importlib.metadata.version(name) for name in ("deeplabcut", "torch")}

    def prepare(self, picture: NDArray[np.uint8]) -> Any:
        """A tensor (3, H, W), and how to come back from its pixels."""
        # Networks that look at one person are told where in the picture: they are shown nothing else.
        person = {"bboxes": np.array([[0, 0, picture.shape[1], picture.shape[0]]])} if self._detector else {}
        inputs, context = self._runner.preprocessor(picture, person)
        return inputs[0], context

    def predict(self, prepared: Sequence[Any]) -> list[FloatArray]:
        """Per picture (K, 3) px and likelihood; NaN where nothing was found."""

        def look() -> Any:
            return self._runner.predict(self._torch.stack([inputs for inputs, _ in prepared]))

        raw = self._within_memory(look)
        return [self._answer(head, context) for head, (_, context) in zip(raw, prepared, strict=True)]

    def share(self, n: int) -> int:
        """On a processor a thread per core: layers are too small to be shared well, and what comes before and after
        them is one thread's work. A graphics card is asked by one."""
        if self.device != "cpu":
            return 1
        processors = n_processors()
        threads = min(n, processors)
        self._torch.set_num_threads(max(1, processors // threads))
        return threads

    def detect(self, frame: NDArray[np.uint8]) -> FloatArray:
        """People in a frame, (N, 5): left, top, right, bottom px and score."""
        detector = self._detector
        if detector is None:
            raise LabsysError("the network has no detector")
        return self._within_memory(lambda: detector.find(frame))

    def _within_memory(self, work: Callable[[], T]) -> T:
        with _memory_told(self._torch), self._torch.inference_mode():
            return work()

    def _answer(self, head: Any, context: dict[str, Any]) -> FloatArray:
        # The context is changed on the way; a frame that is looked at again (less memory) needs the first one.
        answer, _ = self._runner.postprocessor([head], dict(context))
        people = np.asarray(answer["bodyparts"], dtype=np.float64)[..., :3]
        return people[0] if len(people) else np.full(people.shape[1:], np.nan)


@contextmanager
def _memory_told(torch: Any) -> Iterator[None]:
    """Raise what torch raises where memory is short as DeviceMemoryError."""
    remedy = "Close other programs that use the device, or use a smaller model"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise DeviceMemoryError(f"out of memory: {error}", remedy=remedy) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        raise DeviceMemoryError(f"out of memory: {error}", remedy=remedy) from error


def load_network(job: PoseJob) -> DeepLabCutNetwork:
    """Load weights and configuration of a job, and try them on a picture.

    Raises:
        MissingPartError: DeepLabCut or torch is not installed. InputError: the files do not make the network that the
            job is about, or they are of a kind that needs a detector and have none. DeviceMemoryError: the device does
            not hold them.
    """
    try:
        import torch
        from deeplabcut.pose_estimation_pytorch.apis.utils import get_pose_inference_runner
        from deeplabcut.pose_estimation_pytorch.config import PoseConfig

        register_backbones()
    except ImportError as error:
        raise MissingPartError(f"DeepLabCut is not installed ({error})", remedy=EXTRA) from error
    device = job.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with _memory_told(torch):
            detector = load_detector(Path(job.detector), torch, device) if job.detector else None
            config = PoseConfig.from_yaml(Path(job.config))
            _check(config, job)
            config.inference.multithreading.enabled = False
            # Weights alone are read: a pack from elsewhere must not be able to run code.
            config.runner.load_weights_only = True
            runner = get_pose_inference_runner(config, snapshot_path=job.snapshot, device=device)
            lighten(runner.model)
            network = DeepLabCutNetwork(runner, torch, device, detector)
            try_network(network, job)
    except _MISFITS as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"weights and configuration do not make a network: {first}", where=job.snapshot, remedy=_REMEDY
        ) from error
    return network


def try_network(network: DeepLabCutNetwork, job: PoseJob) -> None:
    """Show a network one black picture: a pack of another network than it says must not fail in the middle of a video.

    Raises:
        InputError: it answers with another number of landmarks.
    """
    width, height = job.net_input_px or _TRIAL_PX
    (answer,) = network.predict([network.prepare(np.zeros((height, width, 3), dtype=np.uint8))])
    if answer.shape != (len(job.body_parts), 3):
        raise InputError(
            f"the network finds {answer.shape[0]} landmarks, the model has {len(job.body_parts)}",
            where=job.snapshot,
            remedy=_REMEDY,
        )


def _check(config: Any, job: PoseJob) -> None:
    found = tuple(map(str, config["metadata"]["bodyparts"]))
    if found != job.body_parts:
        raise InputError("the configuration has other body parts than the model", where=job.config)
    method = str(getattr(config["method"], "value", config["method"])).lower()
    if method == "td" and not job.detector:
        raise InputError(
            "the network looks at one person at a time, and the model has no detector to find them",
            where=job.config,
            remedy="See 'labsys model add'",
        )
    if method != ("td" if job.detector else "bu"):
        raise InputError(f"labsys does not run models of method '{method}'", where=job.config)
    people = len(config["metadata"]["individuals"])
    if people != 1 or config["metadata"]["unique_bodyparts"]:
        raise InputError(f"the model is for {people} individuals or has unique body parts", where=job.config)
