"""proposals.json of a project: which labels nobody made, so that they can be told from a person's and made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from labsys.core.arrays import FloatArray
from labsys.storage.atomic import is_there
from labsys.storage.documents import load_document, save_document
from labsys.storage.exchange.dlc_project import DlcProject, Labels

PROPOSALS_FILE = "proposals.json"
# A label that lies where it was proposed was left alone; tools may round what they save.
_SAME_PX = 0.02

Points = Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]
Names = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class ProposalBook:
    """What was proposed so far.

    Attributes:
        proposed: folder -> picture -> body part -> (x, y) px. removed: folder -> picture -> body parts that a person
            took away again. written: the tables hold what is said here; False after a crash between the two.
    """

    proposed: Points = field(default_factory=dict)
    removed: Names = field(default_factory=dict)
    written: bool = True


@dataclass(frozen=True, eq=False)
class SortedLabels:
    """One folder's labels, told apart.

    Attributes:
        pictures: N names. by_hand_px: (N, K, 2), NaN where no person marked or moved anything.
        removed: picture -> body parts that a person does not want proposed again.
    """

    pictures: tuple[str, ...]
    by_hand_px: FloatArray
    removed: Mapping[str, tuple[str, ...]]


def load_book(project: DlcProject) -> ProposalBook:
    """Read proposals.json (InputError); empty where nothing was proposed yet."""
    path = project.folder / PROPOSALS_FILE
    return load_document(path, ProposalBook) if is_there(path) else ProposalBook()


def save_book(project: DlcProject, book: ProposalBook) -> None:
    """Write proposals.json."""
    save_document(project.folder / PROPOSALS_FILE, book)


def sort_labels(project: DlcProject, group: str, labels: Labels, book: ProposalBook) -> SortedLabels:
    """Tell a person's labels from proposals: one that was moved is a label, one that is gone was taken away."""
    by_hand = np.array(labels.xy_px, dtype=np.float64)
    number = {part: k for k, part in enumerate(project.body_parts)}
    row = {picture: n for n, picture in enumerate(labels.pictures)}
    removed = {picture: set(parts) for picture, parts in book.removed.get(group, {}).items()}
    for picture, points in book.proposed.get(group, {}).items():
        for part, xy_px in points.items():
            if part not in number:
                continue
            here = by_hand[row[picture], number[part]] if picture in row else np.full(2, np.nan)
            if np.isnan(here).any():
                if book.written:
                    removed.setdefault(picture, set()).add(part)
            elif np.abs(here - xy_px).max() <= _SAME_PX:
                here[:] = np.nan
    return SortedLabels(labels.pictures, by_hand, {p: tuple(sorted(parts)) for p, parts in removed.items() if parts})
