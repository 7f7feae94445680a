"""A job's cameras shared out among threads that ask one network, where a single one would leave processors idle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event

from labsys.core.errors import LabsysError
from pipelines.pose.inference import Inference
from pipelines.pose.job import JobCamera, PoseJob
from pipelines.pose.network import Network


@dataclass(frozen=True)
class Searched:
    """How a search went. network_s: wall time inside the network, of all threads in the mean. batch_size: the least."""

    network_s: float
    batch_size: int


class _OtherFailedError(LabsysError):
    """Another thread of the same job failed, and says why."""


def search(
    job: PoseJob, network: Network, *, say: Callable[[str], None], advance: Callable[[str, int], None]
) -> Searched:
    """Look at every frame of a job that was not looked at yet; `say` and `advance` are called from several threads.

    Raises:
        LabsysError: as `Inference.run`; what was found until then is kept.
    """
    failed = Event()

    def go_on(camera: str, n: int) -> None:
        advance(camera, n)
        if failed.is_set():
            raise _OtherFailedError("another camera's search failed")

    parts = share_cameras(job.cameras, network.share(len(job.cameras)))
    runs = [Inference(replace(job, cameras=part), network, say=say, advance=go_on) for part in parts]
    with ThreadPoolExecutor(len(runs)) as pool:
        futures = [pool.submit(run.run) for run in runs]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            failed.set()  # one failed, or somebody pressed Ctrl-C; where all are done nobody looks
    _raise_first(futures)
    return Searched(sum(run.network_s for run in runs) / len(runs), min(run.batch_size for run in runs))


def share_cameras(cameras: tuple[JobCamera, ...], n: int) -> list[tuple[JobCamera, ...]]:
    """Cameras in at most n parts of about as many frames, none of them empty."""
    parts: list[list[JobCamera]] = [[] for _ in range(min(n, len(cameras)))]
    for camera in sorted(cameras, key=lambda c: -c.n_frames):
        min(parts, key=lambda part: sum(c.n_frames for c in part)).append(camera)
    return [tuple(part) for part in parts]


def _raise_first(futures: list[Future[None]]) -> None:
    """What made the others stop, not that they did."""
    errors = [error for f in futures if (error := f.exception()) is not None]
    if errors:
        raise min(errors, key=lambda e: isinstance(e, _OtherFailedError))
