"""Which code makes a result: labsys's version and a digest of the sources that compute.

A version number stays the same between two releases while the code does not. The digest makes a run of other code
another run, so that `process --all --stale` finds what an update left behind, and no two are compared as one.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import calibration
import labsys
import pipelines

# Folders whose sources decide numbers; doors, storage and the synthetic lab do not.
_COMPUTING = (
    (Path(labsys.__file__).parent / "core", "**/*.py"),
    (Path(labsys.__file__).parent / "biomechanics", "**/*.py"),
    (Path(calibration.__file__).parent, "**/*.py"),
    (Path(pipelines.__file__).parent, "**/*.py"),
)
_NOT_COMPUTING = Path(pipelines.__file__).parent / "synthetic"


@cache
def code_version() -> str:
    """Version and source digest as a local version: `0.1.0+1f3a9c42`."""
    digest = hashlib.sha256()
    for folder, pattern in _COMPUTING:
        for path in sorted(p for p in folder.glob(pattern) if _NOT_COMPUTING not in p.parents):
            digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return f"{labsys.__version__}+{digest.hexdigest()[:8]}"
