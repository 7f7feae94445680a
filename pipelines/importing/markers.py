"""3D markers of another system as landmarks: which marker is which landmark, in LAB."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from calibration.align import WorldAxes
from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError, UnknownNameError
from labsys.core.landmarks import Landmarks3D
from labsys.core.session import TrialKind, TrialName
from labsys.storage.atomic import hash_file, read_text
from labsys.storage.exchange.trc import MarkerTable, read_trc
from labsys.storage.lab import Lab, take_folder
from labsys.storage.takes import Take
from pipelines.importing.landmarks2d import KNOWN_LANDMARKS, check_landmark_names

# Markers of a rigid cluster on a thigh or shank, which carry landmarks that only the static shows.
_CLUSTER = re.compile(r"[RL](TH|TB)\d+")
# An unknown marker name this alike to an unused marker of the file is taken for a misspelling.
_MISSPELT = 0.8
_MIN_MAPPED_SHARE = 0.5
# Extent of a person's landmarks, hand to foot; beyond it the file is in another unit.
_MIN_EXTENT_M = 0.3
_MAX_EXTENT_M = 3.0
_HIGH = ("C7", "RAC", "LAC", "RShoulder", "LShoulder", "RASIS", "LASIS", "RHip", "LHip")
_LOW = ("RHEEL", "LHEEL", "RTOE", "LTOE", "RLM", "LLM", "RHeel", "LHeel", "RAnkle", "LAnkle")
# Cosine: a standing, walking or running body is upright within 45 degrees.
_UPRIGHT = 0.7


def read_markers(path: Path, marker_map: Path | None, axes: WorldAxes | None) -> tuple[Landmarks3D, tuple[str, ...]]:
    """Markers as landmarks in LAB, and remarks; without a map each marker must bear a landmark's name.

    Without axes the file is in OpenSim's: X forward, Y up, Z right, which are LAB's.

    Raises:
        InputError: unreadable, an unsupported format, a map that names unknown landmarks or markers, no frames, or
            distances that no person has.
    """
    table = _read_table(path)
    names, xyz_m, remarks = _pick(table, _read_map(marker_map), path)
    rotation = np.eye(3) if axes is None else axes.rotation
    landmarks = Landmarks3D.from_positions(names, table.times_s, xyz_m @ rotation.T)
    _check_extent(landmarks, path)
    return landmarks, remarks


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
        if landmark not in KNOWN_LANDMARKS and not _CLUSTER.fullmatch(str(landmark)):
            raise UnknownNameError("landmark", str(landmark), valid=KNOWN_LANDMARKS, where=f"marker map {path}")
    return {str(landmark): _markers_of(landmark, value, path) for landmark, value in document.items()}


def _markers_of(landmark: str, value: object, path: Path) -> tuple[str, ...]:
    markers = value if isinstance(value, list) else [value]
    if not markers or not all(isinstance(m, str | int) for m in markers):
        raise InputError(f"landmark {landmark} is given no marker name", where=str(path))
    return tuple(str(m) for m in markers)


def _pick(
    table: MarkerTable, marker_map: Mapping[str, tuple[str, ...]] | None, path: Path
) -> tuple[tuple[str, ...], FloatArray, tuple[str, ...]]:
    """Landmark names, their positions in the file's axes, and remarks about landmarks that the file lacks."""
    if marker_map is None:
        return table.markers, table.xyz_m, tuple(check_landmark_names(table.markers))
    check_landmark_names([name for name in marker_map if name in KNOWN_LANDMARKS])
    columns: dict[str, FloatArray] = {}
    lacking: list[str] = []
    for landmark, markers in marker_map.items():
        missing = [m for m in markers if m not in table.markers]
        if missing:
            _refuse_misspelt(missing, table, marker_map, path)
            lacking.append(landmark)
        else:
            columns[landmark] = np.mean([table.xyz_m[:, table.markers.index(m)] for m in markers], axis=0)
    if len(columns) < _MIN_MAPPED_SHARE * len(marker_map):
        raise InputError(
            f"only {len(columns)} of the map's {len(marker_map)} landmarks have markers in the file",
            where=str(path),
            remedy=f"This is the map of another marker set; the file has {', '.join(table.markers[:30])}",
        )
    remarks = (f"the file has no markers for {', '.join(lacking)}",) if lacking else ()
    return tuple(columns), np.stack(list(columns.values()), axis=1), remarks


def _refuse_misspelt(
    missing: Sequence[str], table: MarkerTable, marker_map: Mapping[str, tuple[str, ...]], path: Path
) -> None:
    """One map may serve a static and a run of which one has fewer markers; a near miss is a slip of the pen."""
    used = {m for markers in marker_map.values() for m in markers}
    for marker in missing:
        if difflib.get_close_matches(marker, [m for m in table.markers if m not in used], n=1, cutoff=_MISSPELT):
            raise UnknownNameError("marker", marker, valid=table.markers, where=str(path))


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
    landmarks, _ = read_markers(paths["markers"], paths.get("marker_map"), axes)
    return landmarks, axes is None or axes.heading_known
