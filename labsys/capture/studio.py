"""A rig ready to use: its bench where it is virtual, and its trigger box where it has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labsys.capture.pictures import FrameSource
from labsys.capture.rig import Rig
from labsys.capture.rig_base import FreeRun
from labsys.capture.trigger import TriggerBox
from labsys.capture.uvc import UvcRig


@dataclass(frozen=True)
class Studio:
    """What record_take and run_preflight need besides the rig."""

    rig: Rig
    bench: Path | None
    trigger: TriggerBox | None


@contextmanager
def open_studio(rig: Rig, sources: Mapping[str, FrameSource] | None = None) -> Iterator[Studio]:
    """Start what stands in for hardware, for as long as the block runs. sources: what virtual cameras show."""
    if not isinstance(rig, UvcRig) or rig.virtual is None:
        yield Studio(rig, None, None)
        return
    from labsys.capture.bench import run_bench
    from labsys.capture.drivers.virtual import open_virtual_trigger

    with run_bench(rig, sources) as bench:
        if isinstance(rig.sync, FreeRun):
            yield Studio(rig, bench.folder, None)
            return
        with open_virtual_trigger(bench.folder) as trigger:
            yield Studio(rig, bench.folder, trigger)
