"""Frames of several videos through one network: decoded ahead, batched across cameras, none lost, none doubled."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, LabsysError
from labsys.core.pose_model import CropMode
from labsys.storage.video import read_frames
from pipelines.pose.ahead import read_ahead
from pipelines.pose.job import BLOCK_FRAMES, JobCamera, PoseJob
from pipelines.pose.network import DeviceMemoryError, Network
from pipelines.pose.parts import Parts
from pipelines.pose.stills import read_pictures
from pipelines.pose.views import View, around, around_person, choose_person, whole_frame

_DECODED_AHEAD = 2 * BLOCK_FRAMES
_BATCHES_AHEAD = 2
# Looks at one frame before a box is believed: the whole frame, then twice closer.
_LOOKS = 3

Frame = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class _Shown:
    """One frame as the network is shown it; without a view it is not, as nobody is in it."""

    camera: str
    frame: int
    view: View | None
    prepared: Any = None
    size_px: tuple[int, ...] = ()


@dataclass(eq=False)
class Inference:
    """One job with its network.

    Attributes:
        found: what was found, by camera. notes: what is worth telling a person.
        network_s: wall time inside the network. batch_size: frames at once, halved where memory does not hold them.
    """

    job: PoseJob
    network: Network
    say: Callable[[str], None]
    advance: Callable[[str, int], None]
    found: Mapping[str, Parts] = field(init=False)
    network_s: float = 0.0
    batch_size: int = field(init=False)
    _stills: set[str] = field(init=False)
    _looks: Counter[str] = field(init=False, default_factory=Counter)
    _crowds: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        n = len(self.job.body_parts)
        self.found = {c.camera: Parts(Path(c.parts), n_frames=c.n_frames, n_landmarks=n) for c in self.job.cameras}
        self.batch_size = self.job.batch_size
        self._stills = {c.camera for c in self.job.cameras if c.pictures}

    def run(self) -> None:
        """Look at every frame that was not looked at yet; every camera has as many answers as frames afterwards.

        Raises:
            InputError: a video cannot be read to its end. DeviceMemoryError: not even one frame fits.
        """
        for camera, parts in self.found.items():
            if parts.done:
                self.advance(camera, parts.done)
        follow = self.job.crop is CropMode.FOLLOW
        # What a box follows is known only after the block before it: then only decoding runs ahead.
        with closing(self._rounds() if follow else read_ahead(self._rounds(), _BATCHES_AHEAD)) as rounds:
            for shown in rounds:
                self._look(shown)
        for camera, n in (+self._crowds).items():
            self.say(
                f"camera {camera}: the detector saw several people in {n} of {self._looks[camera]} looks; followed was "
                "the one who was largest when the subject was first seen"
            )
        for parts in self.found.values():
            parts.complete()

    def _rounds(self) -> Generator[list[_Shown]]:
        """The next block of every camera that has frames left."""
        readers = {c.camera: self._frames(c) for c in self.job.cameras if self.found[c.camera].done < c.n_frames}
        try:
            while readers:
                length = self._block_frames(len(readers))
                blocks = {camera: list(itertools.islice(r, length)) for camera, r in readers.items()}
                readers = {camera: r for camera, r in readers.items() if blocks[camera]}
                shown = [s for camera, block in blocks.items() if block for s in self._show(camera, block)]
                if shown:
                    yield shown
        finally:
            for reader in readers.values():
                reader.close()

    def _block_frames(self, n_cameras: int) -> int:
        """A batch's worth; where a box follows, always the same number, so that the batch changes nothing."""
        return BLOCK_FRAMES if self.job.crop is CropMode.FOLLOW else -(-self.job.batch_size // n_cameras)

    def _frames(self, camera: JobCamera) -> Generator[tuple[int, Frame]]:
        """Numbered frames that were not looked at yet; a video of another length is refused, not cut."""
        skip = self.found[camera.camera].done

        def decoded() -> Iterator[tuple[int, Frame]]:
            count = 0
            source = Path(camera.video)
            frames = read_pictures(source, camera.pictures) if camera.pictures else read_frames(source)
            for number, frame in enumerate(frames):
                count = number + 1
                if skip <= number < camera.n_frames:
                    yield number, frame
            if count != camera.n_frames:
                raise InputError(
                    f"camera {camera.camera}: {count} frames decode, the take has {camera.n_frames}",
                    where=camera.video,
                    remedy="Restore the video from a backup",
                )

        return read_ahead(decoded(), _DECODED_AHEAD)

    def _show(self, camera: str, block: Sequence[tuple[int, Frame]]) -> Iterator[_Shown]:
        view = None
        for place, (number, frame) in enumerate(block):
            if place == 0 or camera in self._stills:
                view = self._view(camera, number, frame)
            if view is None:
                yield _Shown(camera, number, None)
                continue
            picture = view.cut(frame)
            yield _Shown(camera, number, view, self.network.prepare(picture), picture.shape)

    def _view(self, camera: str, number: int, frame: Frame) -> View | None:
        size_px, frame_px = self.job.net_input_px, (frame.shape[1], frame.shape[0])
        if self.job.crop is not CropMode.FOLLOW or size_px is None:
            return whole_frame(frame_px, size_px)
        before = self.found[camera].last(0 if camera in self._stills else BLOCK_FRAMES)
        view = around(before, size_px) if len(before) else None
        if self.job.detector:
            return self._detect(camera, number, frame, view, size_px)
        return view or self._locate(frame, whole_frame(frame_px, size_px), size_px)

    def _detect(
        self, camera: str, number: int, frame: Frame, followed: View | None, size_px: tuple[int, int]
    ) -> View | None:
        """The person in a frame: looked for when it is time or the subject is lost, else where their points are now.

        Work resumes at frames at which it is time, so that an interruption changes nothing.
        """
        if followed is not None and number % self.job.detect_every:
            return followed
        people = self.network.detect(frame)
        self._looks[camera] += 1
        self._crowds[camera] += len(people) > 1
        person = choose_person(people, followed)
        return followed if person is None else around_person(person[:4], size_px)

    def _locate(self, frame: Frame, view: View, size_px: tuple[int, int]) -> View:
        """Find the subject in a frame of which nothing is known, looking closer each time."""
        for _ in range(_LOOKS - 1):
            (pose,) = self._predict([self.network.prepare(view.cut(frame))])
            closer = around(view.to_frame(pose)[None], size_px)
            if closer is None:
                return view
            view = closer
        return view

    def _look(self, shown: Sequence[_Shown]) -> None:
        """Answer the frames of a round, each camera's in order."""
        poses = [np.full((len(self.job.body_parts), 3), np.nan)] * len(shown)
        for size_px in dict.fromkeys(s.size_px for s in shown if s.view is not None):
            # One call of the network takes pictures of one size.
            same = [(i, s.view) for i, s in enumerate(shown) if s.view is not None and s.size_px == size_px]
            answers = self._predict([shown[i].prepared for i, _ in same])
            for (i, view), pose in zip(same, answers, strict=True):
                poses[i] = view.to_frame(pose)
        for s, pose in zip(shown, poses, strict=True):
            self.found[s.camera].add(s.frame, pose)
        for camera in dict.fromkeys(s.camera for s in shown):
            self.advance(camera, sum(s.camera == camera for s in shown))

    def _predict(self, prepared: Sequence[Any]) -> list[FloatArray]:
        poses: list[FloatArray] = []
        while len(poses) < len(prepared):
            batch = prepared[len(poses) : len(poses) + self.batch_size]
            began = time.perf_counter()
            try:
                answers = self.network.predict(batch)
            except DeviceMemoryError:
                self._halve()
                continue
            self.network_s += time.perf_counter() - began
            if len(answers) != len(batch):
                raise LabsysError(f"the network answered {len(answers)} of {len(batch)} frames")
            poses += answers
        return poses

    def _halve(self) -> None:
        if self.batch_size == 1:
            raise DeviceMemoryError(
                f"{self.network.device} has not enough memory for a single frame",
                remedy="Close other programs that use it, or use a model with a smaller network input",
            )
        self.batch_size //= 2
        self.say(f"{self.network.device} ran out of memory; going on with {self.batch_size} frames at once")
