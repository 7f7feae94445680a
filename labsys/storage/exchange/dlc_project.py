"""DeepLabCut projects: config.yaml, and the labels of pictures (CollectedData_SCORER.h5 and .csv) per folder.

What is written is what DeepLabCut's own labelling tool opens. pandas stays inside this file's functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.names import check_unique
from labsys.storage.atomic import is_there, read_text, replacing, write_text_atomic
from labsys.storage.exchange.dlc import KEY, hdf5_errors

CONFIG_FILE = "config.yaml"
PICTURES = "labeled-data"


@dataclass(frozen=True)
class DlcProject:
    """A DeepLabCut project with one individual.

    Attributes:
        task, scorer: its name, and who labels. body_parts: K names. skeleton: pairs of them that are drawn as lines.
    """

    folder: Path
    task: str
    scorer: str
    body_parts: tuple[str, ...]
    skeleton: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        check_unique("body parts", self.body_parts)
        strangers = sorted({name for pair in self.skeleton for name in pair} - set(self.body_parts))
        if strangers:
            raise InputError(f"lines of the skeleton end at no body part: {', '.join(strangers)}")

    @property
    def config(self) -> Path:
        """config.yaml."""
        return self.folder / CONFIG_FILE

    def pictures(self, group: str) -> Path:
        """Folder of a group's pictures, one video's as DeepLabCut sees it."""
        return self.folder / PICTURES / group


@dataclass(frozen=True, eq=False)
class Labels:
    """Labelled pictures of one group.

    Attributes:
        pictures: N file names. xy_px: (N, K, 2), NaN where nothing was marked.
    """

    pictures: tuple[str, ...]
    xy_px: FloatArray


def create_dlc_project(project: DlcProject, videos: Mapping[Path, tuple[int, int]], *, date: str) -> None:
    """Write config.yaml and the project's folders.

    Args:
        videos: path -> (width, height) px; the stem of each names a group. date: as text, part of DeepLabCut's names.

    Raises:
        InputError: the folder holds something.
    """
    if is_there(project.folder) and (not project.folder.is_dir() or any(project.folder.iterdir())):
        raise InputError("is not an empty folder", where=str(project.folder), remedy="Name a new folder")
    for part in (PICTURES, "videos", "training-datasets"):
        (project.folder / part).mkdir(parents=True, exist_ok=True)
    document = {
        "Task": project.task,
        "scorer": project.scorer,
        "date": date,
        "multianimalproject": False,
        "identity": None,
        "engine": "pytorch",
        "project_path": str(project.folder.resolve()),
        "video_sets": {str(path): {"crop": f"0, {w}, 0, {h}"} for path, (w, h) in videos.items()},
        "bodyparts": list(project.body_parts),
        "skeleton": [list(pair) for pair in project.skeleton],
        "start": 0,
        "stop": 1,
        "numframes2pick": 20,
        "skeleton_color": "black",
        "pcutoff": 0.1,
        "dotsize": 6,
        "alphavalue": 0.7,
        "colormap": "rainbow",
        "TrainingFraction": [0.95],
        "iteration": 0,
        "default_net_type": "hrnet_w18",
        "default_augmenter": "albumentations",
        "snapshotindex": -1,
        "detector_snapshotindex": -1,
        "batch_size": 8,
        "detector_batch_size": 1,
        "cropping": False,
        "x1": 0,
        "x2": 640,
        "y1": 277,
        "y2": 624,
        "corner2move2": [50, 50],
        "move2corner": True,
    }
    write_text_atomic(project.config, yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


def read_dlc_project(folder: Path) -> DlcProject:
    """Read config.yaml (InputError: missing, unreadable, or a project of several individuals)."""
    path = folder / CONFIG_FILE
    try:
        document: Any = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"is no readable configuration: {error}", where=str(path)) from error
    if not isinstance(document, dict) or not {"Task", "scorer", "bodyparts"} <= document.keys():
        raise InputError("is no DeepLabCut project (Task, scorer, bodyparts)", where=str(path))
    if document.get("multianimalproject"):
        raise InputError(
            "is a project of several individuals", where=str(path), remedy="labsys trains models of one runner"
        )
    if not isinstance(document["bodyparts"], list) or not document["bodyparts"]:
        raise InputError("names no body parts", where=str(path))
    skeleton = tuple((str(a), str(b)) for a, b in document.get("skeleton") or ())
    names = tuple(map(str, document["bodyparts"]))
    return DlcProject(folder, str(document["Task"]), str(document["scorer"]), names, skeleton)


def list_groups(project: DlcProject) -> tuple[str, ...]:
    """Names of all groups with labels, sorted."""
    return tuple(sorted(p.parent.name for p in (project.folder / PICTURES).glob(f"*/{_labels_name(project)}.h5")))


def write_labels(project: DlcProject, group: str, labels: Labels) -> None:
    """Write the labels of a group's pictures, h5 and csv; what was there is replaced, both or none.

    Raises:
        InputError: the labels are not those of the project's body parts, or the folder cannot be written.
    """
    import pandas as pd

    if labels.xy_px.shape != (len(labels.pictures), len(project.body_parts), 2):
        raise InputError(
            f"labels of shape {labels.xy_px.shape} for {len(labels.pictures)} pictures and "
            f"{len(project.body_parts)} body parts",
            where=str(project.pictures(group)),
        )
    columns = pd.MultiIndex.from_product(
        [[project.scorer], project.body_parts, ["x", "y"]], names=["scorer", "bodyparts", "coords"]
    )
    index = pd.MultiIndex.from_tuples([(PICTURES, group, name) for name in labels.pictures])
    table = pd.DataFrame(labels.xy_px.reshape(len(labels.pictures), -1), columns=columns, index=index)
    stem = project.pictures(group) / _labels_name(project)
    with replacing(stem.with_suffix(".csv")) as as_csv, replacing(stem.with_suffix(".h5")) as as_h5:
        table.to_csv(as_csv)
        # DeepLabCut and its labelling tool read fixed tables of this key.
        with pd.HDFStore(as_h5, mode="w") as store:
            store.put(KEY, table, track_times=False)


def read_labels(project: DlcProject, group: str) -> Labels:
    """Read the labels of a group's pictures; body parts that nobody marked come back as NaN.

    Raises:
        InputError: no readable table, of other body parts or several scorers, or a picture of it is missing.
    """
    import pandas as pd

    path = (project.pictures(group) / _labels_name(project)).with_suffix(".h5")
    try:
        with pd.HDFStore(path, mode="r") as store:
            table = store.get(KEY)
    except hdf5_errors() as error:
        raise InputError(f"holds no readable labels ({type(error).__name__})", where=str(path)) from error
    if table.columns.nlevels != 3:
        raise InputError("is a table of several individuals", where=str(path))
    xy = np.full((len(table), len(project.body_parts), 2), np.nan)
    strangers = sorted({str(n) for n in table.columns.get_level_values(1)} - set(project.body_parts))
    if strangers:
        raise InputError(f"labels body parts that the project lacks: {', '.join(strangers)}", where=str(path))
    values = table.to_numpy(dtype=np.float64)
    names, coords = (table.columns.get_level_values(level) for level in (1, 2))
    for column, (name, coord) in enumerate(zip(names, coords, strict=True)):
        xy[:, project.body_parts.index(str(name)), ("x", "y").index(str(coord))] = values[:, column]
    pictures = _picture_names(table.index.tolist())
    missing = [name for name in pictures if not is_there(project.pictures(group) / name)]
    if missing:
        raise InputError(f"picture {missing[0]} is missing", where=str(project.pictures(group)))
    return Labels(pictures, np.where(np.isfinite(xy).all(axis=-1, keepdims=True), xy, np.nan))


def _labels_name(project: DlcProject) -> str:
    return f"CollectedData_{project.scorer}"


def _picture_names(index: Sequence[Any]) -> tuple[str, ...]:
    """File names; older projects write a path as one text."""
    return tuple(
        str(row[-1] if isinstance(row, tuple) else str(row).replace("\\", "/").rsplit("/", 1)[-1]) for row in index
    )
