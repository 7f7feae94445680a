"""What is to be imported, as plain values, and whether the parts of the request fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calibration.align import WorldAxes
from labsys.core.errors import InputError
from labsys.core.session import Anthropometry, Conditions, Phase, TrialKind, TrialName
from labsys.storage.exchange.sniff import Landmarks2DFormat


@dataclass(frozen=True)
class VisitFacts:
    """What an import says about the visit; used for a new session, and must not contradict an existing one."""

    phase: Phase | None = None
    episode: str = ""
    operator: str = ""
    captured_at: str = ""
    anthropometry: Anthropometry = field(default_factory=Anthropometry)


@dataclass(frozen=True)
class ImportRequest:
    """One recording to bring in as a trial.

    Attributes:
        name, kind, conditions, static, recorded_at, notes: of the trial. recorded_at "" means the session's own time.
        visit: of the session, made when new.
        rate_hz: frames per second where the files do not say, or to check what they say.
        videos, landmarks2d: camera -> file (2D: or folder). accepted_sizes: camera -> (width, height) of a video that
            differs from its calibration. Names match the calibration's ignoring case, '_', '-' and spaces.
        calibration, world_axes: calibration file, and what the axes of its world (or of the markers' file) mean.
        landmarks2d_format: None to recognise it.
        timestamps: when each frame of each free-running camera was taken; None where frame i is one moment.
        markers, marker_map: 3D markers, and which of them are which landmarks.
        truth: truth.json of a synthetic trial, kept beside the take.
        recording: take of labsys' own recorder that the frames were stored in: its manifest, its report and every
            camera's sidecar are kept, its videos are not.
        asked_by: what asked for the import, kept as the take's last note; "" where a person stood by.
    """

    name: TrialName
    kind: TrialKind
    conditions: Conditions = field(default_factory=Conditions)
    visit: VisitFacts = field(default_factory=VisitFacts)
    static: str = ""
    recorded_at: str = ""
    notes: str = ""
    rate_hz: float | None = None
    videos: Mapping[str, Path] = field(default_factory=dict)
    accepted_sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    landmarks2d: Mapping[str, Path] = field(default_factory=dict)
    landmarks2d_format: Landmarks2DFormat | None = None
    timestamps: Path | None = None
    calibration: Path | None = None
    world_axes: WorldAxes | None = None
    markers: Path | None = None
    marker_map: Path | None = None
    truth: Path | None = None
    recording: Path | None = None
    asked_by: str = ""


def check_request(request: ImportRequest) -> None:
    """Refuse a request whose parts contradict each other or name missing files.

    Raises:
        InputError: nothing to import, files that are not there, or parts that do not fit together.
    """
    _check_parts(request)
    for what, paths in _named_files(request):
        for label, path in paths.items():
            if not path.exists():
                place = f" of camera {label}" if label else ""
                raise InputError(f"{what}{place} is not there", where=str(path), remedy="Check the path")
    if request.rate_hz is not None and not 1.0 <= request.rate_hz <= 2000.0:
        raise InputError(f"frame rate {request.rate_hz:g} Hz is not believable", remedy="Give frames per second")


def _check_parts(request: ImportRequest) -> None:
    if not (request.videos or request.landmarks2d or request.markers):
        raise InputError("nothing to import", remedy="Give --videos, --landmarks2d or --markers")
    if request.markers and request.landmarks2d:
        raise InputError("both 3D markers and 2D landmarks were given", remedy="A trial has one source of positions")
    if request.timestamps and not (request.landmarks2d or request.videos):
        raise InputError("--timestamps without cameras", remedy="Give --landmarks2d or --videos too")
    if request.marker_map and not request.markers:
        raise InputError("--marker-map without --markers", remedy="Give the marker file too")
    # A take of a board, or of a run that is to say where LAB is, comes before the calibration that it is for.
    needs_calibration = request.kind is not TrialKind.OTHER
    cameras = request.landmarks2d or (request.videos and not request.markers)
    if cameras and request.calibration is None and needs_calibration:
        raise InputError(
            "cameras without a calibration",
            remedy="Give --calibration FILE; or --kind other for a take that a calibration is to be made from",
        )
    if request.markers and request.calibration is not None:
        raise InputError("3D markers need no calibration", remedy="Leave --calibration out")
    if len(request.landmarks2d) == 1:
        raise InputError("2D landmarks of one camera give no 3D", remedy="Give --landmarks2d for two cameras or more")
    if request.landmarks2d:
        missing = sorted(set(request.videos) - set(request.landmarks2d))
        if missing:
            raise InputError(
                f"camera {', '.join(missing)} has a video but no 2D landmarks, other cameras have both",
                remedy="Give its --landmarks2d, or leave its video out",
            )


def _named_files(request: ImportRequest) -> tuple[tuple[str, Mapping[str, Path]], ...]:
    single = {
        "timestamps": request.timestamps,
        "calibration file": request.calibration,
        "marker file": request.markers,
        "marker map": request.marker_map,
        "truth": request.truth,
        "recording": request.recording,
    }
    return (
        ("video", request.videos),
        ("2D landmarks", request.landmarks2d),
        *((what, {"": path}) for what, path in single.items() if path is not None),
    )
