"""What a player needs of a trial: its clock, its skeleton, its strides, and where the arrays and the film are."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from labsys.core.skeleton import Side
from labsys.storage.films import Faces

Bones = list[tuple[int, int]]


class ArrayDocument(BaseModel):
    """Numbers as bytes: 32-bit floats, little-endian, the last index fastest; missing is NaN."""

    href: str
    shape: list[int]
    unit: str
    dtype: Literal["<f4"] = "<f4"


class PanelDocument(BaseModel):
    """Where a camera's pictures stand in the film, px, and which rows of the film's landmarks are its own."""

    camera: str
    left: int
    top: int
    width: int
    height: int
    first_landmark: int
    landmarks: list[str]
    sides: list[Side]
    bones: Bones


class NumberDocument(BaseModel):
    """Where the frame's number stands in the film: blocks from the left edge, highest bit first, white for 1."""

    top: int
    bits: int
    block_px: int


class BlurredDocument(BaseModel):
    """What blurring faces came to, in pictures of all cameras: read `says` before anybody else is shown them.

    `not_found`: pictures without a face that was found; `hidden` of these are blurred as a whole, the others widely
    around the neck. `cameras`: not_found of each, before and after counted together.
    """

    pictures: int
    not_found: int
    hidden: int
    cameras: dict[str, int]
    says: str


class FilmDocument(BaseModel):
    """The film: all cameras' pictures on the trial's clock, frame i at i / rate_hz.

    `faces`: whether they are shown; where they are not, `blurred` says in how many pictures none was found. `state`:
    none (not made yet), making, failed, ready, or impossible (`reason` says why). `job` makes it.
    """

    state: Literal["none", "making", "failed", "ready", "impossible"]
    faces: Faces = Faces.SHOWN
    blurred: BlurredDocument | None = None
    reason: str | None = None
    job: str | None = None
    href: str | None = None
    size_px: tuple[int, int] | None = None
    number: NumberDocument | None = None
    panels: list[PanelDocument] = []
    landmarks: ArrayDocument | None = None
    notes: list[str] = []


class PairFilmDocument(FilmDocument):
    """The film of two visits: panels in pairs, before and after, one pair per camera that both have.

    Frame i is per cent i % 100 of stride i // 100. thighs: per panel the landmarks of the side's hip and knee, or null.
    """

    side: Side
    rate_hz: float = 1.0
    n_frames: int = 0
    thighs: list[tuple[int, int] | None] = []


class PlayedAngle(BaseModel):
    """One row of the angles, as they are reported."""

    id: str
    side: Side
    unit: str


class PlayedStride(BaseModel):
    """One stride, foot strike to next foot strike, s on the trial's clock. `counts`: whether metrics use it."""

    side: Side
    begins_s: float
    toe_off_s: float
    ends_s: float
    counts: bool


class PlaybackDocument(BaseModel):
    """A trial's run that counts, moment by moment: moment i is i / rate_hz after the first."""

    trial: str
    run: str
    rate_hz: float
    n_frames: int
    landmarks: list[str]
    sides: list[Side]
    bones: Bones
    skeleton: ArrayDocument
    angles: list[PlayedAngle]
    angle_values: ArrayDocument
    strides: list[PlayedStride]
    film: FilmDocument
