"""Cameras that a rig file says are triggered are graded as such."""

from __future__ import annotations

from pathlib import Path

from labsys.capture.rig import load_rig_config
from labsys.capture.rig_base import FreeRun
from pipelines.calibrating.inputs import runs_freely

RIGS = sorted((Path(__file__).parents[2] / "hardware_configs" / "rigs").glob("*.yaml"))


def test_a_rig_runs_freely_where_it_says_so_or_nothing_is_known() -> None:
    assert runs_freely(None)
    rigs = [load_rig_config(path) for path in RIGS]
    free = [runs_freely(rig) for rig in rigs]
    assert free == [isinstance(rig.sync, FreeRun) for rig in rigs]
    assert not all(free), "no triggered rig among the configurations that come with labsys"
