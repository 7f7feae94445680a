"""Whether captures were processed alike: values of two releases, or of two versions, are never judged as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labsys.longitudinal.values import Capture

REMEDY = "process both visits alike: 'labsys reprocess'"


def made_alike(a: Capture, b: Capture) -> bool:
    """Of one release; where one of them is of none, by one version and one model (its hash)."""
    if a.release and b.release:
        return a.release == b.release
    return (a.pipeline_version, a.model_hash) == (b.pipeline_version, b.model_hash)


def differing_making(captures: Sequence[Capture]) -> str | None:
    """Why these captures may not be judged together, or None. Names each making once."""
    first = captures[0] if captures else None
    if first is None or all(made_alike(a, b) for i, a in enumerate(captures) for b in captures[:i]):
        return None
    return f"made otherwise ({_listed(describe_making(c) for c in captures)}); {REMEDY}"


def describe_making(capture: Capture) -> str:
    """What made a capture's values, in words: its release, else version and model."""
    if capture.release:
        return f"release {capture.release}"
    model = f", model {capture.model_hash[:12]}" if capture.model_hash else ""
    return f"version {capture.pipeline_version or 'unknown'}{model}"


def group_made_alike(captures: Iterable[Capture]) -> tuple[tuple[Capture, ...], ...]:
    """Groups in which every capture was made like every other, in the order given."""
    groups: list[list[Capture]] = []
    for capture in captures:
        fitting = [g for g in groups if all(made_alike(capture, member) for member in g)]
        if fitting:
            fitting[-1].append(capture)
        else:
            groups.append([capture])
    return tuple(tuple(g) for g in groups)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))
