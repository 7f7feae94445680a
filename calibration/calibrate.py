"""From videos of a waved board to a solved, measured and graded rig: the story that calls the others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import numpy as np

from calibration.board.clock import join_by_frame, join_by_time, set_clock
from calibration.board.detect import BoardCorners, CameraCorners, FrameReader, detect_videos
from calibration.board.diagnose import check_front, check_layout, explain_unseen
from calibration.match import match_cameras
from calibration.rig.anipose import calibrate_with_anipose
from calibration.rig.covariance import covariance_of
from calibration.rig.grade import GradeLimits
from calibration.rig.intrinsics import LensLimits, check_sizes_fit, check_support, expect_lenses, guess_lens
from calibration.rig.lens_check import LensExam, examine_lenses
from calibration.rig.misfit import explain_misfit
from calibration.rig.moved import find_moved_camera, refuse_move
from calibration.rig.poses import check_enough, check_lenses_fit, check_spread, cost_of_free_lenses, find_wrong_lens
from calibration.rig.quality import measure_corners
from calibration.rig.report import CalibrationReport, HeldOut, hold_out, make_report
from calibration.rig.scale import KnownLength, check_scale, measure_length
from calibration.rig.solve import SolvedRig, SolveSettings, draw_folds, solve_rig
from calibration.rig.sync import check_synchronous, check_whole_frames
from labsys.core.arrays import FloatArray
from labsys.core.board import Board
from labsys.core.cameras import CameraRig, Intrinsics, LensModel, RigCovariance
from labsys.core.errors import GateRefusedError, InputError
from labsys.core.progress import Progress

_SEEN_AT_LEAST = 5
_UNSURE = 0.93  # how much better than another lens a move must explain the corners that chance may have made


class Engine(StrEnum):
    """Who solves the rig."""

    LABSYS = "labsys"
    ANIPOSE = "anipose"


@dataclass(frozen=True)
class CalibrateSettings:
    """How a calibration is made and judged.

    Attributes:
        free_running: nothing triggers the cameras together; True unless a capture device vouches for it.
        lens_model: of lenses that are solved from the boards.
        override_reason: why to go on where a gate would refuse; goes on record with the result.
    """

    free_running: bool = True
    engine: Engine = Engine.LABSYS
    lens_model: LensModel = LensModel.PINHOLE
    solve: SolveSettings = field(default_factory=SolveSettings)
    grades: GradeLimits = field(default_factory=GradeLimits)
    lenses: LensLimits = field(default_factory=LensLimits)
    override_reason: str = ""


@dataclass(frozen=True, eq=False)
class CalibrationOutcome:
    """A rig in the frame of its first camera, what it was solved from, and what it is worth.

    covariance: of the cameras; None where aniposelib solved them, which says nothing about it.

    The report may grade it "refused": `report.check_gate` raises then.
    """

    rig: CameraRig
    report: CalibrationReport
    corners: BoardCorners
    covariance: RigCovariance | None = None


def calibrate_videos(
    videos: Mapping[str, Path],
    board: Board,
    *,
    read: FrameReader,
    rate_hz: float,
    lenses: Mapping[str, Intrinsics] | None = None,
    times_s: Mapping[str, FloatArray] | None = None,
    settings: CalibrateSettings | None = None,
    progress: Progress | None = None,
) -> CalibrationOutcome:
    """Calibrate a rig from videos.

    Args:
        videos: camera name -> video.
        read: yields a video's pictures in packet order as (H, W) uint8 brightness.
        rate_hz: of frames that are taken as simultaneous because no times are given.
        lenses: camera name -> its lens; None solves the lenses from the same boards, where these can tell them.
        times_s: camera name -> (T,) time of every frame; None takes frame i of every video as one instant.

    Raises:
        InputError: unreadable video, wrong description of the board, sizes or times that do not fit; names the camera.
        GateRefusedError: boards that cannot support a calibration; names the camera and what to film.
    """
    begun = time.perf_counter()
    seen = find_board(videos, board, read=read, progress=progress)
    detected = time.perf_counter()
    corners = join_cameras(seen, board, rate_hz=rate_hz, times_s=times_s)
    outcome = calibrate_corners(corners, lenses=lenses, settings=settings)
    seconds = {"detect": detected - begun, "solve": time.perf_counter() - detected}
    return replace(outcome, report=replace(outcome.report, seconds=seconds))


def find_board(
    videos: Mapping[str, Path], board: Board, *, read: FrameReader, progress: Progress | None = None
) -> tuple[CameraCorners, ...]:
    """Find the board in every frame of every video, and refuse a camera that hardly saw it or saw another board.

    Raises:
        As `calibrate_videos`.
    """
    seen = detect_videos(videos, board, read=read, progress=progress)
    check_found(seen, videos, board, read=read)
    return seen


def check_found(
    seen: tuple[CameraCorners, ...], videos: Mapping[str, Path], board: Board, *, read: FrameReader
) -> None:
    """Refuse a camera that hardly saw the board, or saw another one.

    Raises:
        As `calibrate_videos`.
    """
    check_layout(seen, board)
    for camera in seen:
        if camera.n_boards < _SEEN_AT_LEAST:
            raise explain_unseen(read(videos[camera.camera]), board, camera=camera)
    check_front(seen, board)


def join_cameras(
    seen: tuple[CameraCorners, ...], board: Board, *, rate_hz: float, times_s: Mapping[str, FloatArray] | None
) -> BoardCorners:
    """Put the corners of all cameras on common instants, by their times where given, else by frame number."""
    if times_s is None:
        return join_by_frame(seen, board, rate_hz=rate_hz)
    return join_by_time(set_clock(seen, times_s), board)


def calibrate_corners(
    corners: BoardCorners,
    *,
    lenses: Mapping[str, Intrinsics] | None = None,
    known_lengths: tuple[KnownLength, ...] = (),
    settings: CalibrateSettings | None = None,
) -> CalibrationOutcome:
    """Calibrate a rig from board corners that were found before.

    Raises:
        As `calibrate_videos`.
    """
    chosen = settings or CalibrateSettings()
    check_enough(corners)
    own = None if lenses is None else _own_lenses(corners, lenses)
    match chosen.engine:
        case Engine.LABSYS:
            solved, exam = _solve_and_check(corners, own, chosen)
            heldout = hold_out(corners, solved, chosen.solve)
        case Engine.ANIPOSE:
            solved, heldout = _solve_with_anipose(corners, own, chosen)
            exam = None if own is None else examine_lenses(solved, chosen.solve)
    lengths = tuple(measure_length(solved.rig, known) for known in known_lengths)
    report = make_report(
        corners,
        solved,
        heldout=heldout,
        engine=chosen.engine,
        free_running=chosen.free_running,
        exam=exam,
        limits=chosen.grades,
        scale_error=check_scale(lengths, square_m=corners.board.square_m) if lengths else None,
    )
    covariance = None
    if chosen.engine is Engine.LABSYS:
        covariance = covariance_of(solved, lenses_solved=own is None, settings=chosen.solve.bundle)
    report = replace(report, override_reason=chosen.override_reason)
    return CalibrationOutcome(solved.rig, report, corners, covariance)


def _own_lenses(corners: BoardCorners, lenses: Mapping[str, Intrinsics]) -> tuple[Intrinsics, ...]:
    match = match_cameras(lenses, corners.cameras)
    own = tuple(lenses[match[c]] for c in corners.cameras)
    check_sizes_fit(dict(zip(corners.cameras, corners.sizes_px, strict=True)), lenses)
    check_lenses_fit(corners, own)
    return own


def _solve_and_check(
    corners: BoardCorners, lenses: tuple[Intrinsics, ...] | None, settings: CalibrateSettings
) -> tuple[SolvedRig, LensExam | None]:
    """The rig and what the boards say of given lenses, where nothing refuses it.

    A refusal gives way to what made the cameras contradict each other.
    """
    guesses = lenses or tuple(guess_lens(corners, i, model=settings.lens_model) for i in range(len(corners.cameras)))
    try:
        solved = _solve(corners, guesses, settings, given=lenses is not None)
        exam = _check_solved(corners, solved, settings, lenses_given=lenses is not None)
    except (GateRefusedError, InputError) as error:
        raise explain_misfit(corners, guesses) or error from error
    return solved, exam


def _solve(
    corners: BoardCorners, guesses: tuple[Intrinsics, ...], settings: CalibrateSettings, *, given: bool
) -> SolvedRig:
    """Through given lenses; or through those that the same boards show, found with the cameras' lags free."""
    if given:
        return solve_rig(corners, guesses, settings=settings.solve)
    first = solve_rig(corners, guesses, prior=expect_lenses(guesses), settings=settings.solve)
    if not settings.override_reason:
        check_support(corners, first, limits=settings.lenses)
    return solve_rig(corners, tuple(c.intrinsics for c in first.unlagged.cameras), settings=settings.solve)


