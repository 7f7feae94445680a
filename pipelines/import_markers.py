"""3D markers of another system as landmarks: which marker is which landmark, in LAB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from calibration.align import WorldAxes
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.landmarks import Landmarks3D
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import LANDMARK_SETS
from labsys.storage.atomic import hash_file, read_text
from labsys.storage.exchange.trc import MarkerTable, read_trc
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import Take
from pipelines.import_landmarks2d import check_landmark_names

_KNOWN = frozenset(name for s in LANDMARK_SETS.values() for name in s.landmarks)
# Extent of a person's landmarks, hand to foot; beyond it the file is in another unit.
_MIN_EXTENT_M = 0.3
_MAX_EXTENT_M = 3.0
_HIGH = ("C7", "RAC", "LAC", "RShoulder", "LShoulder", "RASIS", "LASIS", "RHip", "LHip")
_LOW = ("RHEEL", "LHEEL", "RTOE", "LTOE", "RLM", "LLM", "RHeel", "LHeel", "RAnkle", "LAnkle")
# Cosine: a standing, walking or running body is upright within 45 degrees.
_UPRIGHT = 0.7


def read_markers(path: Path, marker_map: Path | None, axes: WorldAxes | None) -> Landmarks3D:
    """Markers as landmarks in LAB; without a map each marker must bear a landmark's name.

    Without axes the file is in OpenSim's: X forward, Y up, Z right, which are LAB's.

    Raises:
        InputError: unreadable, an unsupported format, a map that names unknown landmarks or markers, no frames, or
            distances that no person has.
    """
    table = _read_table(path)
    names, xyz_m = _pick(table, _read_map(marker_map), path)
    rotation = np.eye(3) if axes is None else axes.rotation
    landmarks = Landmarks3D.from_positions(names, table.times_s, xyz_m @ rotation.T)
    _check_extent(landmarks, path)
    return landmarks


def check_upright(landmarks: Landmarks3D, kind: TrialKind, path: Path) -> None:
    """Refuse a standing, walking or running person whose shoulders are not above the feet (InputError)."""
    if kind is TrialKind.OTHER:
        return
    body = _median(landmarks, _HIGH) - _median(landmarks, _LOW)
    up = body[1] / np.linalg.norm(body)
    if np.isfinite(up) and up < _UPRIGHT:
        raise InputError(
            "the body is not upright in the file's axes",
            where=str(path),
            remedy="Say what the axes mean, for example --world-axes forward=+x,up=+z",
        )


def _median(landmarks: Landmarks3D, names: tuple[str, ...]) -> FloatArray:
    tracks = [landmarks.point_m(n) for n in names if n in landmarks.landmarks]
    points = np.concatenate([t[np.isfinite(t).all(axis=-1)] for t in tracks]) if tracks else np.empty((0, 3))
    return np.asarray(np.median(points, axis=0) if len(points) else np.full(3, np.nan), dtype=np.float64)


def _read_table(path: Path) -> MarkerTable:
    match path.suffix.lower():
        case ".trc":
            return read_trc(path)
        case ".c3d":
            raise InputError("C3D is not read yet", where=str(path), remedy="Export the markers as .trc")
        case suffix:
            raise InputError(f"'{suffix}' is no known marker format", where=str(path), remedy="Give a .trc file")


def _read_map(path: Path | None) -> dict[str, tuple[str, ...]] | None:
    if path is None:
        return None
    try:
        document = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError("marker map is not valid YAML", where=f"{path}: {error}") from error
    if not isinstance(document, dict) or not document:
        raise InputError("marker map is empty", where=str(path), remedy="Write lines 'LANDMARK: MARKER'")
    for landmark in document:
        if landmark not in _KNOWN:
            raise UnknownNameError("landmark", str(landmark), valid=_KNOWN, where=f"marker map {path}")
    return {str(landmark): _markers_of(landmark, value, path) for landmark, value in document.items()}


def _markers_of(landmark: str, value: object, path: Path) -> tuple[str, ...]:
    markers = value if isinstance(value, list) else [value]
    if not markers or not all(isinstance(m, str | int) for m in markers):
        raise InputError(f"landmark {landmark} is given no marker name", where=str(path))
    return tuple(str(m) for m in markers)


def _pick(
    table: MarkerTable, marker_map: Mapping[str, tuple[str, ...]] | None, path: Path
) -> tuple[tuple[str, ...], FloatArray]:
    if marker_map is None:
        check_landmark_names(table.markers)
        return table.markers, table.xyz_m
    columns = []
    for markers in marker_map.values():
        for marker in markers:
            if marker not in table.markers:
                raise UnknownNameError("marker", marker, valid=table.markers, where=str(path))
        columns.append(np.mean([table.xyz_m[:, table.markers.index(m)] for m in markers], axis=0))
    check_landmark_names(tuple(marker_map))
    return tuple(marker_map), np.stack(columns, axis=1)


def _check_extent(landmarks: Landmarks3D, path: Path) -> None:
    xyz_m = landmarks.xyz_m
    if not np.isfinite(xyz_m).any():
        raise InputError("the marker file holds no positions", where=str(path))
    complete = np.isfinite(xyz_m).all(axis=-1).sum(axis=1)
    frame = xyz_m[int(np.argmax(complete))]
    frame = frame[np.isfinite(frame).all(axis=-1)]
    extent_m = float(np.linalg.norm(frame.max(axis=0) - frame.min(axis=0)))
    if not _MIN_EXTENT_M <= extent_m <= _MAX_EXTENT_M:
        raise InputError(
            f"the person would be {extent_m:.3g} m long",
            where=str(path),
            remedy="The unit in the file's header does not fit its numbers; correct it",
        )


def read_taken_markers(lab: Lab, name: TrialName, take: Take) -> tuple[Landmarks3D, bool]:
    """The markers of a take as landmarks in LAB, and whether the run direction of their world is known.

    Raises:
        InputError: as `read_markers`, or a file was changed after its import.
    """
    paths = {role: take_folder(lab, name) / file.path for role, file in take.files.items()}
    for role, path in paths.items():
        if hash_file(path) != take.files[role].sha256:
            raise InputError("was changed after its import", where=str(path), remedy="Restore it from a backup")
    axes = WorldAxes.parse(read_text(paths["world_axes"])) if "world_axes" in paths else None
    landmarks = read_markers(paths["markers"], paths.get("marker_map"), axes)
    return landmarks, axes is None or axes.heading_known
