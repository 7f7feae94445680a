"""What was found out about each camera on the way from 2D to 3D, and put right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CameraAudit:
    """One camera of one run.

    Attributes:
        n_frames: rows of its 2D landmarks. n_repeated: frames that repeat another, n_bad: frames marked as bad; both
            are no measurements. n_lost: frames that the camera took and nobody stored.
        rate_hz: its true frame rate where timestamps say, else the nominal one.
        stamp_jitter_s: 99th percentile of the timestamps against its clock; None without timestamps.
        offset_s, offset_sd_s, drift_ppm, drift_sd_ppm: how much later than its clock says the camera looks, by the
            landmarks and against the first camera; None where not estimated. offset_used: whether it was corrected.
        sides_all, sides_legs, sides_part: frames in which left and right were exchanged back, of the whole person, of
            both legs, of feet or arms alone.
    """

    camera: str
    n_frames: int
    n_repeated: int = 0
    n_bad: int = 0
    n_lost: int = 0
    rate_hz: float = 0.0
    stamp_jitter_s: float | None = None
    offset_s: float | None = None
    offset_sd_s: float | None = None
    drift_ppm: float | None = None
    drift_sd_ppm: float | None = None
    offset_used: bool = False
    sides_all: int = 0
    sides_legs: int = 0
    sides_part: int = 0


@dataclass(frozen=True)
class CameraMotion:
    """The likeliest move of one camera since its calibration.

    Attributes:
        move: "turn", "shift" (of the optical centre) or "both".
        gain: twice the log likelihood ratio against no move.
        turn_rad, turn_sd_rad, shift_m, shift_sd_m: how far, and how surely; 0 where the move has no such part.
        image_px: by how much it shifts the body in the image, RMS.
    """

    camera: str
    move: str
    gain: float
    turn_rad: float
    turn_sd_rad: float
    shift_m: float
    shift_sd_m: float
    image_px: float


@dataclass(frozen=True)
class LandmarkBias:
    """Where a detector puts each landmark in each camera beside where the calibrated cameras have it.

    Attributes:
        xy_px: landmark -> camera -> (x, y) px.
    """

    xy_px: Mapping[str, Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class DriftAudit:
    """Whether a camera moved after calibration, by the landmarks of the run.

    Attributes:
        suspects: cameras of which one moved; () where none did, one where it can be named.
        others_moved: cameras that moved beside the one named. motions: of every camera, the likeliest first.
        n_frames: looked at. bias_px: spread of constant landmark biases that was allowed for.
        since: trial that this one was compared with, "" where it was judged by itself.
        bias: of this run, for later trials; None where not checked. unchecked: why nothing was checked, or "".
    """

    suspects: tuple[str, ...] = ()
    others_moved: tuple[str, ...] = ()
    motions: tuple[CameraMotion, ...] = ()
    n_frames: int = 0
    bias_px: float = 0.0
    since: str = ""
    bias: LandmarkBias | None = None
    unchecked: str = ""


@dataclass(frozen=True)
class SyncAudit:
    """How surely it is known when the cameras looked, by what was measured of it.

    Attributes:
        grade: A to D: one counted trigger, which only a take of labsys' own recorder can have; good for running; for
            walking and slow movement; for a preview only.
        reasons: what was measured, worst first.
    """

    grade: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ReconstructionAudit:
    """All cameras of one run; empty where 3D came from elsewhere.

    Attributes:
        starts_at_s: where 0 s of the run lies on the timestamps' clock; 0 without timestamps.
        warnings: what a person should look at.
        drift: whether the calibration still holds; None where no cameras were used.
        sync: None where nothing was measured: frame i of every camera is taken for one moment.
    """

    cameras: tuple[CameraAudit, ...] = ()
    starts_at_s: float = 0.0
    warnings: tuple[str, ...] = ()
    drift: DriftAudit | None = None
    sync: SyncAudit | None = None
