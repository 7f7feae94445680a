"""TRC and MOT: real files, round trips, and header lies named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.landmarks import Landmarks3D
from labsys.storage.exchange.mot import read_mot, write_mot
from labsys.storage.exchange.trc import read_trc, write_trc

# A body of eight points, 1.7 m high.
_BODY_M = np.array([[0.1 * (i % 3), 1.7 * i / 7, 0.2 * (i % 2)] for i in range(8)])
_NAMES = tuple(f"M{i}" for i in range(8))


def _landmarks(n_frames: int = 5, rate_hz: float = 100.0) -> Landmarks3D:
    times = np.arange(n_frames) / rate_hz
    return Landmarks3D.from_positions(_NAMES, times, _BODY_M + 0.01 * times[:, None, None])


Rewrite = Callable[[str, str], Path]


@pytest.fixture
def rewrite(tmp_path: Path) -> Rewrite:
    """A whole TRC file in which one piece of text is replaced."""

    def change(old: str, new: str) -> Path:
        path = tmp_path / "markers.trc"
        write_trc(path, _landmarks())
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return path

    return change


@pytest.mark.slow
@given(
    jitter=npst.arrays(np.float64, (4, 8, 3), elements=st.floats(-0.5, 0.5)),
    holes=npst.arrays(np.bool_, (4, 8)),
    rate_hz=st.floats(10.0, 1000.0),
)
def test_written_trc_reads_back(
    jitter: np.ndarray, holes: np.ndarray, rate_hz: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    xyz = np.where(holes[..., None], np.nan, _BODY_M + jitter)
    landmarks = Landmarks3D.from_positions(_NAMES, 0.25 + np.arange(4) / rate_hz, xyz)
    path = tmp_path_factory.mktemp("trc") / "a.trc"
    write_trc(path, landmarks)
    table = read_trc(path)
    assert table.markers == _NAMES
    np.testing.assert_allclose(table.xyz_m, xyz, atol=1e-9)
    np.testing.assert_allclose(table.times_s, landmarks.times_s, atol=1e-6)
    assert table.rate_hz == pytest.approx(rate_hz, rel=1e-6)


def test_written_trc_has_the_header_and_cells_that_opensim_counts(tmp_path: Path) -> None:
    """OpenSim asks for eight keys, names at every third column, X1 Y1 Z1 …, and 2 + 3 K cells, each ended by a tab."""
    xyz = np.array([[[0.1, 1.0, -0.2], [np.nan] * 3]])
    landmarks = Landmarks3D.from_positions(("RASIS", "LASIS"), np.array([0.0]), xyz)
    write_trc(tmp_path / "a.trc", landmarks, rate_hz=100.0)
    lines = (tmp_path / "a.trc").read_text().split("\n")
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\ta.trc"
    keys = [
        "DataRate",
        "CameraRate",
        "NumFrames",
        "NumMarkers",
        "Units",
        "OrigDataRate",
        "OrigDataStartFrame",
        "OrigNumFrames",
    ]
    assert lines[1].split("\t") == keys
    assert dict(zip(keys, lines[2].split("\t"), strict=True)) | {"NumFrames": "1"} == {
        "DataRate": "100.000000",
        "CameraRate": "100.000000",
        "NumFrames": "1",
        "NumMarkers": "2",
        "Units": "mm",
        "OrigDataRate": "100.000000",
        "OrigDataStartFrame": "1",
        "OrigNumFrames": "1",
    }
    assert lines[3] == "Frame#\tTime\tRASIS\t\t\tLASIS\t\t\t"
    assert lines[4] == "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\t"
    assert lines[5] == ""
    assert lines[6] == "1\t0.000000000\t100.000000\t1000.000000\t-200.000000\t\t\t\t"


def test_what_no_trc_can_hold_is_refused(tmp_path: Path) -> None:
    single = Landmarks3D.from_positions(("A",), np.array([0.0]), np.zeros((1, 1, 3)))
    with pytest.raises(InputError, match="too few"):
        write_trc(tmp_path / "a.trc", single)
    tab = Landmarks3D.from_positions(("A\tB",), np.array([0.0, 0.1]), np.zeros((2, 1, 3)))
    with pytest.raises(InputError, match="tab"):
        write_trc(tmp_path / "a.trc", tab)


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1.0), ("m", 1e-3), ("cm", 0.1), ("Meters", 1e-3), ("millimeters", 1.0)]
)
def test_units_are_read_from_the_header(rewrite: Rewrite, unit: str, factor: float) -> None:
    path = rewrite("\tmm\t", f"\t{unit}\t")
    lines = path.read_text().split("\n")
    scaled = [
        "\t".join([*line.split("\t")[:2], *(str(float(c) * factor) for c in line.split("\t")[2:-1])])
        for line in lines[6:-1]
    ]
    path.write_text("\n".join([*lines[:6], *scaled]) + "\n")
    np.testing.assert_allclose(read_trc(path).xyz_m, _landmarks().xyz_m, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tmm\t", "\tm\t", r"says m, which makes a body of .*e\+03 m: the units are wrong"),
        ("\tmm\t", "\tcm\t", r"makes a body of 17\S* m: the units are wrong"),
        ("\tmm\t", "\tinch\t", "unknown units 'inch'"),
        ("PathFileType", "PathFile", "no TRC file"),
        ("\t8\tmm", "\t9\tmm", "announces 9 markers and names 8"),
        ("100.000000\t5\t8", "100.000000\t6\t8", "announces 6 frames, the file holds 5"),
        ("\tM3\t", "\tM2\t", "more than once: M2"),
        ("100.000000\t", "0\t", "not positive"),
        ("100.000000\t", "50\t", "the header says 50 Hz, the times say 100 Hz"),
        ("DataRate", "Rate", "does not give DataRate"),
        ("0.010000000", "0.0x", r"holds '0\.0x' where a number is expected .*line 8"),
        ("0.020000000", "0.010000000", "time does not increase"),
    ],
)
def test_header_lies_and_damage_are_named(rewrite: Rewrite, old: str, new: str, message: str) -> None:
    path = rewrite(old, new)
    if "increase" in message:
        path.write_text(path.read_text().replace("0.010000000", "0.020000000", 1))
    with pytest.raises(InputError, match=message) as caught:
        read_trc(path)
    assert "markers.trc" in str(caught.value)


def test_millimetres_called_metres_the_other_way_round(tmp_path: Path, rewrite: Rewrite) -> None:
    path = rewrite("\tmm\t", "\tmm\t")
    lines = path.read_text().split("\n")
    tiny = [
        "\t".join([*line.split("\t")[:2], *(str(float(c) / 1000) for c in line.split("\t")[2:-1])])
        for line in lines[6:-1]
    ]
    path.write_text("\n".join([*lines[:6], *tiny]) + "\n")
    with pytest.raises(InputError, match=r"makes a body of 0\.0017\d m: the units are wrong"):
        read_trc(path)


def test_ragged_lines_and_partly_empty_markers(rewrite: Rewrite) -> None:
    path = rewrite("1\t0.000000000\t", "1\t0.000000000\t")
    lines = path.read_text().split("\n")
    short = lines[6].split("\t")[: 2 + 3 * 6]  # the last two markers and their tabs are missing
    holed = lines[7].split("\t")
    holed[3] = ""  # Y of the first marker
    long = lines[8] + "\t\t"
    path.write_bytes("\r\n".join([*lines[:6], "\t".join(short), "\t".join(holed), long, *lines[9:], "", ""]).encode())
    xyz = read_trc(path).xyz_m
    expected = np.array(_landmarks().xyz_m)
    expected[0, 6:] = np.nan
    expected[1, 0] = np.nan
    np.testing.assert_allclose(xyz, expected, atol=1e-9)
    path.write_text(path.read_text().replace(lines[9], lines[9] + "7.0\t"))
    with pytest.raises(InputError, match=r"has \d+ cells, expected 26 .*line 10"):
        read_trc(path)


def test_rounded_times_are_given_at_the_rate_of_the_header(rewrite: Rewrite) -> None:
    path = rewrite("100.000000\t", "150.000000\t")
    text = path.read_text()
    for i, rounded in enumerate(("0.000", "0.007", "0.013", "0.020", "0.027")):
        text = text.replace(f"{i / 100:.9f}", rounded)
    path.write_text(text)
    np.testing.assert_allclose(read_trc(path).times_s, np.arange(5) / 150.0, atol=1e-12)


_TRC = {
    "pose2sim_balancing/results_a948c20/T01/pose-3d/S00_P00_T01_BalancingTrial_0-100.trc": (21, 100, 60.0, "m", 0.0),
    "pose2sim_balancing/results_a948c20/T01/pose-3d/S00_P00_T01_BalancingTrial_0-100_filt_butterworth_LSTM.trc": (
        64, 100, 60.0, "m", 0.0,
    ),
    "bmclab_running_ik/ExpData/motion_capture_run.trc": (78, 123, 150.0, "mm", 0.2564),
    "bmclab_running_ik/ExpData/static_run.trc": (78, 1500, 150.0, "mm", 0.0),
    "gait2392_walking/subject01_walk1.trc": (41, 151, 60.0, "mm", 0.0),
    "gait2392_walking/subject01_static.trc": (49, 300, 60.0, "mm", 0.0),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", _TRC)
def test_public_trc_files_read_and_round_trip(public_data: Path, tmp_path: Path, name: str) -> None:
    n_markers, n_frames, rate_hz, unit, missing = _TRC[name]
    table = read_trc(public_data / name)
    assert (len(table.markers), len(table.times_s), table.rate_hz, table.unit) == (n_markers, n_frames, rate_hz, unit)
    assert np.isnan(table.xyz_m).mean() == pytest.approx(missing, abs=1e-4)
    np.testing.assert_allclose(np.diff(table.times_s), 1.0 / rate_hz, rtol=1e-4)
    write_trc(tmp_path / "a.trc", Landmarks3D.from_positions(table.markers, table.times_s, table.xyz_m))
    again = read_trc(tmp_path / "a.trc")
    assert again.markers == table.markers
    np.testing.assert_allclose(again.xyz_m, table.xyz_m, atol=1e-6)
    np.testing.assert_allclose(again.times_s, table.times_s, atol=1e-6)


@pytest.mark.real_data
def test_public_cells_are_what_the_file_says(public_data: Path) -> None:
    table = read_trc(public_data / "bmclab_running_ik/ExpData/motion_capture_run.trc")
    np.testing.assert_allclose(table.xyz_m[0, 0], [-0.02996947, 1.43034631, -0.094016], atol=1e-9)
    assert np.isnan(table.xyz_m[:, table.markers.index("RLFC")]).all()
    assert np.isfinite(table.xyz_m[:, table.markers.index("RLFCv")]).all()


def test_mot_reads_back_what_was_written(tmp_path: Path) -> None:
    times = np.arange(6) / 60.0
    angles = {"pelvis_tilt": np.linspace(-0.3, 0.3, 6), "hip_flexion_r": np.array([0.1, np.nan, 0.3, 0.4, 0.5, 0.6])}
    write_mot(tmp_path / "a.mot", times, angles_rad=angles, lengths_m={"pelvis_tx": np.arange(6) * 0.1})
    table = read_mot(tmp_path / "a.mot")
    assert table.in_degrees is True
    assert list(table.columns) == ["pelvis_tilt", "hip_flexion_r", "pelvis_tx"]
    np.testing.assert_allclose(table.times_s, times, atol=1e-9)
    for name, values in angles.items():
        np.testing.assert_allclose(table.angle_rad(name), values, atol=1e-9)
    assert np.degrees(0.3) == pytest.approx(table.columns["pelvis_tilt"][-1], abs=1e-8)
    np.testing.assert_allclose(table.length_m("pelvis_tx"), np.arange(6) * 0.1, atol=1e-9)
    with pytest.raises(UnknownNameError, match=r"pelvis_tlit.*pelvis_tilt"):
        table.angle_rad("pelvis_tlit")
    assert (tmp_path / "a.mot").read_text().split("\n")[:5] == [
        "Coordinates",
        "version=1",
        "nRows=6",
        "nColumns=4",
        "inDegrees=yes",
    ]
    with pytest.raises(InputError, match="column 'x' has shape"):
        write_mot(tmp_path / "b.mot", times, angles_rad={"x": np.zeros(5)}, lengths_m={})


_HEADER = "Coordinates\nversion=1\nnRows=2\nnColumns=2\ninDegrees=no\nendheader\n"
_ROWS = "time\thip\n0.0\t1.5\n0.1\t1.6\n"


def test_mot_in_radians_stays_in_radians(tmp_path: Path) -> None:
    path = tmp_path / "a.mot"
    path.write_text(_HEADER + _ROWS)
    np.testing.assert_allclose(read_mot(path).angle_rad("hip"), [1.5, 1.6])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time\thip\n0\t1\n", "no line 'endheader'"),
        (_HEADER, "holds no rows"),
        (_HEADER.replace("nRows=2", "nRows=3") + _ROWS, "announces 3 rows, the file holds 2"),
        (_HEADER.replace("nColumns=2", "nColumns=3") + _ROWS, "announces 3 columns, the file holds 2"),
        (_HEADER + _ROWS.replace("1.6", "1.6\t2"), "has 3 cells, expected 2 .*line 9"),
        (_HEADER + _ROWS.replace("1.6", "abc"), "holds 'abc' where a number is expected .*line 9"),
        (_HEADER + _ROWS.replace("time", "frame"), "first column is 'frame'"),
        (_HEADER.replace("=no", "=maybe") + _ROWS, "inDegrees is 'maybe'"),
    ],
)
def test_damaged_mot_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ik.mot"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_mot(path)
    assert "ik.mot" in str(caught.value)


def test_a_unit_that_is_not_stated_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.mot"
    path.write_text(_HEADER.replace("inDegrees=no\n", "") + _ROWS)
    with pytest.raises(InputError, match="unit of 'hip' is not stated"):
        read_mot(path).angle_rad("hip")
    # A file without a version is SIMM's, and those are in degrees.
    path.write_text("name x\ndatacolumns 2\ndatarows 2\nendheader\n" + _ROWS)
    np.testing.assert_allclose(read_mot(path).angle_rad("hip"), np.radians([1.5, 1.6]))


def test_columns_of_one_name_and_different_values_are_not_chosen_between(tmp_path: Path) -> None:
    path = tmp_path / "a.mot"
    path.write_text(_HEADER.replace("nColumns=2", "nColumns=4") + "time hip hip knee\n0 1 2 3\n1 1 2 3\n")
    with pytest.raises(InputError, match="several columns are named 'hip'"):
        read_mot(path).angle_rad("hip")
    np.testing.assert_allclose(read_mot(path).angle_rad("knee"), 3.0)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "n_rows", "first_tilt_deg"),
    [
        ("bmclab_running_ik/IK/results/ik_output_run.mot", 122, -18.41593820),
        ("gait2392_walking/subject01_walk1_ik.mot", 211, 4.76281529),
        ("gait2392_walking/OutputReference/subject01_walk1_ik.mot", 211, 4.8322799855),
        (
            "pose2sim_balancing/OpenSim_v0.8.4/S00_P00_T01_BalancingTrial_filt_butterworth_0-100_body25b.mot",
            100,
            0.03149947,
        ),
    ],
)
def test_public_ik_results_read(public_data: Path, name: str, n_rows: int, first_tilt_deg: float) -> None:
    table = read_mot(public_data / name)
    assert table.in_degrees is True
    assert len(table.times_s) == n_rows
    assert np.degrees(table.angle_rad("pelvis_tilt")[0]) == pytest.approx(first_tilt_deg, abs=1e-7)
    assert abs(table.length_m("pelvis_ty")[0] - 0.95) < 0.1


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "shape"),
    [("bmclab_running_ik/ExpData/grf_run.mot", (246, 18)), ("gait2392_walking/subject01_walk1_grf.mot", (1501, 18))],
)
def test_public_force_files_read(public_data: Path, name: str, shape: tuple[int, int]) -> None:
    table = read_mot(public_data / name)
    assert (len(table.times_s), len(table.columns)) == shape
