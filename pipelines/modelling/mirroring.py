"""Which landmarks change places in a mirror, by whatever names a lab labels them; and where a mirror would teach wrong.

A mirrored picture of a left knee is a picture of a right one. A landmark that has a side, and whose partner cannot be
found by its name, would keep its name in the mirror: the network would learn that either knee is the left one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from labsys.core.skeleton import LANDMARK_SETS, mirrored_name

# A side as a word (left_knee, kneeLeft), as a letter between marks (knee_l, l-knee, L.knee), at an end (LKnee, kneeL).
_WORD = re.compile(r"left|right", re.IGNORECASE)
_LETTER = re.compile(r"(?<![a-z0-9])[lr](?![a-z0-9])", re.IGNORECASE)
_END = re.compile(r"^[lr]|[lr]$", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left", "l": "r", "r": "l"}


def mirror_pairs(body_parts: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Numbers (i, j), i < j, of body parts that change places in a mirror."""
    number = {name: i for i, name in enumerate(body_parts)}
    partners = ((i, number[p]) for n, i in number.items() for p in _partners(n) if p in number)
    return tuple(sorted({(i, j) for i, j in partners if i < j}))


def why_not_mirrored(body_parts: Sequence[str]) -> str:
    """What keeps pictures of these body parts from being mirrored; "" where nothing does."""
    paired = [i for pair in mirror_pairs(body_parts) for i in pair]
    alone = [name for i, name in enumerate(body_parts) if i not in paired and _has_side(name)]
    if alone:
        return f"of one side, and the other side's is not labelled: {', '.join(alone)}"
    if not paired or len(paired) != len(set(paired)):
        return "the names of the body parts do not say which are left and right"
    return ""


def _partners(name: str) -> Iterator[str]:
    """Names that the other side's may have."""
    for pattern in (_WORD, _LETTER, _END):
        for found in pattern.finditer(name):
            yield (
                name[: found.start()] + _in_case_of(found.group(), _OTHER[found.group().lower()]) + name[found.end() :]
            )


def _in_case_of(model: str, word: str) -> str:
    return word.upper() if model.isupper() else word.capitalize() if model[0].isupper() else word


def _has_side(name: str) -> bool:
    known = any(name in found.landmarks for found in LANDMARK_SETS.values())
    return mirrored_name(name) != name if known else bool(_WORD.search(name) or _LETTER.search(name))
