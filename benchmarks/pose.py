"""Finding landmarks in video beside the bare network on the same frames: what decoding, cutting and batching add."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.measure import Result
from labsys.core.skeleton import LABSYS_RUN_37
from labsys.storage.exchange.dlc_project import DlcProject, create_dlc_project
from labsys.storage.video import read_frames, write_jpeg_video
from pipelines.dlc import require_deeplabcut
from pipelines.modelling.recipe import TrainingRecipe
from pipelines.modelling.trainer import write_config, write_first_snapshot
from pipelines.pose.backbones import register_backbones
from pipelines.pose.dlc import DeepLabCutNetwork, load_network
from pipelines.pose.inference import Inference
from pipelines.pose.job import JobCamera, PoseJob
from pipelines.pose.views import whole_frame

SIZE_PX, RATE_HZ, N_FRAMES, N_CAMERAS, REPEATS = (1280, 720), 60.0, 24, 2, 5
ASKED = 1.15


def measure_pose() -> Result:
    """Processor time of a job against that of the network's forward passes on the very same batches, in turns.

    The network is the one that `labsys model train` begins with: what it finds costs the same. Its forward passes are
    measured as DeepLabCut has them, and, which is harder to come near, as labsys puts them in order for looking.
    """
    require_deeplabcut()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        job = _make_job(folder)
        network, plain = load_network(job), load_plain_model(Path(job.config), Path(job.snapshot))
        batches = _batches(job, network)
        whole, bare, lighter = [], [], []
        for turn in range(REPEATS + 1):
            whole.append(_cpu_s(partial(_run, job, network, folder / str(turn))))
            bare.append(_cpu_s(partial(_forward, plain, batches)))
            lighter.append(_cpu_s(partial(_forward, network._runner.model, batches)))
        # The first turn warms up.
        ours, theirs = statistics.median(whole[1:]), statistics.median(bare[1:])
    return Result(
        name="pose_2d",
        ours=ours,
        peer="DeepLabCut's bare network",
        theirs=theirs,
        unit="s",
        accuracy={"frames": float(N_FRAMES * N_CAMERAS)},
        asked=round(1.0 / ASKED, 2),
        clock="cpu",
        details={
            "input": f"{N_CAMERAS} videos of {N_FRAMES} frames, {SIZE_PX[0]}x{SIZE_PX[1]} MJPEG, network of "
            f"{'x'.join(map(str, job.net_input_px or ()))}, in turns with its forward passes alone",
            "over_network": _ratios(whole, bare),
            "over_lighter_network": _ratios(whole, lighter),
        },
    )


def _make_job(folder: Path) -> PoseJob:
    recipe, parts = TrainingRecipe(), LABSYS_RUN_37.landmarks
    project = DlcProject(folder / "project", "bench", "nobody", parts)
    create_dlc_project(project, {}, date="2026-01-01")
    path = folder / "pytorch_config.yaml"
    config = write_config(str(project.config), path, recipe)
    write_first_snapshot(config, folder / "snapshot.pt")
    rng = np.random.default_rng(0)
    cameras = []
    for i in range(N_CAMERAS):
        video = folder / f"{i}.mkv"
        times_s = [n / RATE_HZ for n in range(N_FRAMES)]
        write_jpeg_video(video, (_jpeg(rng) for _ in times_s), times_s, size_px=SIZE_PX, rate_hz=RATE_HZ)
        cameras.append(JobCamera(str(i), str(video), N_FRAMES, str(folder / "parts" / str(i))))
    return PoseJob(
        snapshot=str(folder / "snapshot.pt"),
        config=str(path),
        body_parts=parts,
        cameras=tuple(cameras),
        net_input_px=recipe.net_input_px,
        device="cpu",
    )


def _jpeg(rng: np.random.Generator) -> bytes:
    """A picture that costs as much to decode as a room: smooth, with some grain."""
    coarse = rng.integers(0, 256, (SIZE_PX[1] // 40, SIZE_PX[0] // 40, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, SIZE_PX, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grainy = np.clip(smooth + rng.normal(0.0, 3.0, smooth.shape), 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", grainy, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def _run(job: PoseJob, network: DeepLabCutNetwork, parts: Path) -> None:
    cameras = tuple(replace(c, parts=str(parts / c.camera)) for c in job.cameras)
    for camera in cameras:
        Path(camera.parts).mkdir(parents=True)
    Inference(replace(job, cameras=cameras), network, say=lambda _: None, advance=lambda _, __: None).run()


def _batches(job: PoseJob, network: DeepLabCutNetwork) -> list[Any]:
    """All frames as the network takes them, in batches as large as the job's."""
    import torch

    ready = []
    for camera in job.cameras:
        for frame in read_frames(Path(camera.video)):
            view = whole_frame((frame.shape[1], frame.shape[0]), job.net_input_px)
            ready.append(network.prepare(view.cut(frame))[0])
    return [torch.stack(ready[i : i + job.batch_size]) for i in range(0, len(ready), job.batch_size)]


def load_plain_model(config: Path, snapshot: Path) -> Any:
    """The network as DeepLabCut has it, which labsys changes nothing of; in evaluation mode, on the processor."""
    from deeplabcut.pose_estimation_pytorch.apis.utils import get_pose_inference_runner
    from deeplabcut.pose_estimation_pytorch.config import PoseConfig

    register_backbones()
    return get_pose_inference_runner(PoseConfig.from_yaml(config), snapshot_path=snapshot, device="cpu").model.eval()


def _ratios(whole: list[float], part: list[float]) -> dict[str, float]:
    ratios = [a / b for a, b in zip(whole[1:], part[1:], strict=True)]
    return {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}


def _forward(model: Any, batches: list[Any]) -> None:
    import torch

    with torch.inference_mode():
        for batch in batches:
            model(batch)


def _cpu_s(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
