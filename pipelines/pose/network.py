"""What the pipeline needs of a network, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from labsys.core.errors import LabsysError
from pipelines.pose.job import PoseJob


class DeviceMemoryError(LabsysError):
    """The device has not enough memory for that many frames at once."""


class Network(Protocol):
    """A loaded network.

    Attributes:
        device: where it runs, in words. versions: of what runs it, name -> version.
    """

    device: str
    versions: dict[str, str]

    def prepare(self, picture: NDArray[np.uint8]) -> Any:
        """One (height, width, 3) RGB picture as the network takes it; called from any one thread."""

    def predict(self, prepared: Sequence[Any]) -> list[FloatArray]:
        """Per picture (K, 3): x px, y px, likelihood; NaN where nothing was found.

        All are pictures of one size. Raises DeviceMemoryError.
        """

    def share(self, n: int) -> int:
        """Make ready to be asked by n threads at once; how many of them may: 1 where that is no faster."""

    def detect(self, frame: NDArray[np.uint8]) -> FloatArray:
        """People in a (height, width, 3) RGB frame, (N, 5): left, top, right, bottom px and score.

        Only asked of networks whose job names a detector. Raises DeviceMemoryError.
        """


Loader = Callable[[PoseJob], Network]
