"""Why a board is not seen, or is not the board that was declared: each cause with its own message and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from calibration.board.board import marker_corners
from calibration.board.detect import MIN_CORNERS, CameraCorners
from calibration.board.detector import COARSE_WINDOWS, Gray, Sighting, search
from labsys.core.arrays import BoolArray
from labsys.core.board import DICTIONARIES, Board
from labsys.core.errors import GateRefusedError, InputError

_SAMPLED = 12  # frames looked at when a camera saw nothing
_DICTIONARY_FRAMES = 4
_FEWEST_PICTURES = 5
_FIT = 0.2  # of a marker's edge; a layout that is off by more is another layout
_MOST_COLUMNS = 24


def explain_unseen(frames: Iterator[Gray], board: Board, *, camera: CameraCorners) -> GateRefusedError | InputError:
    """Look for the board under every other description, and say what was found.

    Args:
        frames: the camera's pictures.
        camera: what was found in them under the declared description, which is next to nothing.

    Returns:
        The error to raise: a wrong description is an InputError, a board that is not there a GateRefusedError.
    """
    name, pictures = camera.camera, len(camera.times_s)
    if pictures < _FEWEST_PICTURES:
        return InputError(
            f"the video holds {pictures} picture(s)", where=f"camera {name}", remedy="Give the whole recording"
        )
    sample = _sample(frames)
    own = make_found(sample, board)
    for other, what, remedy in _other_descriptions(board):
        if make_found(sample, other) > 2 * own + 1:
            return InputError(f"{name} sees the board, but {what}", where=f"camera {name}", remedy=remedy)
    flipped = [np.ascontiguousarray(f[:, ::-1]) for f in sample]
    if make_found(flipped, board) > 2 * own + 1:
        return InputError(
            "the image is mirrored: the board can be read only from its mirror image",
            where=f"camera {name}",
            remedy="Switch off mirror mode and record again; for a board printed on both sides set mirrored_back: true",
        )
    dictionary = _find_dictionary(sample, board)
    if dictionary:
        return InputError(
            f"the markers in the video are of {dictionary}, the board is declared as {board.dictionary}",
            where=f"camera {name}",
            remedy=f"Set dictionary: {dictionary} in the board file",
        )
    return GateRefusedError(
        f"camera {name} saw the board in only {camera.n_boards} of {pictures} pictures"
        if camera.n_boards
        else f"camera {name} never saw the board",
        remedy="Show it the board closer, brighter and less blurred; check that the video is that of this recording",
    )


def make_found(sample: list[Gray], board: Board) -> int:
    """Frames of the sample in which at least two of the board's markers are read and fit its layout."""
    shown = [np.ascontiguousarray(~f if board.inverted else f) for f in sample]
    return sum(_fits(search(f, board, windows=COARSE_WINDOWS), board) for f in shown)


def _fits(seen: Sighting, board: Board) -> bool:
    return seen.marker_ids.size >= 2 and layout_error(seen, board) < _FIT


def _sample(frames: Iterator[Gray]) -> list[Gray]:
    """At most 12 pictures spread evenly over a video of unknown length, without holding the rest."""
    kept: list[Gray] = []
    stride = 1
    for i, frame in enumerate(frames):
        if i % stride == 0:
            kept.append(frame)
        if len(kept) > _SAMPLED:
            kept, stride = kept[::2], 2 * stride
    return kept


def _other_descriptions(board: Board) -> list[tuple[Board, str, str]]:
    inverted = replace(board, inverted=not board.inverted)
    legacy = replace(board, legacy_pattern=not board.legacy_pattern)
    shade = "white on black" if inverted.inverted else "black on white"
    return [
        (inverted, f"it is printed {shade}", f"Set inverted: {str(inverted.inverted).lower()} in the board file"),
        (legacy, "in the other pattern", f"Set legacy_pattern: {str(legacy.legacy_pattern).lower()} in the board file"),
    ]


def _find_dictionary(sample: list[Gray], board: Board) -> str:
    """The dictionary of which most markers are read in the sample; empty when none stands out.

    The smaller dictionaries of a family are the beginnings of its largest, so only that is searched, and the smallest
    that holds the board and every marker read is named.
    """
    shown = [~f if board.inverted else f for f in sample[:: max(1, len(sample) // _DICTIONARY_FRAMES)]]
    largest: dict[str, str] = {}
    for name, size in DICTIONARIES.items():
        family = _family(name)
        if size >= DICTIONARIES.get(largest.get(family, ""), 0):
            largest[family] = name
    read = {family: _read_ids(shown, name) for family, name in largest.items()}
    best = max(read, key=lambda f: len(read[f]))
    if len(read[best]) < max(2 * len(shown), 2 * len(read[_family(board.dictionary)]) + 2):
        return ""
    holds = max(board.n_markers, int(np.percentile(read[best], 90)) + 1)
    return min(
        (n for n in DICTIONARIES if _family(n) == best and DICTIONARIES[n] >= holds), key=DICTIONARIES.__getitem__
    )


def _family(dictionary: str) -> str:
    return dictionary if "APRILTAG" in dictionary or "ORIGINAL" in dictionary else dictionary.rsplit("_", 1)[0]


def _read_ids(shown: list[Gray], dictionary: str) -> list[int]:
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, dictionary)))
    found = [detector.detectMarkers(frame)[1] for frame in shown]
    return [int(i) for ids in found if ids is not None for i in np.ravel(ids)]


