"""`labsys model evaluate`: a model shown labelled pictures that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from labsys.core.cameras import CameraRig
from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.storage.exchange.dlc_project import PICTURES, DlcProject, list_groups, read_labels
from pipelines.dlc import require_deeplabcut
from pipelines.modelling.agreement import SpaceScore, locate_answers, locate_labels, score_space
from pipelines.modelling.judged import JudgedModel
from pipelines.modelling.moments import PictureTable, capture_rig, gather_moments
from pipelines.modelling.project import Capture, load_notes
from pipelines.modelling.scoring import (
    LandmarkScore,
    Sample,
    SidesScore,
    TierScore,
    score_landmarks,
    score_sides,
    score_tiers,
)
from pipelines.modelling.seen import OTHERS, picture_digest
from pipelines.modelling.strayed import StrayScore, locate_hidden, score_strays, total_strays
from pipelines.pose.job import JobCamera, PoseJob
from pipelines.pose.parts import Parts
from pipelines.pose.process import WORKER, run_job
from pipelines.pose.stills import read_picture

# Pictures that are read ahead at once: a folder each would be hundreds of threads, and pictures of all in memory.
_SIDE_BY_SIDE = 4


@dataclass(frozen=True)
class Evaluation:
    """What came of it.

    Attributes:
        model, knows, snapshot_sha256: as in the model. project: folder.
        pictures: how many were looked at. trained_on: labelled pictures left out, for the model was trained on them.
        unknown: nobody noted all that the model was trained on, so that it may have been these pictures.
        scores: of every landmark, the last of all together. lacking: landmarks that are labelled and that it lacks.
        strays: of every landmark with a mirror partner. space: None where no capture is calibrated.
    """

    model: str
    knows: str
    snapshot_sha256: str
    project: str
    pictures: int
    trained_on: int
    unknown: bool
    scores: tuple[LandmarkScore, ...]
    lacking: tuple[str, ...]
    sides: SidesScore
    strays: tuple[StrayScore, ...]
    space: SpaceScore | None
    tiers: tuple[TierScore, ...]


@dataclass(frozen=True)
class EvaluationMachine:
    """What an evaluation may use. Attributes: device: "" a GPU where torch sees one. command: the network's process."""

    device: str = ""
    batch_size: int = 16
    command: Sequence[str] = WORKER


def evaluate_model(
    model: JudgedModel, project: DlcProject, *, machine: EvaluationMachine | None = None, progress: Progress
) -> Evaluation:
    """Compare what a model finds in labelled pictures with their labels.

    Every picture is looked at afresh: whole, then twice closer where the model works in a box.

    Raises:
        MissingPartError: DeepLabCut is not installed. InputError: no labelled picture, all were trained on, no common
            landmark, or a picture cannot be read. LabsysError: the network's process died.
    """
    machine = machine or EvaluationMachine()
    if tuple(machine.command) == WORKER:
        require_deeplabcut()
    in_project, in_model = match_landmarks(project.body_parts, model)
    labels, trained_on = _unseen_labels(project, model)
    found = _look(model, project, labels, machine, progress)
    common = tuple(model.landmarks[i] for i in in_model)
    labels = {group: _part(table, in_project) for group, table in labels.items()}
    found = {group: _part(table, in_model) for group, table in found.items()}
    sample = _sample(project, common, labels, found)
    scores = score_landmarks(sample)
    captures = _calibrated(project, labels)
    known = locate_hidden(labels, captures)
    return Evaluation(
        model=model.name,
        knows=model.knows,
        snapshot_sha256=model.snapshot_sha256,
        project=str(project.folder),
        pictures=len(sample.heights_px),
        trained_on=trained_on,
        unknown=model.seen is None or OTHERS in model.seen,
        scores=scores,
        lacking=tuple(name for i, name in enumerate(project.body_parts) if i not in in_project),
        sides=score_sides(sample),
        strays=score_strays(sample, np.concatenate([known[group].values for group in labels])),
        space=_score_in_space(captures, labels, found),
        tiers=score_tiers(model.landmarks, scores),
    )


def match_landmarks(body_parts: Sequence[str], model: JudgedModel) -> tuple[list[int], list[int]]:
    """Numbers of the landmarks that a project and a model share, by the network's names or labsys's.

    Raises:
        InputError: there are none.
    """
    number = {**{n: i for i, n in enumerate(model.landmarks)}, **{n: i for i, n in enumerate(model.body_parts)}}
    shared = [i for i, name in enumerate(body_parts) if name in number]
    if not shared:
        raise InputError(
            f"the project labels {', '.join(body_parts[:6])}…, the model finds {', '.join(model.body_parts[:6])}…: "
            "nothing can be compared",
            remedy="Evaluate on a project with the model's body parts",
        )
    return shared, [number[body_parts[i]] for i in shared]


