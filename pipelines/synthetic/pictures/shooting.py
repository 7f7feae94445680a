"""What several cameras take of one actor, on all cores: every moment is posed once, and drawn for each camera of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np

from calibration.processors import n_processors, one_opencv_thread
from labsys.core.arrays import FloatArray
from pipelines.synthetic.pictures.easel import Easel
from pipelines.synthetic.pictures.film import picture_seed
from pipelines.synthetic.pictures.sensor import Picture
from pipelines.synthetic.pictures.studio import Studio

_MOMENTS_AHEAD = 2  # of every core: so many are drawn before the first is written


class Scene(Protocol):
    """What is filmed."""

    def pose(self, moment: int) -> Any:
        """What it looks like at one of its moments, from anywhere."""

    def draw(self, easel: Easel, posed: Any, seed: int) -> tuple[Picture, FloatArray, FloatArray]:
        """One camera's picture of it, true places (N, 2) px and shares that show (N,)."""


@dataclass(frozen=True, eq=False)
class Taken:
    """One picture: camera and picture are numbers; developed is what was made of it; xy_px (N, 2), seen (N,)."""

    camera: int
    picture: int
    developed: bytes
    xy_px: FloatArray
    seen: FloatArray


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments at which pictures are taken, each told once.

    Attributes:
        times_s: (M,) s, increasing. pictures: of every moment, camera and number of its picture.
    """

    times_s: FloatArray
    pictures: tuple[tuple[tuple[int, int], ...], ...]


def plan_moments(times_s: Sequence[FloatArray]) -> Moments:
    """The moments of all cameras: `times_s` (T,) s of each, increasing. Cameras that are triggered share theirs."""
    moments = np.unique(np.concatenate(times_s))
    pictures: list[list[tuple[int, int]]] = [[] for _ in moments]
    for camera, own in enumerate(times_s):
        for number, moment in enumerate(np.searchsorted(moments, own)):
            pictures[moment].append((camera, number))
    return Moments(moments, tuple(map(tuple, pictures)))


def shoot(
    studio: Studio, scene: Scene, moments: Moments, *, seed: int, develop: Callable[[Picture, int], bytes]
) -> Iterator[Taken]:
    """All pictures in the order of time; `develop` gets each with its number, in any thread."""
    pool = ThreadPoolExecutor(max_workers=n_processors())
    try:
        with one_opencv_thread():
            easels = list(pool.map(lambda i: Easel(studio.stage(i)), range(len(studio.rig.cameras))))
            locks = [Lock() for _ in easels]

            def draw(moment: int) -> list[Taken]:
                posed, pictures, taken = scene.pose(moment), moments.pictures[moment], []
                # Each moment begins with another camera, so that no two wait for the same easel all the time.
                for camera, number in (*pictures[(first := moment % len(pictures)) :], *pictures[:first]):
                    own = picture_seed(1000 * seed + camera, number)
                    with locks[camera]:
                        picture, xy, seen = scene.draw(easels[camera], posed, own)
                    taken.append(Taken(camera, number, develop(picture, number), xy, seen))
                return taken

            waiting = deque[Any]()
            for moment in range(len(moments.times_s)):
                waiting.append(pool.submit(draw, moment))
                if len(waiting) > _MOMENTS_AHEAD * n_processors():
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