def check_layout(cameras: tuple[CameraCorners, ...], board: Board) -> None:
    """Compare the markers seen with the declared columns, rows and pattern.

    Raises:
        InputError: markers lie elsewhere than declared, markers that the board should not have, or part of the board
            that no camera ever saw.
    """
    foreign = _foreign_markers(cameras, board)
    seen = [_only(w, board, foreign) for c in cameras for w in c.witnesses]
    seen = [w for w in seen if w.marker_ids.size >= 4 and (w.marker_ids < board.n_markers).sum() >= 2]
    if not seen:
        return
    misfit = float(np.median([layout_error(w, board) for w in seen]))
    if misfit > _FIT or foreign:
        found = _guess_layout(seen, board)
        raise InputError(
            f"the board in the videos is not {board.columns} x {board.rows} squares"
            + (f": it carries markers {foreign[0]} to {foreign[-1]}" if foreign else ""),
            where="camera " + ", ".join(c.camera for c in cameras if c.witnesses),
            remedy=f"{found} in the board file" if found else "Count its columns and rows and correct the board file",
        )
    _check_whole_board(cameras, board)


def check_front(cameras: tuple[CameraCorners, ...], board: Board) -> None:
    """Refuse a two-sided board of which nobody ever saw the front: pictures that are all mirrored look like its back.

    A rig solved from them would be the mirror image of the true one, with errors as small.

    Raises:
        InputError: names the cameras.
    """
    if not board.mirrored_back or any(_shows_front(c, board).any() for c in cameras):
        return
    raise InputError(
        "the board was read only from its mirrored back",
        where="camera " + ", ".join(c.camera for c in cameras),
        remedy="Switch off mirror mode if the pictures are mirrored; else show the board's front, too",
    )


def _shows_front(camera: CameraCorners, board: Board) -> BoolArray:
    """(T,) True where corners run the same way round in the picture as on the print."""
    seen = camera.seen[..., None]
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    plane = np.where(seen, board.corners_m[None, :, :2], 0.0)
    image = np.where(seen, camera.xy_px, 0.0)
    plane = np.where(seen, plane - plane.sum(axis=1, keepdims=True) / count, 0.0)
    image = np.where(seen, image - image.sum(axis=1, keepdims=True) / count, 0.0)
    turn = np.linalg.det(plane.transpose(0, 2, 1) @ image)
    return np.asarray((seen.sum(axis=(1, 2)) >= MIN_CORNERS) & (turn > 0), dtype=np.bool_)


def _foreign_markers(cameras: tuple[CameraCorners, ...], board: Board) -> list[int]:
    """Markers that the board should not have, ascending: what two cameras read is print; what only one reads, again and
    again in the same place, may be a pattern in its room.
    """
    read = [{int(i) for w in c.witnesses for i in w.marker_ids if i >= board.n_markers} for c in cameras]
    return sorted({i for ids in read for i in ids if sum(i in other for other in read) >= min(2, len(cameras))})


def _only(seen: Sighting, board: Board, foreign: list[int]) -> Sighting:
    """The sighting without markers that are neither the board's own nor foreign print."""
    keep = (seen.marker_ids < board.n_markers) | np.isin(seen.marker_ids, foreign)
    return replace(seen, marker_ids=seen.marker_ids[keep], markers_px=seen.markers_px[keep])


def _check_whole_board(cameras: tuple[CameraCorners, ...], board: Board) -> None:
    sightings = sum(c.seen.sum(axis=0) for c in cameras)
    missing = np.flatnonzero(np.asarray(sightings) == 0)
    if missing.size and np.median(sightings) >= 20:
        raise InputError(
            f"no camera ever saw corner(s) {', '.join(str(i) for i in missing[:12])} of the board",
            where="camera " + ", ".join(c.camera for c in cameras),
            remedy=f"The board file says {board.columns} x {board.rows} squares: count them, or uncover the board",
        )


def layout_error(seen: Sighting, board: Board) -> float:
    """How far the markers lie from where the board's plane puts them, median, in marker edges; inf for too few."""
    own = seen.marker_ids < board.n_markers
    if own.sum() < 2:
        return float("inf")
    board_m = marker_corners(board)[seen.marker_ids[own]].reshape(-1, 2)
    H = np.asarray(cv2.findHomography(board_m, seen.markers_px[own].reshape(-1, 2), 0)[0])
    if H.shape != (3, 3):  # OpenCV gives None where there is none
        return float("inf")
    mapped = cv2.perspectiveTransform(board_m[None], H)[0].reshape(-1, 4, 2)
    edge = np.linalg.norm(seen.markers_px[own] - np.roll(seen.markers_px[own], 1, axis=1), axis=-1).mean()
    off = np.linalg.norm(mapped - seen.markers_px[own], axis=-1)
    return float(np.sqrt(np.mean(off**2)) / edge) if np.isfinite(off).all() else float("inf")


def _guess_layout(seen: list[Sighting], board: Board) -> str:
    """The columns (and pattern) under which the markers fit, as text for the board file; empty when none fits."""
    highest = max(int(i) for w in seen for i in w.marker_ids)
    best = (_FIT, "")
    for columns in range(3, _MOST_COLUMNS + 1):
        rows = max(3, int(np.ceil(2 * (highest + 1) / columns)))
        for legacy in (board.legacy_pattern, not board.legacy_pattern):
            if columns * rows // 2 > DICTIONARIES[board.dictionary]:
                continue
            other = replace(board, columns=columns, rows=rows, legacy_pattern=legacy)
            error = float(np.median([layout_error(w, other) for w in seen]))
            if error < best[0] - 1e-6:
                pattern = "" if legacy == board.legacy_pattern else f" and legacy_pattern: {str(legacy).lower()}"
                best = (error, f"Set columns: {columns} and rows: {rows} (or the like){pattern}")
    return best[1]
