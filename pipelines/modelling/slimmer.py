"""The process that thins a snapshot: `python -m pipelines.modelling.slimmer SNAPSHOT OUT full|half`.

A snapshot of a training holds what its optimiser remembers, three times the weights; a model needs the weights alone.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labsys.core.errors import InputError, LabsysError, MissingPartError
from pipelines.pose.dlc import EXTRA
from pipelines.pose.job import Kind, failure, message

SLIMMER = (sys.executable, "-P", "-m", "pipelines.modelling.slimmer")


def slim_snapshot(source: Path, target: Path, *, half: bool) -> None:
    """Write the weights of a snapshot alone, epochs counted anew, so that another training may start from them.

    Args:
        half: kernels in half precision; what has one number per channel (offsets, normalisation) stays as it is.

    Raises:
        MissingPartError: torch is not installed. InputError: no snapshot, or weights that half precision cannot hold.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingPartError(f"torch is not installed ({error})", remedy=EXTRA) from error
    try:
        found: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"is no readable snapshot: {first}", where=str(source)) from error
    weights = found.get("model") if isinstance(found, Mapping) else None
    if not isinstance(weights, Mapping) or not weights:
        raise InputError("holds no weights of a DeepLabCut model", where=str(source))
    if half:
        weights = {name: _halved(name, tensor, source) for name, tensor in weights.items()}
    torch.save({"metadata": {"epoch": 0}, "model": dict(weights)}, target)


def _halved(name: str, tensor: Any, source: Path) -> Any:
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor
    halved = tensor.half()
    if not bool(halved.isfinite().all()):
        raise InputError(
            f"{name} has weights that half precision cannot hold", where=str(source), remedy="Pack with full precision"
        )
    return halved


def main(arguments: Sequence[str]) -> int:
    """Thin one snapshot; what libraries print goes to stderr, so that messages stay readable."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    source, target, precision = arguments
    with out:
        try:
            slim_snapshot(Path(source), Path(target), half=precision == "half")
        except LabsysError as error:
            out.write(failure(error))
            return error.exit_code
        out.write(message(Kind.DONE))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
