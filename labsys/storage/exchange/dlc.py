"""DeepLabCut's files: its PyTorch configuration, and 2D landmarks.

2D is h5 (key df_with_missing, columns scorer, bodyparts, coords) or the csv of the same table. pandas stays inside this
file's functions: half of what the service would import at its start, for files that it rarely reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import yaml

from labsys.core.errors import InputError
from labsys.storage.atomic import read_text, replacing
from labsys.storage.exchange.tracks import CameraTrack, clean_landmarks

if TYPE_CHECKING:
    import pandas as pd

KEY = "df_with_missing"
_COORDS = ("x", "y", "likelihood")


def read_dlc(path: Path) -> CameraTrack:
    """Read one camera's landmarks from .h5 or .csv.

    Raises:
        InputError: no DeepLabCut table, several scorers, several individuals (named), or missing frames.
    """
    if path.suffix.lower() in (".h5", ".hdf5"):
        table, kind = _read_h5(path), "h5"
    else:
        table, kind = _read_csv(path), "csv"
    if table.empty:
        raise InputError("holds no frames", where=str(path))
    table = _single_individual(table, path)
    scorer = _single_scorer(table, path)
    return _to_track(table, path, source=f"DeepLabCut {kind}, scorer {scorer}")


def write_dlc_h5(path: Path, track: CameraTrack, *, scorer: str = "labsys") -> None:
    """Write one camera's landmarks as DeepLabCut does; equal tracks give equal bytes.

    Raises:
        InputError: there are no landmarks or frames, or the folder cannot be written.
    """
    import pandas as pd

    if not track.landmarks or not track.n_frames:
        raise InputError("there are no 2D landmarks to write", where=str(path))
    columns = pd.MultiIndex.from_product([[scorer], track.landmarks, _COORDS], names=["scorer", "bodyparts", "coords"])
    values = np.concatenate([track.xy_px, track.confidence[..., None]], axis=2).reshape(track.n_frames, -1)
    index = pd.RangeIndex(track.first_frame, track.first_frame + track.n_frames)
    table = pd.DataFrame(values, columns=columns, index=pd.Index(np.asarray(index)))
    with replacing(path) as temporary, pd.HDFStore(temporary, mode="w") as store:
        # Without timestamps (the index of a table has them too), the same landmarks give the same hash.
        store.put(KEY, table, format="table", track_times=False, index=False)


def read_config_names(path: Path) -> tuple[str, ...]:
    """What the network of a PyTorch configuration finds, in its order (InputError: unreadable, or it does not say)."""
    try:
        document: Any = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"is no readable configuration: {error}", where=str(path)) from error
    metadata = document.get("metadata") if isinstance(document, dict) else None
    names = metadata.get("bodyparts") if isinstance(metadata, dict) else None
    if not isinstance(names, list):
        raise InputError("names no body parts (metadata.bodyparts)", where=str(path))
    return tuple(map(str, names))


def read_config_elsewhere(path: Path) -> str:
    """A PyTorch configuration as text for other machines: without the places of the project that it was made in.

    Raises:
        InputError: unreadable, or no configuration.
    """
    read_config_names(path)
    document: Any = yaml.safe_load(read_text(path))
    for place in ("project_path", "pose_config_path"):
        if place in document["metadata"]:
            document["metadata"][place] = None
    if "resume_training_from" in document:
        document["resume_training_from"] = None
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def read_config_of_one(path: Path) -> str:
    """A PyTorch configuration of a network that looks at one person, as text: for one individual, of no project.

    Raises:
        InputError: unreadable, or no configuration.
    """
    document: Any = yaml.safe_load(read_config_elsewhere(path))
    document["metadata"]["individuals"] = ["subject"]
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def hdf5_errors() -> tuple[type[Exception], ...]:
    """What pandas and PyTables raise on truncated or foreign HDF5."""
    from tables.exceptions import HDF5ExtError, NodeError

    return OSError, KeyError, ValueError, TypeError, AttributeError, IndexError, HDF5ExtError, NodeError


def _read_h5(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with pd.HDFStore(path, mode="r") as store:
            keys = store.keys()
            chosen = f"/{KEY}" if f"/{KEY}" in keys else (keys[0] if len(keys) == 1 else "")
            table = store.get(chosen) if chosen else None
    except FileNotFoundError as error:
        raise InputError("is not there", where=str(path)) from error
    except hdf5_errors() as error:
        raise InputError(f"is no readable HDF5 table ({type(error).__name__})", where=str(path)) from error
    if not isinstance(table, pd.DataFrame) or not isinstance(table.columns, pd.MultiIndex):
        raise InputError(f"holds no DeepLabCut table (key {KEY})", where=str(path))
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with path.open(encoding="utf-8") as stream:
            first_cells = [line.split(",")[0].strip() for line, _ in zip(stream, range(4), strict=False)]
        levels = 4 if first_cells[1:2] == ["individuals"] else 3
        if first_cells[:1] != ["scorer"] or first_cells[levels - 1 : levels] != ["coords"]:
            raise InputError("is no DeepLabCut csv (rows scorer, bodyparts, coords)", where=str(path))
        return pd.read_csv(path, header=list(range(levels)), index_col=0, float_precision="round_trip")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"is no readable DeepLabCut csv: {error}", where=str(path)) from error


def _single_individual(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    if "individuals" not in table.columns.names:
        return table
    names = list(dict.fromkeys(str(n) for n in table.columns.get_level_values("individuals")))
    by_name = {n: table.xs(n, axis="columns", level="individuals", drop_level=True) for n in names}
    seen = [n for n, part in by_name.items() if bool(part.notna().to_numpy().any())]
    if len(seen) != 1:
        raise InputError(
            f"holds {len(seen)} individuals with landmarks: {', '.join(seen or names)}",
            where=str(path),
            remedy="Keep one individual per file; labsys does not guess who the subject is",
        )
    return cast("pd.DataFrame", by_name[seen[0]])


def _single_scorer(table: pd.DataFrame, path: Path) -> str:
    expected = ["scorer", "bodyparts", "coords"]
    if list(table.columns.names) != expected:
        raise InputError(f"has column levels {list(table.columns.names)}, expected {expected}", where=str(path))
    scorers = list(dict.fromkeys(str(s) for s in table.columns.get_level_values("scorer")))
    if len(scorers) != 1:
        raise InputError(f"holds {len(scorers)} scorers: {', '.join(scorers)}", where=str(path), remedy="Keep one")
    return scorers[0]


def _to_track(table: pd.DataFrame, path: Path, *, source: str) -> CameraTrack:
    bodyparts, coords = (table.columns.get_level_values(level) for level in ("bodyparts", "coords"))
    pairs = [(str(b), str(c)) for b, c in zip(bodyparts, coords, strict=True)]
    landmarks = tuple(dict.fromkeys(b for b, _ in pairs))
    if pairs != [(b, c) for b in landmarks for c in _COORDS]:
        raise InputError(f"does not give {', '.join(_COORDS)} for every body part", where=str(path))
    first = _first_frame(table, path)
    try:
        values = table.to_numpy(dtype=np.float64).reshape(len(table), len(landmarks), 3)
    except ValueError as error:
        raise InputError(f"holds a cell that is no number: {error}", where=str(path)) from error
    xy_px, confidence = clean_landmarks(values[..., :2], values[..., 2], where=str(path))
    return CameraTrack(landmarks, xy_px, confidence, first, source)


def _first_frame(table: pd.DataFrame, path: Path) -> int:
    from pandas.api.types import is_integer_dtype

    if not is_integer_dtype(table.index):
        raise InputError("rows are no frame numbers", where=str(path), remedy="Labelled pictures are not a recording")
    frames = np.asarray(table.index, dtype=np.int64)
    jumps = np.flatnonzero(np.diff(frames) != 1)
    if jumps.size:
        before, after = frames[jumps[0]], frames[jumps[0] + 1]
        raise InputError(f"frame {before + 1} is missing: frame {after} follows frame {before}", where=str(path))
    return int(frames[0])
