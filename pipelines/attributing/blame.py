"""What is to blame for a trial's 3D, as values: causes, what was found beside what is normal, figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from labsys.core.session import TrialName


class Cause(StrEnum):
    """Where on the way from 2D to 3D something went wrong, in the order of that way."""

    DETECTION = "2D detection"
    SYNC = "sync"
    CALIBRATION = "calibration"
    TRIANGULATION = "triangulation"


@dataclass(frozen=True)
class Normal:
    """What is still normal; each blame is measured against one of these.

    Attributes:
        noise_ratio: noise of one landmark in one camera against what that landmark and that camera have elsewhere.
        noise_m: noise of one view below which nobody is blamed, at the body. trial_noise_m: of the trial as a whole.
        offset_m: by which all points of a camera may lie off the same way, at the body. one_way: offsets are the same
            where their median is at least this share of their median length.
        wrong: share of a view's points that lie further off than the run's `max_error_px`.
        exchanged, unrepaired: share of a camera's frames with left and right exchanged, put right or left as they were.
        elsewhere: share of a camera's frames in which most landmarks lie far from the body.
        unseen: share of a camera's points that were not found.
        lag_s: of a camera against the others. lost: share of frames lost, repeated or bad.
        too_few: share of frames in which too few cameras see a landmark, or none agree about it.
        thin_angle_rad: angle between rays below which depth is poor. thin: share of a landmark's points with less.
        limb, limb_m: standard deviation of a limb's length against it, and in m; both must be exceeded.
    """

    noise_ratio: float = 2.5
    noise_m: float = 0.008
    trial_noise_m: float = 0.025
    offset_m: float = 0.01
    one_way: float = 0.7
    wrong: float = 0.25
    exchanged: float = 0.05
    unrepaired: float = 0.01
    elsewhere: float = 0.02
    unseen: float = 0.6
    lag_s: float = 0.002
    lost: float = 0.05
    too_few: float = 0.1
    thin_angle_rad: float = 0.17
    thin: float = 0.25
    limb: float = 0.06
    limb_m: float = 0.04


@dataclass(frozen=True)
class Blame:
    """One thing that is not as it should be.

    Attributes:
        cameras, landmarks: whose it is; () means all of them.
        excess: what was found over what is still normal, above 1.
        found, normal, remedy: in words, with numbers and units.
    """

    cause: Cause
    cameras: tuple[str, ...]
    landmarks: tuple[str, ...]
    excess: float
    found: str
    normal: str
    remedy: str


@dataclass(frozen=True)
class CameraFigures:
    """One camera of a trial; NaN or None where unknown.

    Attributes:
        seen: share of all points found with enough likelihood. wrong: share of those that lie too far off.
        noise_px, noise_m: median over the landmarks of how far its points wander, per axis, and what that is at the
            body.
        constant_px: (x, y) by which its points lie off all the time, median over the landmarks.
        lag_s, lag_sd_s: how much later than the others it looks.
        exchanged: share of frames with left and right exchanged. elsewhere: share with the body somewhere else.
        moved: what the calibration check says of it, "" for nothing.
    """

    camera: str
    seen: float
    wrong: float
    noise_px: float
    noise_m: float
    constant_px: tuple[float, float]
    lag_s: float | None
    lag_sd_s: float | None
    exchanged: float
    elsewhere: float
    moved: str = ""


@dataclass(frozen=True)
class LandmarkFigures:
    """One landmark of a trial; NaN where unknown.

    Attributes:
        placed, filled: share of frames with a position in the result, and with one that was filled in.
        n_cameras: mean number of cameras that see it. angle_rad: median angle between its two most different rays.
        wrong: share of its points that lie too far off. noise_px: largest over the cameras, seen by `worst_camera`.
        sd_m: median standard deviation of its position along the direction that is known worst.
        limb, limb_sd_m: the limb at it whose length varies most.
    """

    landmark: str
    placed: float
    filled: float
    n_cameras: float
    angle_rad: float
    wrong: float
    noise_px: float
    worst_camera: str
    sd_m: float
    limb: str = ""
    limb_sd_m: float = float("nan")


@dataclass(frozen=True)
class Attribution:
    """Who is to blame for the 3D of one run.

    Attributes:
        blames: the worst first; () where nothing stands out.
        unchecked: what could not be looked at, and why.
        n_frames: looked at, of `n_frames_all`.
    """

    trial: TrialName
    run: str
    blames: tuple[Blame, ...]
    cameras: tuple[CameraFigures, ...]
    landmarks: tuple[LandmarkFigures, ...]
    unchecked: dict[Cause, str] = field(default_factory=dict)
    n_frames: int = 0
    n_frames_all: int = 0

    def of(self, cause: Cause) -> tuple[Blame, ...]:
        """The blames of one cause, the worst first."""
        return tuple(b for b in self.blames if b.cause is cause)
