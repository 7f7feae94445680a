"""The main job from the terminal: synthetic visits with known truth, and public recordings with published numbers."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labsys.storage.exchange.mot import read_mot
from labsys.storage.exchange.trc import read_trc
from labsys.storage.lab import find_lab
from tests.test_api.audited import audited
from tests.test_api.cli_answer import Answer, Run, make_runner


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in a folder that becomes a lab; every command must succeed unless `code` says otherwise."""
    (tmp_path / "lab").mkdir()
    monkeypatch.chdir(tmp_path / "lab")

    ask = make_runner(capsys)

    def run(*words: object, code: int = 0) -> Answer:
        answer = ask(*words)
        assert answer.code == code, answer.err
        return answer

    run("init", ".", "--quiet")
    return run


def _value(shown: Any, metric: str, side: str) -> Any:
    return next(m for m in shown["metrics"] if (m["id"], m["side"]) == (metric, side))


def _angle(shown: Any, angle: str, side: str) -> Any:
    return next(a for a in shown["angles"] if (a["id"], a["side"]) == (angle, side))


@pytest.mark.slow
def test_two_synthetic_visits_from_files_to_a_verdict(labsys: Run, tmp_path: Path) -> None:
    """White noise, four cameras: what was put in comes out, and the change is seen for what it is."""
    visits = {"2026-03-02": ("pre", ["--hip-extension-cap-deg", 2, "--lumbar-gain", 0.7]), "2026-06-01": ("post", [])}
    truths = {}
    for date, (phase, style) in visits.items():
        made = tmp_path / phase
        labsys(
            "synth", "--out", made, "--noise-model", "white", "--noise-px", 0.5, "--seconds", 26, "--seed", 5, *style
        )
        imported = labsys(
            "import", "--from-synth", made, "--subject", "S01", "--session", date, "--trial", "run1", "--phase", phase
        )
        assert imported.out.splitlines()[-1] == f"S01/{date}/run1"
        truths[date] = json.loads((made / "truth.json").read_text())
    processed = labsys("process", "--all", "--stale", "--json").json
    assert [p["trial"] for p in processed["processed"]] == [
        f"S01/{date}/{trial}" for date in visits for trial in ("run1-static", "run1")
    ]
    assert labsys("process", "--all", "--stale").out.strip() == "nothing to do"
    for date, truth in truths.items():
        shown = labsys("show", f"S01/{date}/run1", "--json").json
        assert shown["tier"] == "T3"
        assert shown["provenance"]["static"] == "run1-static"
        assert min(shown["n_strides"].values()) >= 25, "enough for a verdict"
        _judge(shown, truth)
    _judge_change(labsys("compare", "S01/2026-03-02", "S01/2026-06-01", "--json").json)
    trend = labsys("trend", "S01", "hip_ext_pelvis_peak", "--side", "left", "--json").json
    points = trend["trends"][0]["series"][0]["points"]
    assert [p["session"] for p in points] == list(visits)
    assert points[0]["value"] < points[1]["value"]


def _judge(shown: Any, truth: Any) -> None:
    for metric, side, tolerance in (
        ("hip_ext_pelvis_peak", "left", 2.0),
        ("hip_ext_excursion_stance", "right", 2.0),
        ("lumbar_ext_at_peak_hip_ext", "left", 2.0),
        ("pelvis_rot_rom", "both", 2.0),
        ("trunk_lean_stance_mean", "right", 2.0),
        ("vertical_oscillation", "both", 5.0),
        ("contact_time", "left", 0.012),
        ("cadence", "both", 1.0),
    ):
        found, true = _value(shown, metric, side), _value(truth, metric, side)
        assert found["unit"] == true["unit"]
        assert found["mean"] == pytest.approx(true["mean"], abs=tolerance), metric
        assert found["ci95"][0] < found["ci95_strides"][0] < found["mean"] < found["ci95_strides"][1] < found["ci95"][1]


def _judge_change(comparison: Any) -> None:
    assert comparison["comparable"]
    assert comparison["pairs"][0]["pre"] == comparison["pairs"][0]["post"] == ["run1"]
    rows = {(r["id"], r["side"]): r for r in comparison["rows"]}
    hip, back = rows["hip_ext_pelvis_peak", "left"], rows["lumbar_ext_at_peak_hip_ext", "left"]
    assert hip["verdict"] == "larger_than_error"
    assert hip["direction"] == "higher"
    assert hip["change"] > 6.0
    assert back["change"] < 0.0, "the low back no longer stands in for the hip"
    assert rows["cadence", "both"]["verdict"] in ("no_detectable_change", "possible_change")