def _unseen_labels(project: DlcProject, model: JudgedModel) -> tuple[dict[str, PictureTable], int]:
    """Labels of pictures that have any and that the model was not trained on, and how many were left out."""
    kept: dict[str, PictureTable] = {}
    left_out = 0
    for group in list_groups(project):
        labels = read_labels(project, group)
        marked = np.isfinite(labels.xy_px).any(axis=(1, 2))
        known = np.array([_was_seen(project.pictures(group) / name, model) for name in labels.pictures], dtype=np.bool_)
        left_out += int((marked & known).sum())
        rows = np.flatnonzero(marked & ~known)
        if rows.size:
            kept[group] = PictureTable(tuple(labels.pictures[i] for i in rows), labels.xy_px[rows])
    if kept:
        return kept, left_out
    if left_out:
        raise InputError(
            f"the model was trained on all {left_out} labelled pictures: to be judged on them would flatter it",
            where=str(project.folder),
            remedy="Label pictures of another recording, or name the project of an evaluation",
        )
    raise InputError("holds no labelled pictures", where=str(project.folder), remedy="Label some first")


def _was_seen(path: Path, model: JudgedModel) -> bool:
    return bool(model.seen) and picture_digest(path) in (model.seen or ())


def _look(
    model: JudgedModel,
    project: DlcProject,
    labels: Mapping[str, PictureTable],
    machine: EvaluationMachine,
    progress: Progress,
) -> dict[str, PictureTable]:
    """What the model finds, x, y and likelihood by group."""
    names = [f"{group}/{picture}" for group, table in labels.items() for picture in table.pictures]
    with TemporaryDirectory(prefix="labsys-evaluate-") as folder:
        shares = np.array_split(np.array(names), min(_SIDE_BY_SIDE, len(names)))
        cameras = tuple(
            JobCamera(
                str(i), str(project.folder / PICTURES), share.size, str(Path(folder) / str(i)), tuple(share.tolist())
            )
            for i, share in enumerate(shares)
        )
        job = PoseJob(
            snapshot=str(model.snapshot),
            config=str(model.config),
            body_parts=model.body_parts,
            cameras=cameras,
            net_input_px=model.net_input_px,
            crop=model.crop,
            batch_size=machine.batch_size,
            device=machine.device,
            detector="" if model.detector is None else str(model.detector),
            detect_every=model.detect_every,
        )
        for camera in cameras:
            Path(camera.parts).mkdir()
        progress.stage("load the model", 1)

        def ready() -> None:
            progress.stage("look at pictures", len(names))

        run_job(
            job, Path(folder), ready=ready, advance=lambda _, steps: progress.advance(steps), command=machine.command
        )
        size = len(model.body_parts)
        found = np.concatenate(
            [Parts(Path(c.parts), n_frames=c.n_frames, n_landmarks=size).complete() for c in cameras]
        )
    ends = np.cumsum([len(table.pictures) for table in labels.values()])[:-1]
    return {
        group: PictureTable(table.pictures, own)
        for (group, table), own in zip(labels.items(), np.split(found, ends), strict=True)
    }


def _part(table: PictureTable, columns: list[int]) -> PictureTable:
    return PictureTable(table.pictures, table.values[:, columns])


def _sample(
    project: DlcProject,
    landmarks: tuple[str, ...],
    labels: Mapping[str, PictureTable],
    found: Mapping[str, PictureTable],
) -> Sample:
    heights = [
        np.full(len(t.pictures), read_picture(project.pictures(group) / t.pictures[0]).shape[0])
        for group, t in labels.items()
    ]
    return Sample(
        landmarks,
        np.concatenate([t.values for t in labels.values()]),
        np.concatenate([found[group].values for group in labels]),
        np.concatenate(heights).astype(np.float64),
    )


def _calibrated(project: DlcProject, labels: Mapping[str, PictureTable]) -> list[tuple[CameraRig, Capture]]:
    """Captures that two calibrated views or more have labels of."""
    return [
        (capture_rig(project, name, capture), capture)
        for name, capture in load_notes(project).captures.items()
        if capture.calibrated and sum(group in labels for group in capture.cameras.values()) >= 2
    ]


def _score_in_space(
    captures: Sequence[tuple[CameraRig, Capture]],
    labels: Mapping[str, PictureTable],
    found: Mapping[str, PictureTable],
) -> SpaceScore | None:
    pairs = []
    for rig, capture in captures:
        marked, answered = (gather_moments(rig, capture, tables) for tables in (labels, found))
        pairs.append((locate_labels(rig, marked.values), locate_answers(rig, answered.values)))
    return score_space(pairs) if pairs else None


def summarise(evaluation: Evaluation) -> dict[str, float]:
    """The figures that a pack carries, name with unit -> value; those that do not exist are left out."""
    every, space = evaluation.scores[-1], evaluation.space
    figures: dict[str, float] = {
        "pictures": float(evaluation.pictures),
        "error_median_px720": every.median_common_px,
        "error_p95_px720": every.p95_common_px,
        "error_median_px": every.median_px,
        "found_pct": 100.0 * every.found,
        "sides_exchanged_pct": 100.0 * evaluation.sides.share,
        "other_side_pct": 100.0 * total_strays(evaluation.strays).share,
    }
    if space is not None:
        figures |= {"space_median_mm": space.median_mm, "space_p95_mm": space.p95_mm, "residual_px": space.residual_px}
    return {name: round(value, 3) for name, value in figures.items() if np.isfinite(value)}
