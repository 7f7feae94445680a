"""What a camera's process is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labsys.capture.device import Mode
from labsys.capture.driver import DriverKind
from labsys.capture.node_setup import NodeSetup
from labsys.capture.part_writer import WriterPlan
from labsys.capture.priority import Wish


@dataclass(frozen=True)
class WorkerPlan:
    """All that a camera's process needs to know."""

    camera: str
    port: str
    driver: DriverKind
    bench: Path | None
    mode: Mode
    rate_hz: float
    controls: Mapping[str, int]
    optional_controls: tuple[str, ...]
    triggered: bool
    n_buffers: int
    queue_s: float
    priority: Wish
    writer: WriterPlan
    exit_controls: Mapping[str, int] = field(default_factory=dict)
    lock: Path | None = None
    nodes: NodeSetup | None = None
