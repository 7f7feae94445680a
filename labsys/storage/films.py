"""Films of trials below derived/films/<key>/: film.mp4, film.json, and where the landmarks stand in its pictures.

The key is a hash of all that a film is made from, so that a film that is there is the right one. Films may be deleted
at any time and are made again when somebody wants to see one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.core.session import TrialName
from labsys.core.skeleton import Side
from labsys.storage.atomic import is_there, make_folder, sync_folder, sync_tree
from labsys.storage.documents import load_document, save_document
from labsys.storage.film_layout import Panel
from labsys.storage.identity import new_uuid
from labsys.storage.lab import Lab, derived_folder
from labsys.storage.takes import Take

# Another way of making films gets another number, so that old ones are not taken for new ones.
_FILM_VERSION = 1
_BLUR_VERSION = 1
_VIDEO, _FILM, _LANDMARKS = "film.mp4", "film.json", "landmarks.npy"
# No film takes so long: a hidden folder of that age was left by a job that was cancelled or killed.
_LEFT_AFTER_S = 24 * 3600.0


class Faces(StrEnum):
    """Whether the runner can be recognised in a film."""

    SHOWN = "shown"
    BLURRED = "blurred"


@dataclass(frozen=True)
class BlurredFaces:
    """What blurring the pictures of a camera came to, in pictures.

    Attributes:
        pictures: how many there are.
        not_found: in how many no face was found. hidden: of these, blurred as a whole; the others around the neck.
    """

    pictures: int
    not_found: int
    hidden: int

    def __add__(self, other: BlurredFaces) -> BlurredFaces:
        """Of both together."""
        mine, theirs = (self.pictures, self.not_found, self.hidden), (other.pictures, other.not_found, other.hidden)
        return BlurredFaces(*(a + b for a, b in zip(mine, theirs, strict=True)))


@dataclass(frozen=True)
class FilmedCamera:
    """One camera's pictures in a film, and the landmarks that are drawn over them (names, as their source has them).

    `blurred`: what became of the faces; None where they are shown.
    """

    camera: str
    panel: Panel
    landmarks: tuple[str, ...]
    blurred: BlurredFaces | None = None


@dataclass(frozen=True)
class Film:
    """film.json. Frame i is moment i of the clock, i / rate_hz from the film's beginning.

    Attributes:
        size_px: (width, height). number_top_px: where the row with the frame's number begins.
        notes: what a person should know, as cameras that are left out.
    """

    key: str
    rate_hz: float
    n_frames: int
    size_px: tuple[int, int]
    number_top_px: int
    cameras: tuple[FilmedCamera, ...]
    notes: tuple[str, ...] = ()

    @property
    def blurred(self) -> BlurredFaces | None:
        """What became of the faces in all cameras; None where they are shown."""
        found = [c.blurred for c in self.cameras if c.blurred is not None]
        return sum(found, BlurredFaces(0, 0, 0)) if found else None


def trial_film_key(take: Take, run: str, faces: Faces = Faces.SHOWN) -> str:
    """The key of the film of a trial's run; "" where the take has no videos."""
    videos = {f"video {camera}": file.sha256 for camera, file in take.cameras.items()}
    return film_key({"run": run, **videos, **_faces_part(faces)}) if videos else ""


def pair_film_key(visits: Sequence[tuple[Take, str]], side: Side, faces: Faces = Faces.SHOWN) -> str:
    """The key of the film of two visits (take and run of each), strides of this side; "" where one has no videos."""
    keys = [trial_film_key(take, run) for take, run in visits]
    whole = {"side": side.value, "pre": keys[0], "post": keys[1], **_faces_part(faces)}
    return film_key(whole) if all(keys) else ""


def _faces_part(faces: Faces) -> dict[str, str]:
    return {"faces": f"{faces} {_BLUR_VERSION}"} if faces is Faces.BLURRED else {}


def film_key(made_from: Mapping[str, str]) -> str:
    """Name of the film that is made from these things (what -> hash or value)."""
    text = json.dumps({"film": _FILM_VERSION, **made_from}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def film_folder(lab: Lab, name: TrialName, key: str) -> Path:
    """Where a film is, or would be."""
    return derived_folder(lab, name) / "films" / key


def has_film(lab: Lab, name: TrialName, key: str) -> bool:
    """Whether a film was made already, and no file of it was deleted since."""
    return _is_whole(film_folder(lab, name, key))


def film_video(lab: Lab, name: TrialName, key: str) -> Path:
    """The video of a film."""
    return film_folder(lab, name, key) / _VIDEO


def load_film(lab: Lab, name: TrialName, key: str) -> Film:
    """Read film.json (InputError; NewerSchemaError)."""
    return load_document(film_folder(lab, name, key) / _FILM, Film)


def load_film_landmarks(lab: Lab, name: TrialName, key: str) -> FloatArray:
    """(n_frames, landmarks of all cameras in their order, 2) px of the film, float32, NaN where not seen."""
    found: FloatArray = np.load(film_folder(lab, name, key) / _LANDMARKS, allow_pickle=False)
    return found


class StagedFilm:
    """A film in the making, in a hidden folder; nothing is visible before `finish`."""

    def __init__(self, lab: Lab, name: TrialName, key: str) -> None:
        self._target = film_folder(lab, name, key)
        self._folder = self._target.with_name(f".{key}.{new_uuid()}")
        _sweep(self._target.parent)
        make_folder(self._folder)

    @property
    def video(self) -> Path:
        """Where the video is to be written."""
        return self._folder / _VIDEO

    def finish(self, film: Film, landmarks: FloatArray) -> None:
        """Make the film visible, all at once; where somebody else was faster, theirs stays."""
        np.save(self._folder / _LANDMARKS, landmarks.astype("<f4"), allow_pickle=False)
        save_document(self._folder / _FILM, film)
        sync_tree(self._folder)
        if not _is_whole(self._target):
            shutil.rmtree(self._target, ignore_errors=True)
            self._folder.rename(self._target)
            sync_folder(self._target.parent)
        self.discard()

    def discard(self) -> None:
        """Remove what was not finished."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    return all(is_there(folder / file) for file in (_VIDEO, _FILM, _LANDMARKS))


def _sweep(films: Path) -> None:
    """Remove what jobs that ended without a word left here."""
    for folder in films.glob(".*"):
        if folder.stat().st_mtime < time.time() - _LEFT_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)