@pytest.mark.slow
def test_edits_exclusions_and_moves_reach_results_and_comparison(labsys: Run, tmp_path: Path) -> None:
    labsys("synth", "--out", tmp_path / "s", "--what", "landmarks3d", "--seconds", 14, "--seed", 2)
    for date in ("2026-03-02", "2026-06-01"):
        labsys("import", "--from-synth", tmp_path / "s", "--subject", "S01", "--session", date, "--trial", "run1")
    labsys("process", "--all", "--quiet")
    assert labsys("compare", "S01/2026-03-02", "S01/2026-06-01", "--json").json["comparable"]
    labsys("trial", "exclude", "S01/2026-06-01/run1", "--reason", "wrong belt speed")
    labsys("compare", "S01/2026-03-02", "S01/2026-06-01", code=3)
    assert "wrong belt speed" in labsys("show", "S01/2026-06-01/run1").out, "an excluded trial stays visible"
    labsys("trial", "include", "S01/2026-06-01/run1")
    said = labsys("session", "edit", "S01/2026-06-01", "--leg-length-m", 0.88).err
    assert "S01/2026-06-01/run1 must be processed again" in said
    labsys("show", "S01/2026-06-01/run1", code=2)
    labsys("process", "--all", "--stale", "--quiet")
    assert labsys("compare", "S01/2026-03-02", "S01/2026-06-01", "--json").json["comparable"]
    labsys("session", "add", "S01/2026-07-01")
    moved = labsys("trial", "move", "S01/2026-06-01/run1", "S01/2026-07-01/run1")
    assert "must be processed again" in moved.err, "its static stayed behind"
    before = labsys("trend", "S01", "cadence", "--json").json
    Path("labsys.db").unlink()
    labsys("index")
    assert labsys("trend", "S01", "cadence", "--json").json == before


@pytest.mark.slow
def test_exports_read_back(labsys: Run, tmp_path: Path) -> None:
    labsys("synth", "--out", tmp_path / "s", "--seconds", 8, "--cameras", 3, "--noise-model", "white", "--seed", 4)
    labsys("import", "--from-synth", tmp_path / "s", "--subject", "S01", "--session", "a", "--trial", "run1")
    labsys("process", "S01/a/run1")
    export = ["export", "S01/a/run1", "--format"]
    labsys(*export, "trc", "--out", tmp_path / "run.trc")
    markers = read_trc(tmp_path / "run.trc")
    assert markers.markers[:2] == ("C7", "T10")
    assert markers.times_s.size == 800
    labsys(*export, "mot", "--out", tmp_path / "run.mot")
    angles = read_mot(tmp_path / "run.mot")
    assert angles.in_degrees
    assert 20 < math.degrees(float(np.ptp(angles.angle_rad("hip_flexion_r")))) < 90
    files = labsys(*export, "csv", "--out", tmp_path / "csv", "--json").json["files"]
    assert {Path(f).name for f in files} >= {
        "angles.csv",
        "metrics.csv",
        "events.csv",
        "strides.csv",
        "landmarks3d.csv",
    }
    files = labsys(*export, "parquet", "--out", tmp_path / "parquet", "--json").json["files"]
    assert {Path(f).name for f in files} >= {"angles.parquet", "metrics.parquet", "run.json"}
    assert "overwritten" in labsys(*export, "trc", "--out", tmp_path / "run.trc", code=2).err
    labsys(*export, "anipose", "--out", tmp_path / "project")
    _triangulate_as_anipose_does(tmp_path / "project")
    # Written down before anything is written: the refused one too, so that none leaves without a row.
    exports = [f"S01/a/run1 as {kind}" for kind in ("trc", "mot", "csv", "parquet", "trc", "anipose")]
    assert audited(find_lab(Path.cwd()), "export") == exports


def _triangulate_as_anipose_does(project: Path) -> None:
    """The anipose command itself works on what was exported."""
    script = "from anipose.anipose import cli; cli(['triangulate'])"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=project, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    found = project / "a" / "pose-3d" / "run1.csv"
    assert found.is_file(), answer.stdout
    header, first = found.read_text().splitlines()[:2]
    height_m = dict(zip(header.split(","), first.split(","), strict=True))["C7_y"]
    assert 1.2 < float(height_m) < 1.7, "metres in LAB, Y up"


@pytest.mark.slow
def test_quick_demo_says_indicative(labsys: Run, tmp_path: Path) -> None:
    document = labsys("demo", "--quick", "--out", tmp_path / "demo", "--seed", 3, "--json").json
    assert {"seconds", "rows", "comparison", "report", "lab"} <= document.keys()
    assert {r["visit"] for r in document["rows"]} == {"pre", "post"}
    for row in document["rows"]:
        assert {"id", "side", "unit", "truth", "measured", "ci95_strides"} <= row.keys()
    verdicts = {r["verdict"] for r in document["comparison"]["rows"]}
    assert not verdicts & {"larger_than_error", "possible_change", "no_detectable_change"}
    assert labsys("show", "D01/2026-03-02/run1", "--lab", document["lab"]).out


