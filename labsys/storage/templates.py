"""The lab's own YAML files by name: rigs, boards, protocols and tags, each kind in a folder of the lab."""

from __future__ import annotations

from pathlib import Path

from labsys.core.errors import UnknownNameError
from labsys.storage.lab import Lab


def list_templates(lab: Lab, kind: str) -> list[str]:
    """Names of the files of a kind ("rig", "board", "protocol", "tag"), sorted."""
    return sorted(path.stem for path in _folder(lab, kind).glob("*.yaml"))


def find_template(lab: Lab, kind: str, name: str) -> Path:
    """The file of this kind and name (UnknownNameError names the nearest)."""
    known = list_templates(lab, kind)
    if name not in known:
        raise UnknownNameError(kind, name, valid=known, where=str(_folder(lab, kind)))
    return _folder(lab, kind) / f"{name}.yaml"


def _folder(lab: Lab, kind: str) -> Path:
    return lab.root / f"{kind}s"
