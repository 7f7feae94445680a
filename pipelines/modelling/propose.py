"""`labsys model propose`: labels made in two views or more, carried through space into the views that have none.

A picture in which a person marked something, and that was never proposed to, is left alone: what is missing there was
left out on purpose. Whether a point is hidden in a view cannot be known here; a person takes such proposals away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labsys.core.arrays import BoolArray, FloatArray
from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.storage.exchange.dlc_project import DlcProject, Labels, list_groups, read_labels, write_labels
from pipelines.modelling.carrying import carry_points
from pipelines.modelling.moments import PictureTable, capture_rig, gather_moments
from pipelines.modelling.project import Capture, load_notes
from pipelines.modelling.proposals import ProposalBook, SortedLabels, load_book, save_book, sort_labels


@dataclass(frozen=True)
class Doubt:
    """A point that labels do not settle. Attributes: why: in words, with what to look at."""

    capture: str
    picture: str
    body_part: str
    why: str


@dataclass(frozen=True)
class ProposedSet:
    """What was proposed.

    Attributes:
        by_hand, proposed: labels in the moments that anything was proposed to. kept_away: proposals that a person took
            away before, and that were not made again. pictures: how many have proposals.
        shared: points that are labelled in two views or more. doubts: those of them that are to be looked at.
        uncalibrated: captures without calibration, where nothing can be proposed.
    """

    by_hand: int
    proposed: int
    pictures: int
    kept_away: int
    shared: int
    doubts: tuple[Doubt, ...]
    uncalibrated: tuple[str, ...]

    @property
    def saved(self) -> float:
        """Labelling work saved: proposals as a share of all labels of those moments."""
        return self.proposed / (self.by_hand + self.proposed) if self.proposed else 0.0


def propose_labels(project: DlcProject, *, progress: Progress) -> ProposedSet:
    """Write proposals into a project's tables of labels; what people marked stays as it is.

    Raises:
        InputError: no capture has a calibration, nothing is labelled in two views of a moment, or a table, picture or
            calibration cannot be used.
    """
    notes, book = load_notes(project), load_book(project)
    usable = {n: c for n, c in notes.captures.items() if c.calibrated and len(c.cameras) > 1}
    if not usable:
        raise InputError(
            "has no calibrated recording by two cameras or more: nothing can be carried from view to view",
            where=str(project.folder),
            remedy="Make projects with labsys model new, from trials that have a calibration",
        )
    progress.stage("carry labels", len(usable))
    done: list[_Capture] = []
    for name, capture in usable.items():
        done.append(_propose_capture(project, name, capture, book))
        progress.advance()
    result = _count(done, tuple(n for n in notes.captures if n not in usable))
    if not result.shared:
        raise InputError(
            "no point is labelled in two views of a moment",
            where=str(project.folder),
            remedy="Label the same pictures (imgNNNN) in two cameras first",
        )
    _write(project, book, done)
    return result


@dataclass(frozen=True, eq=False)
class _Capture:
    """One capture's work: folder -> labels told apart, and (N, K, 2) px that are proposed beside them."""

    sorted: Mapping[str, SortedLabels]
    proposed: Mapping[str, FloatArray]
    doubts: tuple[Doubt, ...]
    n_shared: int


def _propose_capture(project: DlcProject, name: str, capture: Capture, book: ProposalBook) -> _Capture:
    rig = capture_rig(project, name, capture)
    told = {group: _read_sorted(project, group, book) for group in capture.cameras.values()}
    moments = gather_moments(rig, capture, {g: PictureTable(s.pictures, s.by_hand_px) for g, s in told.items()})
    carried = carry_points(rig, moments.values)
    row = {picture: m for m, picture in enumerate(moments.pictures)}
    proposed = {}
    for c, camera in enumerate(rig.names):
        group = capture.cameras[camera]
        labels = told[group]
        points = carried.xy_px[[row[p] for p in labels.pictures], :, c]
        wanted = _wanted(project, group, labels, book)
        proposed[group] = np.where(wanted[..., None], points, np.nan)
    doubts = tuple(Doubt(name, moments.pictures[m], project.body_parts[k], why) for m, k, why in carried.doubts)
    shared = np.isfinite(moments.values).all(axis=-1).sum(axis=-1) >= 2
    return _Capture(told, proposed, doubts, int(shared.sum()))


