"""Points found on the other side of the body: one that strays alone is no exchange, and looks like an error in px."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.projection import project_rig
from labsys.core.arrays import FloatArray
from labsys.core.cameras import CameraRig
from labsys.core.skeleton import mirrored_name
from pipelines.modelling.agreement import locate_labels
from pipelines.modelling.moments import PictureTable, gather_moments, rows_of
from pipelines.modelling.project import Capture
from pipelines.modelling.scoring import ALL, APART_PX, Sample


@dataclass(frozen=True)
class StrayScore:
    """One landmark. Attributes: n: answers that can be judged. strayed: those that lie nearer to the other side's."""

    landmark: str
    n: int
    strayed: int

    @property
    def share(self) -> float:
        """Strayed answers, a share of all; NaN where none can be judged."""
        return self.strayed / self.n if self.n else float("nan")


def score_strays(sample: Sample, known_px: FloatArray) -> tuple[StrayScore, ...]:
    """Count answers that lie nearer to where their mirror partner truly is than to their own label.

    Args:
        known_px: (N, K, 2) where landmarks are, hidden ones too; NaN where nobody knows.

    Returns:
        One score a landmark that has a partner, in their order.
    """
    number = {name: k for k, name in enumerate(sample.landmarks)}
    pairs = [(k, number[m]) for n, k in number.items() if (m := mirrored_name(n)) != n and m in number]
    return tuple(_score(sample, k, known_px[:, other]) for k, other in pairs)


def total_strays(scores: Sequence[StrayScore]) -> StrayScore:
    """All landmarks together."""
    return StrayScore(ALL, sum(s.n for s in scores), sum(s.strayed for s in scores))


def _score(sample: Sample, k: int, other_px: FloatArray) -> StrayScore:
    own_px, answer_px = sample.labels_px[:, k], sample.found[:, k, :2]
    apart = np.linalg.norm(other_px - own_px, axis=-1) * sample.common[:, 0]
    usable = sample.seen[:, k] & (apart >= APART_PX)
    nearer = np.linalg.norm(answer_px - other_px, axis=-1) < np.linalg.norm(answer_px - own_px, axis=-1)
    return StrayScore(sample.landmarks[k], int(usable.sum()), int((usable & nearer).sum()))


def locate_hidden(
    labels: Mapping[str, PictureTable], captures: Sequence[tuple[CameraRig, Capture]]
) -> dict[str, PictureTable]:
    """Labels, and where a point is not marked (the body hides it) its image of what two other views' labels give."""
    known = dict(labels)
    for rig, capture in captures:
        moments = gather_moments(rig, capture, labels)
        images_px = project_rig(rig, locate_labels(rig, moments.values).xyz_m)
        for c, camera in enumerate(rig.names):
            group = capture.cameras[camera]
            if group in labels:
                table = labels[group]
                seen_px = images_px[rows_of(moments.pictures, table.pictures), :, c]
                known[group] = PictureTable(table.pictures, np.where(np.isnan(table.values), seen_px, table.values))
    return known
