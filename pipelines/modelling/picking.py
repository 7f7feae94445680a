"""Which moments of a recording to label: all phases of the stride, all subjects, no two pictures alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labsys.core.arrays import FloatArray, IntArray
from labsys.core.motion import Stride
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import Side

_STANDING = 4  # moments of somebody who stands still; more show the same again
_CANDIDATES = 4  # looked at per moment that is picked


@dataclass(frozen=True)
class Source:
    """A trial that moments are picked from. Attributes: n_moments: how many it has at most."""

    name: TrialName
    kind: TrialKind
    n_moments: int


def share_out(sources: Sequence[Source], total: int) -> tuple[int, ...]:
    """How many moments each trial gives: as evenly as can be over subjects, then over a subject's trials."""
    given = [0] * len(sources)
    most = [min(s.n_moments, _STANDING) if s.kind is TrialKind.STATIC else s.n_moments for s in sources]
    for _ in range(total):
        free = [i for i, count in enumerate(given) if count < most[i]]
        if not free:
            break
        by_subject: dict[str, int] = {}
        for source, count in zip(sources, given, strict=True):
            by_subject[source.name.subject] = by_subject.get(source.name.subject, 0) + count
        chosen = min(free, key=lambda i: (by_subject[sources[i].name.subject], given[i], i))
        given[chosen] += 1
    return tuple(given)


def pick_by_phase(strides: Sequence[Stride], count: int, *, seed: int) -> FloatArray:
    """Times (count,) s that go evenly through the phases of the stride and through the recording; none: (0,)."""
    sides = [[s for s in strides if s.valid and s.side is side] for side in (Side.LEFT, Side.RIGHT)]
    left, right = sides
    usable = sorted(left if len(left) >= len(right) else right, key=lambda s: s.foot_strike_s)
    if not usable or not count:
        return np.empty(0)
    rng = np.random.default_rng(seed)
    phases = (rng.permutation(count) + rng.uniform(0.0, 1.0, count)) / count
    chosen = [usable[int((i + 0.5) * len(usable) / count)] for i in range(count)]
    times_s = [
        s.foot_strike_s + p * (s.next_foot_strike_s - s.foot_strike_s) for s, p in zip(chosen, phases, strict=True)
    ]
    return np.sort(np.asarray(times_s))


def candidate_frames(n_frames: int, count: int) -> IntArray:
    """Numbers of frames, evenly over a recording, that `pick_by_looks` chooses from."""
    n = min(n_frames, _CANDIDATES * count)
    return np.unique(np.round(np.linspace(0, n_frames - 1, n)).astype(np.int64))


def pick_by_looks(looks: FloatArray, count: int) -> IntArray:
    """Rows (at most count,) of pictures that are unlike each other, in order.

    Each next one is the picture that is furthest from all chosen before; equal pictures are taken once.

    Args:
        looks: (N, D) small pictures.
    """
    chosen = [len(looks) // 2]
    nearest = np.linalg.norm(looks - looks[chosen[0]], axis=1)
    while len(chosen) < count and float(nearest.max()) > 0.0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(looks - looks[chosen[-1]], axis=1))
    return np.sort(np.asarray(chosen, dtype=np.int64))
