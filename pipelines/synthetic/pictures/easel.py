"""What one camera's pictures are drawn on, one after the other: of each only what changes is drawn, the rest stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.pictures.raster import Box, Floats32, Layer, box_of, make_layer, whole_box
from pipelines.synthetic.pictures.sensor import Picture, focus, make_curve, read_out
from pipelines.synthetic.pictures.stage import Stage


@dataclass(eq=False)
class Easel:
    """One camera's picture in the making; no two threads at a time.

    Attributes:
        light: (H, W, 3) linear light. Draw into it, and say where with `touch`.
        layer, total, hits: for what is drawn in samples, see `raster`; total (H, W, 3) and hits (H, W) are left empty.
        left: (M,) share of the light that shadows leave of the ground's pixels. belt_box: where the belt shows.
    """

    stage: Stage
    light: Floats32 = field(init=False)
    layer: Layer = field(init=False)
    total: Floats32 = field(init=False)
    hits: NDArray[np.int32] = field(init=False)
    left: Floats32 = field(init=False)
    belt_box: Box = field(init=False)
    _values: Floats32 = field(init=False)
    _calm: Floats32 = field(init=False)
    _curve: Picture = field(init=False)
    _touched: list[Box] = field(init=False, default_factory=list)
    _changed: list[Box] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        still, stage = self.stage.still, self.stage
        self.light, self.total = still.copy(), np.zeros_like(still)
        self.layer = make_layer(stage.camera.intrinsics.size_px)
        self.hits = np.zeros(still.shape[:2], np.int32)
        self.left = np.ones(len(stage.ground), np.float32)
        self.belt_box = box_of(stage.belt[:, 1::-1], stage.camera.intrinsics.size_px, 0.0)
        self._calm = np.empty_like(still)
        focus(still, stage.sensor, stage.falloff, whole_box(still), self._calm)
        self._values, self._curve = self._calm.copy(), make_curve()

    def clear(self) -> None:
        """Begin a picture: the room as it stands still."""
        for boxes, picture, calm in (
            (self._touched, self.light, self.stage.still),
            (self._changed, self._values, self._calm),
        ):
            for left, top, right, bottom in boxes:
                picture[top:bottom, left:right] = calm[top:bottom, left:right]
            boxes.clear()

    def touch(self, box: Box) -> None:
        """Something was drawn into this part of the light."""
        self._touched.append(box)

    def develop(self, seed: int) -> Picture:
        """The picture (H, W, 3) RGB; the same seed gives the same noise."""
        stage = self.stage
        self._changed += [focus(self.light, stage.sensor, stage.falloff, box, self._values) for box in self._touched]
        return read_out(self._values, stage.sensor, self._curve, seed=seed)
