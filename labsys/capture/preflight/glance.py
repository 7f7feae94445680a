"""Half a second of pictures that every camera recorded while all streamed: what checks of pictures look at.

Pictures are only shrunk and averaged here; they lie in a folder that goes with the rehearsal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labsys.capture.parts import read_parts
from labsys.core.arrays import FloatArray
from labsys.core.errors import LabsysError
from labsys.storage.sidecar import is_bad
from labsys.storage.video import read_packets

GLANCE_S = 0.5
N_BANDS = 8  # a rolling shutter sees a flicker as stripes, which the mean of a whole picture hides
_VIEW_PICTURES = 9
_CLIPPED = 250

Gray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Glance:
    """What one camera saw.

    Attributes:
        times_s: (T,) of its frames. bands: (T, 8) mean brightness of eight stripes from top to bottom, 0 to 255.
        clipped: share of the view that is white in most pictures.
        view: (H/2, W/2) median over pictures, without what moves.
    """

    times_s: FloatArray
    bands: FloatArray
    clipped: float
    view: Gray

    @property
    def brightness(self) -> float:
        """Mean over all, 0 to 255."""
        return float(self.bands.mean())

    @property
    def contrast(self) -> float:
        """Of the view: brightness that a tenth exceeds less that which a tenth falls short of, 0 to 255."""
        low, high = np.percentile(self.view, (10, 90))
        return float(high - low)


def read_glance(folder: Path, camera: str) -> Glance | None:
    """What a camera's process left in a folder; None where that is no sound picture."""
    import cv2

    try:
        rows = np.concatenate([part for part in read_parts(folder, camera) if part.size])
        packets = [p for path in _videos(folder, camera) for p in read_packets(path)]
    except (LabsysError, ValueError):  # nothing was stored
        return None
    n = min(len(packets), rows.size)
    sound = [i for i in range(n) if packets[i] and not is_bad(rows[i : i + 1])[0]]
    small = [cv2.imdecode(np.frombuffer(packets[i], np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8) for i in sound]
    kept = [i for i, picture in zip(sound, small, strict=True) if picture is not None]
    if len(kept) < 2:
        return None
    pictures = np.stack([np.asarray(p, np.uint8) for p in small if p is not None])
    chosen = np.unique(np.linspace(0, len(kept) - 1, _VIEW_PICTURES).astype(int))
    halves = [cv2.imdecode(np.frombuffer(packets[kept[i]], np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2) for i in chosen]
    return Glance(
        times_s=(rows["t_ns"][kept] - rows["t_ns"][kept[0]]) / 1e9,
        bands=np.stack([band.mean(axis=(1, 2)) for band in np.array_split(pictures, N_BANDS, axis=1)], axis=1),
        clipped=float(np.mean(np.median(pictures[chosen], axis=0) >= _CLIPPED)),
        view=make_view(np.asarray(h, np.uint8) for h in halves),
    )


def make_view(pictures: Iterable[Gray]) -> Gray:
    """(H, W) median of (H, W) pictures: what stands still in most of them."""
    return np.asarray(np.median(np.stack(list(pictures)), axis=0), np.uint8)


def _videos(folder: Path, camera: str) -> list[Path]:
    found = folder.glob(f"{camera}.part*.mkv")
    return sorted(found, key=lambda p: int(p.stem.rpartition(".part")[2]))
