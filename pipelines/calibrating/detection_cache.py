"""Board corners that were found before, kept so that no video is searched twice.

An entry is named by the video's content, the board, which frames were looked at, and the code that looks. What cannot
be read or does not carry its own digest is not believed; it is said and searched again. The folder may be deleted at
any time.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np

import calibration
import labsys.storage
from calibration.board.detect import CameraCorners, Sampling
from calibration.board.detector import Sighting
from labsys.core.board import Board
from labsys.core.errors import InputError
from labsys.storage.atomic import hash_file, is_there, write_bytes_atomic
from labsys.storage.cache import cache_folder

# Sources that decide what is found in a video.
_SEARCHING = (
    (Path(calibration.__file__).parent, "board/board.py"),
    (Path(calibration.__file__).parent, "board/detect.py"),
    (Path(calibration.__file__).parent, "board/detector.py"),
    (Path(labsys.storage.__file__).parent, "video.py"),
)
_ARRAYS = ("times_s", "xy_px")
_SIGHTING = ("ids", "xy_px", "marker_ids", "markers_px")


@dataclass(frozen=True)
class DetectionCache:
    """A folder of entries; None keeps and finds nothing."""

    folder: Path | None

    def load(self, key: str, camera: str) -> tuple[CameraCorners | None, str]:
        """What was found under this key, given to this camera; else None, and why an entry was not believed, or ""."""
        path = self._path(key)
        if path is None or not is_there(path):
            return None, ""
        try:
            return _unpack(path.read_bytes(), key, camera), ""
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, InputError) as error:
            return None, f"what was found before in the video of {camera} cannot be used ({error}); searched again"

    def save(self, key: str, found: CameraCorners) -> str:
        """Keep an entry; why that failed, or "": a full disk is no reason to stop."""
        path = self._path(key)
        if path is None:
            return ""
        try:
            write_bytes_atomic(path, _pack(found, key))
        except InputError as error:
            return f"what was found in the video of {found.camera} could not be kept: {error}"
        return ""

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.npz"


def user_cache_folder() -> Path:
    """Where found boards are kept outside of a lab."""
    return cache_folder() / "detections"


def detection_key(video: Path, board: Board, sampling: Sampling) -> str:
    """Name of the entry for this video, board, choice of frames and detector (InputError: unreadable video)."""
    parts = {
        "video": hash_file(video),
        "board": asdict(board),
        "sampling": asdict(sampling),
        "detector": _detector_identity(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _detector_identity() -> str:
    """OpenCV's version and a digest of the sources that decode and search."""
    digest = hashlib.sha256(cv2.__version__.encode())
    for folder, name in _SEARCHING:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _pack(found: CameraCorners, key: str) -> bytes:
    arrays = {name: np.asarray(getattr(found, name)) for name in _ARRAYS}
    arrays["size_px"] = np.asarray(found.size_px)
    for i, witness in enumerate(found.witnesses):
        arrays |= {f"witness{i}_{name}": np.asarray(getattr(witness, name)) for name in _SIGHTING}
    stream = BytesIO()
    np.savez_compressed(stream, digest=np.array(_digest(arrays, key)), **arrays)  # type: ignore[arg-type]  # arrays only
    return stream.getvalue()


def _unpack(content: bytes, key: str, camera: str) -> CameraCorners:
    with np.load(BytesIO(content), allow_pickle=False) as entry:
        arrays = {name: entry[name] for name in entry.files}
    if str(arrays.pop("digest")) != _digest(arrays, key):
        raise ValueError("it is damaged")
    count = sum(name.endswith("marker_ids") for name in arrays)
    witnesses = tuple(Sighting(**{n: arrays[f"witness{i}_{n}"] for n in _SIGHTING}) for i in range(count))
    width, height = (int(v) for v in arrays["size_px"])
    return CameraCorners(camera, (width, height), arrays["times_s"], arrays["xy_px"], witnesses)


def _digest(arrays: dict[str, np.ndarray], key: str) -> str:
    digest = hashlib.sha256(key.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
