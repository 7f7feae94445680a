"""`python -m benchmarks [NAME …]`: measure, print a line per benchmark, write benchmarks/results.json."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.calibration import measure_calibration
from benchmarks.measure import Result, describe_commit, describe_machine
from benchmarks.pose import measure_pose
from benchmarks.service import measure_service_postgresql, measure_service_sqlite
from benchmarks.trajectory import measure_trajectory
from benchmarks.trial import measure_engine_trial, measure_trial
from benchmarks.triangulation import measure_ransac, measure_robust
from benchmarks.whole_trial import measure_whole_trial
from labsys.core.errors import MissingPartError, UnknownNameError
from labsys.storage.atomic import read_json, write_json_atomic

RESULTS = Path(__file__).parent / "results.json"

# What gives several rows names each NAME/ROW.
BENCHMARKS: dict[str, Callable[[], Result | list[Result]]] = {
    "calibrate_charuco": measure_calibration,
    "triangulate_robust": measure_robust,
    "triangulate_ransac": measure_ransac,
    "trajectory": measure_trajectory,
    "engine_trial": measure_engine_trial,
    "trial_2d_to_metrics": measure_trial,
    "trial_60s": measure_whole_trial,
    "pose_2d": measure_pose,
    "service_sqlite": measure_service_sqlite,
    "service_postgresql": measure_service_postgresql,
}


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all, and write their results."""
    for name in names:
        if name not in BENCHMARKS:
            raise UnknownNameError("benchmark", name, valid=BENCHMARKS)
    for name in names or BENCHMARKS:
        stamp = {"machine": describe_machine(), "commit": describe_commit()}
        try:
            found = BENCHMARKS[name]()
        except MissingPartError as error:
            print(f"{name}: left out, {error}")
            continue
        for result in found if isinstance(found, list) else [found]:
            beside = f"{result.ours:,.4g} beside {result.theirs:,.4g} {result.unit}"
            print(f"{result.name}: {beside}, {result.ratio:,.2g} x {result.peer}")
            print(f"    {result.accuracy}")
            _keep({**result.as_document(), **stamp})


def _keep(row: dict[str, Any]) -> None:
    """Write a row at once, in place of an earlier run's: a benchmark takes minutes, and a later one may fail."""
    before = read_json(RESULTS)["results"] if RESULTS.is_file() else []
    rows = {result["name"]: result for result in before} | {row["name"]: row}
    ordered = [row for name in BENCHMARKS for row in rows.values() if row["name"].partition("/")[0] == name]
    write_json_atomic(RESULTS, {"results": ordered})


if __name__ == "__main__":
    main(sys.argv[1:])