def _read_sorted(project: DlcProject, group: str, book: ProposalBook) -> SortedLabels:
    """A folder's labels, with a row for every picture that it holds."""
    n_parts = len(project.body_parts)
    labels = read_labels(project, group) if group in list_groups(project) else Labels((), np.empty((0, n_parts, 2)))
    more = [n for n in _pictures(project.pictures(group)) if n not in labels.pictures]
    xy_px = np.concatenate([labels.xy_px, np.full((len(more), n_parts, 2), np.nan)])
    return sort_labels(project, group, Labels((*labels.pictures, *more), xy_px), book)


def _pictures(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*") if p.suffix.lower() in (".png", ".jpg"))


def _wanted(project: DlcProject, group: str, labels: SortedLabels, book: ProposalBook) -> BoolArray:
    """(N, K) where a proposal is welcome."""
    marked: BoolArray = np.asarray(np.isfinite(labels.by_hand_px).all(axis=-1))
    number = {part: k for k, part in enumerate(project.body_parts)}
    before = book.proposed.get(group, {})
    wanted: BoolArray = ~marked
    for n, picture in enumerate(labels.pictures):
        if marked[n].any() and picture not in before:
            wanted[n] = False
        for part in labels.removed.get(picture, ()):
            if part in number:
                wanted[n, number[part]] = False
    return wanted


def _count(done: Sequence[_Capture], uncalibrated: tuple[str, ...]) -> ProposedSet:
    by_hand = proposed = pictures = kept_away = 0
    for capture in done:
        touched = {
            picture
            for group, points in capture.proposed.items()
            for picture, here in zip(capture.sorted[group].pictures, points, strict=True)
            if np.isfinite(here).any()
        }
        for group, points in capture.proposed.items():
            labels = capture.sorted[group]
            rows = [picture in touched for picture in labels.pictures]
            by_hand += int(np.isfinite(labels.by_hand_px[rows]).all(axis=-1).sum())
            known = np.isfinite(points).all(axis=-1)
            proposed, pictures = proposed + int(known.sum()), pictures + int(known.any(axis=-1).sum())
            kept_away += sum(map(len, labels.removed.values()))
    doubts = tuple(doubt for capture in done for doubt in capture.doubts)
    shared = sum(capture.n_shared for capture in done)
    return ProposedSet(by_hand, proposed, pictures, kept_away, shared, doubts, uncalibrated)


def _write(project: DlcProject, book: ProposalBook, done: Sequence[_Capture]) -> None:
    """The book first: after a crash between, what is in the tables must not pass for a person's."""
    points = {
        group: _as_points(project, capture.sorted[group], xy)
        for capture in done
        for group, xy in capture.proposed.items()
    }
    removed = {group: labels.removed for capture in done for group, labels in capture.sorted.items() if labels.removed}
    others = {g: p for g, p in book.proposed.items() if g not in points}
    made = ProposalBook({**others, **{g: p for g, p in points.items() if p}}, removed, written=False)
    save_book(project, made)
    for capture in done:
        for group, xy in capture.proposed.items():
            labels = capture.sorted[group]
            if np.isfinite(xy).any() or group in book.proposed:
                kept = np.where(np.isfinite(labels.by_hand_px), labels.by_hand_px, xy)
                write_labels(project, group, Labels(labels.pictures, kept))
    save_book(project, ProposalBook(made.proposed, made.removed, written=True))


def _as_points(
    project: DlcProject, labels: SortedLabels, xy_px: FloatArray
) -> dict[str, dict[str, tuple[float, float]]]:
    return {
        picture: {
            part: (float(x), float(y)) for part, (x, y) in zip(project.body_parts, here, strict=True) if np.isfinite(x)
        }
        for picture, here in zip(labels.pictures, xy_px, strict=True)
        if np.isfinite(here).any()
    }
