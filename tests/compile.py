"""`python -m tests.compile`: a small trial is processed once, so that numba has compiled what tests need.

`make test` does it on one core while types are checked on the other; else both test processes would compile the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from labsys.core.progress import SilentProgress
from labsys.storage.lab import open_lab
from pipelines.config import PipelineConfig
from pipelines.run import run_trial
from tests.test_pipelines.run_scene import RUN, make_template


def compile_all() -> None:
    """Import, reconstruct and analyse the trial that tests of processing share."""
    with tempfile.TemporaryDirectory() as folder:
        run_trial(open_lab(make_template(Path(folder))), RUN, config=PipelineConfig(), progress=SilentProgress())


if __name__ == "__main__":
    compile_all()