def _check_solved(
    corners: BoardCorners, solved: SolvedRig, settings: CalibrateSettings, *, lenses_given: bool
) -> LensExam | None:
    """What a small error does not show: poses all alike, cameras moved, with another lens, or out of step.

    A move and a wrong lens each look a little like the other; where one of them is sure, what explains more is named.
    """
    check_spread(solved)
    check_whole_frames(corners, solved, settings.solve)
    n_cameras = len(corners.cameras)
    move = find_moved_camera(solved, corners.times_s)
    if move is None:
        check_synchronous(corners, solved, settings.solve)
    exam = examine_lenses(solved, settings.solve) if lenses_given else None
    focal = None if exam is None else find_wrong_lens(corners, solved, settings.solve)
    lens = focal or (None if exam is None else exam.refusal)
    if move is None and lens is None:
        return exam
    if exam is not None and focal is None and lens is not None:
        free_cost = exam.cost
    else:
        free_cost = cost_of_free_lenses(solved, settings.solve)
    suspect = move or find_moved_camera(solved, corners.times_s, sure=False)
    margin = 1.0 if move is not None else _UNSURE
    if suspect is not None and (lens is None or suspect.cost < margin * free_cost):
        raise refuse_move(suspect, n_cameras=n_cameras)
    if lens is not None:
        raise lens
    return exam


def _solve_with_anipose(
    corners: BoardCorners, lenses: tuple[Intrinsics, ...] | None, settings: CalibrateSettings
) -> tuple[SolvedRig, HeldOut]:
    """aniposelib's rig on our detections, judged as ours is; one fold in five is held out, as it takes its time."""
    rig = calibrate_with_anipose(corners, lenses)
    tested = np.asarray(draw_folds(corners) == 0, dtype=np.bool_)
    without = calibrate_with_anipose(corners.at_frames(~tested), lenses)
    ours = solve_rig(corners, tuple(c.intrinsics for c in rig.cameras), settings=settings.solve)
    no_gross = np.zeros_like(ours.gross)
    solved = replace(ours, rig=rig, gross=no_gross, centre_sd_m=np.full(len(rig.cameras), np.nan))
    return solved, HeldOut(tested, measure_corners(corners.at_frames(tested), without))
