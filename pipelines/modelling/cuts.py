"""What a network is trained on: boxes cut from labelled pictures as `pipelines.pose.views` will cut them in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labsys.core.arrays import FloatArray
from labsys.core.errors import InputError
from labsys.core.pose_model import CropMode
from labsys.core.progress import Progress
from labsys.storage.atomic import make_folder, write_json_atomic
from labsys.storage.exchange.dlc_project import DlcProject, Labels, list_groups, read_labels
from pipelines.modelling.project import ProjectNotes, load_notes
from pipelines.modelling.recipe import TrainingRecipe
from pipelines.pose.stills import read_picture, write_picture
from pipelines.pose.views import View, around, whole_frame

TRAIN, TEST = "train", "test"
_FEWEST_PICTURES = 2  # on either side
_FEWEST_POINTS = 4  # of a picture, or a box around them says little
# In use, the first look at a video is at the whole frame, the second lies between that and the runner.
_WHOLE_SHARE, _BETWEEN_SHARE = 0.10, 0.10
_SHIFT_SHARE, _ZOOM = 0.06, (0.90, 1.20)
_MOST_TESTED = 150  # pictures looked at while training; the evaluation looks at all
_QUALITY = 95


@dataclass(frozen=True, eq=False)
class CutSet:
    """Data for DeepLabCut's COCO loader. Attributes: n_train, n_test: pictures. held_out: groups not trained on."""

    folder: Path
    n_train: int
    n_test: int
    held_out: tuple[str, ...]


def split_groups(groups: Sequence[str], notes: ProjectNotes, *, share: float, seed: int) -> tuple[str, ...]:
    """Groups to hold out: all views of a capture together, for two views of one moment are no independent pictures.

    Raises:
        InputError: fewer than two captures, so that nothing would be left on one side.
    """
    belongs = {group: name for name, capture in notes.captures.items() for group in capture.cameras.values()}
    marked = {name for name, capture in notes.captures.items() if capture.held_out}
    captures = sorted({belongs.get(group, group) for group in groups})
    if marked:
        chosen = marked & set(captures)
    else:
        count = max(1, round(share * len(captures)))
        order = np.random.default_rng(seed).permutation(len(captures))
        chosen = {captures[i] for i in order[:count]}
    if len(chosen) == len(captures) or not chosen:
        raise InputError(
            f"labels of {len(captures)} recording(s): nothing is left to train on once some are held out",
            remedy="Label pictures of another recording too",
        )
    return tuple(group for group in groups if belongs.get(group, group) in chosen)


def cut_pictures(
    project: DlcProject, recipe: TrainingRecipe, folder: Path, *, workers: int, progress: Progress
) -> CutSet:
    """Cut boxes out of all labelled pictures of a project and write them as COCO data.

    Raises:
        InputError: too few labelled pictures.
    """
    notes, groups = load_notes(project), list_groups(project)
    held_out = split_groups(groups, notes, share=recipe.held_out, seed=recipe.seed)
    make_folder(folder / "images")
    make_folder(folder / "annotations")
    progress.stage("cut pictures", len(groups))
    rows: dict[str, list[dict[str, Any]]] = {TRAIN: [], TEST: []}
    with ProcessPoolExecutor(workers) as pool:
        for group, cuts in zip(groups, pool.map(partial(_cut_group, project, recipe, folder), groups), strict=True):
            rows[TEST if group in held_out else TRAIN] += cuts
            progress.advance()
    for part, found in rows.items():
        if len(found) < _FEWEST_PICTURES:
            raise InputError(
                f"only {len(found)} labelled picture(s) to {part} on",
                where=str(project.folder),
                remedy="Label more pictures (with at least four points each)",
            )
    rows[TEST] = _thinned(rows[TEST])
    for part, found in rows.items():
        write_json_atomic(folder / "annotations" / f"{part}.json", _as_coco(project.body_parts, found))
    return CutSet(folder, len(rows[TRAIN]), len(rows[TEST]), held_out)


def _thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    step = -(-len(rows) // _MOST_TESTED)
    return rows[::step]


def _cut_group(project: DlcProject, recipe: TrainingRecipe, folder: Path, group: str) -> list[dict[str, Any]]:
    labels = read_labels(project, group)
    rng = np.random.default_rng([recipe.seed, *group.encode()])
    return list(_cut_all(project.pictures(group), group, labels, recipe, rng, folder / "images"))


def _cut_all(
    source: Path, group: str, labels: Labels, recipe: TrainingRecipe, rng: np.random.Generator, target: Path
) -> Iterator[dict[str, Any]]:
    for name, xy in zip(labels.pictures, labels.xy_px, strict=True):
        marked = np.isfinite(xy).all(axis=1)
        if marked.sum() < _FEWEST_POINTS:
            continue
        picture = read_picture(source / name)
        view = _choose_view(xy[marked], picture, recipe, rng)
        path = target / cut_name(group, name)
        write_picture(path, view.cut(picture), quality=_QUALITY)
        points = view.to_view(xy)
        width, height = recipe.net_input_px
        inside = marked & (points >= 0).all(axis=1) & (points <= [width - 1, height - 1]).all(axis=1)
        if inside.any():
            yield {"file": path.name, "size_px": recipe.net_input_px, "points": points, "marked": inside}


def cut_name(group: str, picture: str) -> str:
    """A file name for what is cut from a picture; the length tells where the group ends, so that no two share one."""
    return f"{len(group)}_{group}_{picture}.jpg"


def _choose_view(
    points_px: FloatArray, picture: NDArray[np.uint8], recipe: TrainingRecipe, rng: np.random.Generator
) -> View:
    """Mostly the box that follows a runner, a little off; sometimes more of the frame."""
    height, width = picture.shape[:2]
    whole = whole_frame((width, height), recipe.net_input_px)
    if recipe.crop is CropMode.NONE:
        return whole
    near = around(np.column_stack([points_px, np.ones(len(points_px))])[None], recipe.net_input_px)
    if near is None:
        return whole
    chance = rng.uniform()
    if chance < _WHOLE_SHARE:
        return whole
    zoom = rng.uniform(*_ZOOM) if chance >= _WHOLE_SHARE + _BETWEEN_SHARE else rng.uniform(_ZOOM[1], 1.8)
    return near.moved(rng.uniform(-_SHIFT_SHARE, _SHIFT_SHARE, 2), float(zoom))


def _as_coco(body_parts: tuple[str, ...], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """COCO's document: visibility 2 where marked, 0 elsewhere."""
    images, annotations = [], []
    for number, row in enumerate(rows, start=1):
        width, height = row["size_px"]
        images.append({"id": number, "file_name": row["file"], "width": width, "height": height})
        marked = row["marked"]
        points = np.where(marked[:, None], np.nan_to_num(row["points"]), 0.0)
        low, high = points[marked].min(axis=0), points[marked].max(axis=0)
        flat = np.column_stack([points, np.where(marked, 2.0, 0.0)]).ravel()
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "keypoints": flat.tolist(),
                "num_keypoints": int(marked.sum()),
                "bbox": [*low.tolist(), *np.maximum(high - low, 1.0).tolist()],
                "area": float(np.prod(np.maximum(high - low, 1.0))),
                "iscrowd": 0,
            }
        )
    category = {"id": 1, "name": "runner", "keypoints": list(body_parts)}
    return {"images": images, "annotations": annotations, "categories": [category]}
