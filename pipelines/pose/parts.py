"""What was found in one video so far, kept in parts, so that interrupted work goes on where it was."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.errors import LabsysError
from labsys.storage.atomic import is_there, write_bytes_atomic
from pipelines.pose.job import BLOCK_FRAMES

PART_FRAMES = 64 * BLOCK_FRAMES


class Parts:
    """The frames of one video, filled in order; whole parts are on the disk, one that cannot be read is done again."""

    def __init__(self, folder: Path, *, n_frames: int, n_landmarks: int) -> None:
        self._folder, self._n_frames = folder, n_frames
        self._poses = np.full((n_frames, n_landmarks, 3), np.nan)
        self._done = 0
        while self._done < n_frames:
            part = self._read(self._done)
            if part is None:
                break
            self._poses[self._done : self._done + len(part)] = part
            self._done += len(part)

    @property
    def done(self) -> int:
        """How many frames were looked at."""
        return self._done

    def add(self, frame: int, pose: FloatArray) -> None:
        """Note what was found in the next frame, (K, 3), and write the part that it completes."""
        if frame != self._done or frame >= self._n_frames or pose.shape != self._poses.shape[1:]:
            raise LabsysError(f"frame {frame} of shape {pose.shape} came where frame {self._done} was due")
        self._poses[frame] = pose
        self._done += 1
        if self._done % PART_FRAMES == 0 or self._done == self._n_frames:
            self._write((self._done - 1) // PART_FRAMES * PART_FRAMES)

    def last(self, count: int) -> FloatArray:
        """The latest frames, (at most count, K, 3) px."""
        return self._poses[max(self._done - count, 0) : self._done]

    def complete(self) -> FloatArray:
        """All frames, (T, K, 3): x, y in px, likelihood (LabsysError: not all were looked at)."""
        if self._done != self._n_frames:
            raise LabsysError(f"{self._done} of {self._n_frames} frames came back", where=str(self._folder))
        return self._poses

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:08d}.npy"

    def _write(self, first: int) -> None:
        stream = BytesIO()
        np.save(stream, self._poses[first : self._done], allow_pickle=False)
        write_bytes_atomic(self._path(first), stream.getvalue())

    def _read(self, first: int) -> FloatArray | None:
        path = self._path(first)
        if not is_there(path):
            return None
        expected = (min(PART_FRAMES, self._n_frames - first), *self._poses.shape[1:])
        try:
            found = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None  # torn by a crash: these frames are looked at again
        return found if isinstance(found, np.ndarray) and found.shape == expected else None