@pytest.mark.slow
def test_demo_of_a_recording_that_is_not_here(labsys: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABSYS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # no internet
    answer = labsys("demo", "--dataset", "pose2sim", "--out", tmp_path / "demo", code=2)
    assert "LABSYS_DATA" in answer.err
    assert "cannot be fetched" in answer.err
    assert not (tmp_path / "demo").exists()


@pytest.mark.real_data
@pytest.mark.slow
def test_pose2sim_balancing(labsys: Run, public_data: Path, tmp_path: Path) -> None:
    """Videos, calibration and OpenPose 2D of a public recording; its published 3D within 1 mm."""
    folder = public_data / "pose2sim_balancing"
    trial, cameras = folder / "T01_BalancingTrial", ("cam01", "cam02", "cam03", "cam04")
    words = [
        "import", "--subject", "P01", "--session", "2024-02-28", "--trial", "balancing", "--kind", "other",
        "--videos", *(f"{c}={trial}/videos/{c}.mp4" for c in cameras),
        "--landmarks2d", *(f"{c}={trial}/pose/{c}_json" for c in cameras),
        "--calibration", folder / "calibration" / "Calib_qualisys.toml",
    ]  # fmt: skip
    axes = ["--world-axes", "up=+z"]
    accepted = ["--accept-size", "cam01=1080x1920", "cam02=1080x1920"]
    assert "--world-axes" in labsys(*words, *accepted, code=2).err
    refused = labsys(*words, *axes, code=2).err
    assert "1080x1920" in refused
    assert "1088x1920" in refused
    imported = labsys(*words, *axes, *accepted)
    assert imported.out.splitlines()[-1] == "P01/2024-02-28/balancing"
    assert "more than one person" in imported.err
    labsys("process", "P01/2024-02-28/balancing", "--profile", "pose2sim")
    _judge_t1(labsys("show", "P01/2024-02-28/balancing", "--json").json)
    labsys("export", "P01/2024-02-28/balancing", "--format", "trc", "--out", tmp_path / "balancing.trc")
    published = folder / "results_a948c20" / "T01" / "pose-3d" / "S00_P00_T01_BalancingTrial_0-100.trc"
    assert _share_within_a_millimetre(tmp_path / "balancing.trc", published) >= 0.99


def _judge_t1(shown: Any) -> None:
    assert (shown["tier"], shown["kind"]) == ("T1", "other")
    assert shown["metrics"] == []
    assert shown["heading_known"] is False
    for angle, side in (("hip_flexion", "left"), ("hip_flexion", "right"), ("lumbar_extension", "both")):
        found = _angle(shown, angle, side)
        assert found["mean"] is None
        assert found["reason"]
    for angle, side in (("pelvis_rotation", "both"), ("thigh_vertical", "left"), ("thigh_vertical", "right")):
        found = _angle(shown, angle, side)
        assert found["min"] < found["mean"] < found["max"]
        assert found["n"] >= 90


def _share_within_a_millimetre(ours: Path, published: Path) -> float:
    """Share of coordinates within 1 mm, of all that are finite in either, under the best axis permutation.

    What is left: the published nose is interpolated over 6 frames in which too few cameras saw it, and in frame 52 the
    published points follow the bystander's place in one camera's file.
    """
    a, b = read_trc(ours), read_trc(published)
    assert set(b.markers) <= set(a.markers), "the same names"
    assert a.times_s.size == b.times_s.size
    mine = a.xyz_m[:, [a.markers.index(m) for m in b.markers]]
    shares = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turned = mine[..., order] * np.array(signs)
            either = np.isfinite(turned) | np.isfinite(b.xyz_m)
            shares.append(float((np.abs(turned - b.xyz_m) <= 0.001)[either].mean()))
    return max(shares)


@pytest.mark.slow
@pytest.mark.real_data
def test_bmclab_running(labsys: Run, public_data: Path, marker_maps: Path) -> None:
    """Optical markers of one overground stride, through the marker map that ships."""
    folder = public_data / "bmclab_running_ik" / "ExpData"
    common = ["import", "--subject", "B01", "--session", "a", "--marker-map", marker_maps / "bmclab_running.yaml"]
    labsys(*common, "--trial", "static1", "--kind", "static", "--markers", folder / "static_run.trc")
    labsys(
        *common, "--trial", "run1", "--kind", "run", "--surface", "overground", "--markers",
        folder / "motion_capture_run.trc",
    )  # fmt: skip
    assert labsys("process", "B01/a/run1", "--json").json["processed"][0]["static"] == "static1"
    shown = labsys("show", "B01/a/run1", "--json").json
    assert shown["rate_hz"] == pytest.approx(150.0, abs=0.1)
    assert shown["provenance"]["calibration"] is None
    hip = _angle(shown, "hip_flexion", "right")
    assert 35 < hip["max"] - hip["min"] < 75
    assert all(m["reason"] for m in shown["metrics"] if m["mean"] is None)


@pytest.fixture
def marker_maps() -> Path:
    """Marker maps that ship with labsys."""
    return Path(__file__).parents[1] / "hardware_configs" / "marker_maps"
