"""What is read equals what was written, in every value; every column says its unit."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labsys.core.catalogue import ANGLES, METRICS
from labsys.core.errors import InputError, NewerSchemaError, UnknownNameError
from labsys.core.landmarks import Landmarks3D
from labsys.core.motion import (
    AngleSeries,
    AngleSummary,
    EventKind,
    Finding,
    FindingValue,
    GaitEvent,
    GaitEvents,
    JointAngles,
    Metric,
    MotionResult,
    Quality,
    Stride,
    StrideCurves,
    StrideValues,
)
from labsys.core.provenance import Provenance
from labsys.core.screening import Confidence, FindingStatus
from labsys.core.session import Session, Subject, Trial, TrialKind, TrialName
from labsys.core.skeleton import Side, Tier
from labsys.storage.lab import Lab, create_lab
from labsys.storage.results import (
    LANDMARKS3D_FILE,
    MOTION_FILES,
    load_trial_result,
    read_landmarks3d,
    read_motion,
    write_landmarks3d,
    write_motion,
)
from labsys.storage.runs import RunRecord, open_run
from labsys.storage.sessions import save_session
from labsys.storage.subjects import save_subject
from labsys.storage.trials import save_trial

NAME = TrialName("S01", "2026-11-22", "run1")


def assert_equal(a: Any, b: Any) -> None:
    """Equal in type and value all the way down; NaN equals NaN."""
    assert type(a) is type(b), (a, b)
    if dataclasses.is_dataclass(a):
        for f in dataclasses.fields(a):
            assert_equal(getattr(a, f.name), getattr(b, f.name))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    elif isinstance(a, Mapping):
        assert dict(a) == dict(b)
    elif isinstance(a, float):
        assert a == b or (math.isnan(a) and math.isnan(b))
    else:
        assert a == b


def _landmarks(n_frames: int, names: tuple[str, ...], rng: np.random.Generator) -> Landmarks3D:
    shape = (n_frames, len(names))
    holes = rng.random(shape) < 0.2
    xyz = rng.normal(size=(*shape, 3))
    xyz[holes] = np.nan
    return Landmarks3D(
        landmarks=names,
        times_s=np.cumsum(rng.uniform(0.001, 0.02, n_frames)),
        xyz_m=xyz,
        residual_px=np.where(holes, np.nan, rng.gamma(2.0, size=shape)),
        n_cameras=np.where(holes, 0.0, rng.integers(2, 9, shape)),
        covariance_m2=rng.normal(size=(*shape, 3, 3)) * 1e-6,
        interpolated=rng.random(shape) < 0.1,
    )


def _metric(id: str, side: Side, rng: np.random.Generator, reason: str | None) -> Metric:
    value = (lambda: math.nan) if reason else (lambda: float(rng.normal()))
    return Metric(
        id=id,
        side=side,
        mean=value(),
        sd=value(),
        n=0 if reason else int(rng.integers(1, 40)),
        lag1=value(),
        ci95_strides=(value(), value()),
        se_reconstruction=math.nan,
        sem_measurement=value(),
        sem_source="" if reason else "default",
        ci95=(value(), value()),
        quality=Quality(rng.choice(list(Quality))),
        provisional=bool(rng.random() < 0.5),
        reason=reason,
        interpolated_share=math.nan if reason else float(rng.random()),
    )


def _motion(seed: int, n_frames: int = 30) -> MotionResult:
    rng = np.random.default_rng(seed)
    series = tuple(
        AngleSeries(
            a.id, side, rng.normal(size=n_frames), np.full(n_frames, np.nan), None if rng.random() < 0.5 else "no"
        )
        for a in ANGLES
        for side in a.sided.sides
    )
    strides = tuple(
        Stride(i, side, *np.sort(rng.random(3)).tolist(), math.nan, None if i % 3 else "belt stopped – ½")
        for side in (Side.LEFT, Side.RIGHT)
        for i in range(5)
    )
    return MotionResult(
        tier=Tier.T3,
        angles=JointAngles(np.arange(n_frames) / 100.0, series),
        summaries=tuple(
            AngleSummary(s.id, s.side, *rng.normal(size=4).tolist(), n_frames, bool(rng.random() < 0.5), s.reason)
            for s in series
        ),
        events=GaitEvents(
            tuple(
                GaitEvent(k, s, float(rng.random()), Quality.LOW) for k in EventKind for s in (Side.LEFT, Side.RIGHT)
            ),
            3.0000000001,
            math.nan,
        ),
        strides=strides,
        stride_values=tuple(
            StrideValues(m.id, side, tuple(range(n)), rng.normal(size=n))
            for n, m in enumerate(METRICS[:6])
            for side in m.sided.sides
        ),
        curves=tuple(
            StrideCurves(a.id, side, (1, 3, 4)[:n], rng.normal(size=(n, 101)))
            for n, a in enumerate(ANGLES[:4])
            for side in a.sided.sides
        ),
        metrics=tuple(
            _metric(m.id, side, rng, "no heel landmarks" if i % 2 else None)
            for i, m in enumerate(METRICS)
            for side in m.sided.sides
        ),
        findings=(_finding(),),
        notes={"filter": "6 Hz", "ü": "°"},
    )


def _finding() -> Finding:
    value = FindingValue(
        metric="hip_ext_pelvis_peak",
        side=Side.LEFT,
        unit="rad",
        mean=0.1,
        sd=None,
        n=12,
        ci95=(-0.1, 0.3),
        ci95_strides=None,
        se_reconstruction=None,
        quality=Quality.INDICATIVE,
        provisional=True,
        status=FindingStatus.BORDERLINE,
        borderline=0.15,
    )
    return Finding(
        "F1",
        Side.LEFT,
        FindingStatus.BORDERLINE,
        "Nothing to say – yet",
        values=(value,),
        left_out={"lhci_dyn": "no reference"},
        tier=Tier.T3,
        confidence=Confidence.LOW,
    )


def _empty_motion() -> MotionResult:
    nothing = JointAngles(np.arange(4) / 10.0, ())
    return MotionResult(None, nothing, (), None, (), (), (), (), (), {})


@pytest.mark.parametrize(("n_frames", "n_landmarks"), [(0, 3), (1, 1), (50, 37)])
def test_landmarks_read_equal_what_was_written(tmp_path: Path, n_frames: int, n_landmarks: int) -> None:
    landmarks = _landmarks(n_frames, tuple(f"P{i}" for i in range(n_landmarks)), np.random.default_rng(n_frames))
    write_landmarks3d(tmp_path / "a.parquet", landmarks)
    assert_equal(read_landmarks3d(tmp_path / "a.parquet"), landmarks)


@pytest.mark.slow
@given(xyz=npst.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 3), st.just(3))))
def test_any_float_survives(xyz: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = tuple(f"P{i}" for i in range(xyz.shape[1]))
    landmarks = Landmarks3D.from_positions(names, np.arange(xyz.shape[0], dtype=np.float64), xyz)
    path = tmp_path_factory.mktemp("parquet") / "a.parquet"
    write_landmarks3d(path, landmarks)
    assert_equal(read_landmarks3d(path), landmarks)


@pytest.mark.parametrize("seed", range(3))
def test_motion_read_equals_what_was_written(tmp_path: Path, seed: int) -> None:
    motion = _motion(seed)
    assert write_motion(tmp_path, motion) == MOTION_FILES
    assert {p.name for p in tmp_path.iterdir()} == set(MOTION_FILES)
    assert_equal(read_motion(tmp_path), motion)


def test_metrics_of_versions_without_interpolated_shares_are_read(tmp_path: Path) -> None:
    motion = _motion(1)
    write_motion(tmp_path, motion)
    path = tmp_path / "metrics.parquet"
    assert pq.read_schema(path).field("interpolated_share").metadata == {b"unit": b"1"}
    pq.write_table(pq.read_table(path).drop_columns("interpolated_share"), path)
    not_on_file = tuple(dataclasses.replace(m, interpolated_share=math.nan) for m in motion.metrics)
    assert_equal(read_motion(tmp_path).metrics, not_on_file)


def test_motion_of_landmarks_without_a_tier_survives(tmp_path: Path) -> None:
    write_motion(tmp_path, _empty_motion())
    assert_equal(read_motion(tmp_path), _empty_motion())


def test_events_that_were_looked_for_and_not_found_differ_from_none(tmp_path: Path) -> None:
    motion = dataclasses.replace(_empty_motion(), events=GaitEvents((), 0.0, math.inf))
    write_motion(tmp_path, motion)
    assert_equal(read_motion(tmp_path), motion)


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_motion(tmp_path / name, _motion(1))
        write_landmarks3d(tmp_path / name / "l.parquet", _landmarks(5, ("P",), np.random.default_rng(0)))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_every_number_has_a_unit_and_is_float64(tmp_path: Path) -> None:
    write_motion(tmp_path, _motion(0))
    write_landmarks3d(tmp_path / LANDMARKS3D_FILE, _landmarks(5, ("RASIS",), np.random.default_rng(0)))
    units = {}
    for path in tmp_path.glob("*.parquet"):
        schema = pq.read_schema(path)
        for field in schema:
            if "double" in str(field.type) or "float" in str(field.type):
                assert "double" in str(field.type)
                units[f"{path.stem}.{field.name}"] = field.metadata[b"unit"].decode()
    assert units["landmarks3d.x"] == "m"
    assert units["landmarks3d.residual"] == "px"
    assert units["landmarks3d.cov_xy"] == "m2"
    assert units["angles.raw"] == "rad"
    assert units["strides.toe_off_s"] == "s"
    assert units["curves.values"] == "rad"
    table = pq.read_table(tmp_path / "metrics.parquet").to_pylist()
    by_id = {row["id"]: row["unit"] for row in table}
    assert by_id["hip_ext_pelvis_peak"] == "rad"
    assert by_id["vertical_oscillation"] == "m"
    assert by_id["cadence"] == "Hz"


def test_refusals_when_writing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no 3D landmarks"):
        write_landmarks3d(tmp_path / "a", Landmarks3D.from_positions((), np.arange(2.0), np.zeros((2, 0, 3))))
    base = _empty_motion()
    unknown = dataclasses.replace(base, metrics=(_metric("hip_speed", Side.LEFT, np.random.default_rng(0), None),))
    with pytest.raises(UnknownNameError, match="hip_speed"):
        write_motion(tmp_path, unknown)
    short = dataclasses.replace(base, curves=(StrideCurves("hip_flexion", Side.LEFT, (0,), np.zeros((1, 100))),))
    with pytest.raises(InputError, match="expected"):
        write_motion(tmp_path, short)
    uneven = dataclasses.replace(base, stride_values=(StrideValues("cadence", Side.BOTH, (0, 1), np.zeros(3)),))
    with pytest.raises(InputError, match="3 values for 2 strides"):
        write_motion(tmp_path, uneven)


def test_damaged_foreign_and_newer_files_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.parquet"
    write_motion(tmp_path, _motion(0))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"no whole Parquet file.*metrics\.parquet"):
        read_motion(tmp_path)
    shutil.copy(tmp_path / "angles.parquet", path)
    with pytest.raises(InputError, match="table 'angles', expected 'metrics'"):
        read_motion(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"cannot be read.*metrics\.parquet"):
        read_motion(tmp_path)
    monkeypatch.setattr("labsys.storage.columns.RESULT_SCHEMA_VERSION", 5)
    write_motion(tmp_path, _motion(0))
    monkeypatch.undo()
    with pytest.raises(NewerSchemaError, match=r"schema 5, this labsys reads up to 1 .*\.parquet"):
        read_motion(tmp_path)
    findings = tmp_path / "findings.json"
    findings.write_text(json.dumps({"schema_version": 9}))
    with pytest.raises(NewerSchemaError, match=r"findings\.json"):
        read_motion(tmp_path)


@pytest.mark.slow
def test_a_trial_result_is_assembled_from_trial_run_and_parent(tmp_path: Path) -> None:
    lab: Lab = create_lab(tmp_path / "lab")
    save_subject(lab, Subject(uuid="", code="S01"))
    save_session(lab, Session(uuid="", subject="S01", session="2026-11-22", captured_at=""))
    trial = save_trial(lab, Trial(uuid="", name=NAME, kind=TrialKind.RUN, recorded_at=""))
    with pytest.raises(InputError, match="not processed yet"):
        load_trial_result(lab, NAME)
    provenance = Provenance("0.1.0", 1, {"a": "b"}, {"k": "v"}, "m", "c", "s", "2026-11-22T10:00:00Z", {"pose2d": 0.5})
    landmarks, motion = _landmarks(20, ("RASIS", "LASIS"), np.random.default_rng(1)), _motion(4)
    with open_run(lab, NAME, "raaaaaaaaaaaa") as run:
        write_landmarks3d(run.folder / LANDMARKS3D_FILE, landmarks)
        run.complete("reconstruct", [LANDMARKS3D_FILE])
        run.complete("analyse", write_motion(run.folder, _motion(3)))
        run.finish(RunRecord("raaaaaaaaaaaa", provenance))
    with open_run(lab, NAME, "rbbbbbbbbbbbb") as run:
        run.inherit("reconstruct", "raaaaaaaaaaaa", [LANDMARKS3D_FILE])
        run.complete("analyse", write_motion(run.folder, motion))
        run.finish(RunRecord("rbbbbbbbbbbbb", provenance, "calibration overridden", False, "raaaaaaaaaaaa"))
    result = load_trial_result(lab, NAME)
    assert (result.run, result.not_for_comparison, result.heading_known) == (
        "rbbbbbbbbbbbb",
        "calibration overridden",
        False,
    )
    assert result.trial == trial
    assert_equal(result.landmarks, landmarks)
    assert_equal(result.motion, motion)
    assert_equal(result.provenance, provenance)
    assert_equal(load_trial_result(lab, NAME, "raaaaaaaaaaaa").motion, _motion(3))
    with pytest.raises(UnknownNameError, match="Unknown run"):
        load_trial_result(lab, NAME, "rcccccccccccc")
