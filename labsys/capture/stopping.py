"""Why a take ends sooner than it was asked for: what the rig's file allows is held against what is left."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from labsys.capture.rig_base import RigBase
from labsys.capture.status import WorkerState
from labsys.core.errors import InputError

_RESERVE_BYTES = 2_000_000_000
_RESERVE_S = 5.0


def least_free_bytes(rig: RigBase) -> float:
    """What is left of the disk when a take is stopped."""
    return min(_RESERVE_BYTES, rig.limits.disk_min_free_gb * 1e9)


def free_bytes(folder: Path) -> int:
    """What a disk has left (InputError: it does not say)."""
    try:
        return shutil.disk_usage(folder).free
    except OSError as error:
        raise InputError(
            f"the disk does not say how much it has left: {error.strerror or error}",
            where=str(folder),
            remedy="Look whether the lab's disk is still there",
        ) from error


def find_reason_to_stop(rig: RigBase, *, states: Sequence[WorkerState], free_bytes: int, bytes_per_s: float) -> str:
    """Why the take is to be stopped now, "" where it goes on.

    A disk that has refused a frame already is told of by the camera that met it, and is not looked for here.
    """
    if free_bytes < max(least_free_bytes(rig), bytes_per_s * _RESERVE_S):
        return "the disk is nearly full"
    lost, policy = states.count(WorkerState.FAULT), rig.policy
    if lost and policy.on_camera_loss == "stop":
        return "a camera was lost"
    if lost and len(states) - lost < policy.min_cameras:
        return f"{len(states) - lost} of {len(states)} cameras are left, policy.min_cameras is {policy.min_cameras}"
    return ""
