"""CSV: labsys ids, unit suffixes, outside units, empty where missing."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from labsys.core.errors import InputError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import (
    AngleSeries,
    EventKind,
    GaitEvent,
    GaitEvents,
    JointAngles,
    Metric,
    MotionResult,
    Quality,
    Stride,
    StrideCurves,
    StrideValues,
    TrialResult,
)
from labsys.core.provenance import Provenance
from labsys.core.session import Trial, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.storage.exchange.csv import write_csv

_NAN = math.nan


def _result(n_angle_frames: int = 3) -> TrialResult:
    times = np.arange(3) / 100.0
    xyz = np.array([[[0.1, 1.0, -0.2]], [[np.nan] * 3], [[0.3, 1.2, 0.0]]])
    raw = np.radians(np.arange(n_angle_frames) * 10.0)
    angles = JointAngles(
        np.arange(n_angle_frames) / 100.0,
        (
            AngleSeries("hip_flexion", Side.LEFT, raw, raw - np.radians(5.0)),
            AngleSeries("trunk_lean", Side.BOTH, raw, np.full(n_angle_frames, np.nan)),
        ),
    )
    metrics = (
        Metric(
            "vertical_oscillation", Side.BOTH, 0.085, 0.004, 20, 0.1, (0.083, 0.087), _NAN, 0.004, "default",
            (0.07, 0.1), Quality.OK, True, interpolated_share=0.025,
        ),
        Metric(
            "hip_ext_pelvis_peak", Side.LEFT, _NAN, _NAN, 0, _NAN, (_NAN, _NAN), _NAN, _NAN, "", (_NAN, _NAN),
            Quality.OK, False, "=no pelvis, no \"hip\"",
        ),
    )  # fmt: skip
    motion = MotionResult(
        Tier.T1,
        angles,
        (),
        GaitEvents((GaitEvent(EventKind.FOOT_STRIKE, Side.LEFT, 0.5),), 3.0, 0.7),
        (Stride(0, Side.LEFT, 0.1, 0.3, 0.8, _NAN, "belt stopped"),),
        (StrideValues("cadence", Side.BOTH, (0, 2), np.array([2.8, 2.9])),),
        (StrideCurves("hip_flexion", Side.LEFT, (4,), np.radians(np.arange(101.0))[None]),),
        metrics,
        (),
        {},
    )
    return TrialResult(
        run="r0",
        trial=Trial(uuid="u", name=TrialName("S", "D", "T"), kind=TrialKind.RUN, recorded_at=""),
        landmarks=Landmarks3D.from_positions(("RHip",), times, xyz),
        motion=motion,
        provenance=Provenance("0", 1, {}, {}, "", "", "", "", {}),
        not_for_comparison=None,
        heading_known=True,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_gets_one_table_per_thing(tmp_path: Path) -> None:
    paths = write_csv(tmp_path / "out", _result())
    assert {p.name for p in paths} == {
        "landmarks3d.csv", "angles.csv", "events.csv", "strides.csv", "stride_values.csv", "curves.csv", "metrics.csv",
        "findings.csv",
    }  # fmt: skip
    assert _rows(tmp_path / "out/landmarks3d.csv")[:2] == [
        {"time_s": "0", "RHip_x_mm": "100", "RHip_y_mm": "1000", "RHip_z_mm": "-200"},
        {"time_s": "0.01", "RHip_x_mm": "", "RHip_y_mm": "", "RHip_z_mm": ""},
    ]
    assert _rows(tmp_path / "out/angles.csv")[1] == {
        "time_s": "0.01",
        "hip_flexion_left_deg": "10",
        "hip_flexion_left_from_static_deg": "5",
        "trunk_lean_both_deg": "10",
    }
    assert _rows(tmp_path / "out/events.csv") == [
        {"kind": "foot_strike", "side": "left", "time_s": "0.5", "quality": "ok"}
    ]
    stride = _rows(tmp_path / "out/strides.csv")[0]
    assert (stride["foot_strike_s"], stride["contra_foot_strike_s"], stride["valid"]) == ("0.1", "", "false")
    assert [(r["stride"], r["value"], r["unit"]) for r in _rows(tmp_path / "out/stride_values.csv")] == [
        ("0", "168", "steps/min"),
        ("2", "174", "steps/min"),
    ]
    curve = _rows(tmp_path / "out/curves.csv")[0]
    assert (curve["angle"], curve["stride"], curve["at_0_pct_deg"], curve["at_100_pct_deg"]) == (
        "hip_flexion",
        "4",
        "0",
        "100",
    )


def test_metrics_are_in_the_units_that_people_see(tmp_path: Path) -> None:
    write_csv(tmp_path / "out", _result())
    first, second = _rows(tmp_path / "out/metrics.csv")
    assert (first["metric"], first["unit"], first["mean"], first["ci95_low"], first["n"]) == (
        "vertical_oscillation",
        "mm",
        "85",
        "70",
        "20",
    )
    assert (first["se_reconstruction"], first["provisional"]) == ("", "true")
    assert (first["interpolated_share"], second["interpolated_share"]) == ("0.025", "")
    # Text that a spreadsheet would run is disarmed.
    assert (second["mean"], second["reason"]) == ("", '\'=no pelvis, no "hip"')


def test_a_csv_path_gets_one_table_over_time(tmp_path: Path) -> None:
    (path,) = write_csv(tmp_path / "all.csv", _result())
    assert list(_rows(path)[0])[:3] == ["time_s", "hip_flexion_left_deg", "hip_flexion_left_from_static_deg"]
    assert _rows(path)[2]["RHip_y_mm"] == "1200"
    with pytest.raises(InputError, match="different times"):
        write_csv(tmp_path / "bad.csv", _result(n_angle_frames=4))
