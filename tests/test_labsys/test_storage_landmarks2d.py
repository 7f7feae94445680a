"""DeepLabCut and OpenPose: layouts as their programs write them, people told apart, doubts refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labsys.core.errors import InputError
from labsys.core.skeleton import BODY_25, BODY_25B, COCO_17, HALPE_26, LABSYS_RUN_37, LandmarkSet
from labsys.storage.exchange.dlc import read_dlc, write_dlc_h5
from labsys.storage.exchange.openpose import read_openpose_folder
from labsys.storage.exchange.sniff import Landmarks2DFormat, read_landmarks2d, recognise_landmarks2d
from labsys.storage.exchange.tracks import CameraTrack

NAMES = ("RHip", "LHip", "Nose")


def _track(n_frames: int = 6, names: tuple[str, ...] = NAMES, seed: int = 0) -> CameraTrack:
    rng = np.random.default_rng(seed)
    xy = rng.normal(400, 100, (n_frames, len(names), 2))
    confidence = rng.uniform(0.01, 1.0, (n_frames, len(names)))
    xy[1, 0], confidence[1, 0] = np.nan, 0.0
    return CameraTrack(names, xy, confidence)


@pytest.mark.slow
@given(
    xy=npst.arrays(np.float64, (3, 2, 2), elements=st.floats(-1e4, 1e4)),
    confidence=npst.arrays(np.float64, (3, 2), elements=st.floats(1e-6, 1.0)),
    missing=npst.arrays(np.bool_, (3, 2)),
)
def test_written_h5_reads_back_equal(
    xy: np.ndarray, confidence: np.ndarray, missing: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    track = CameraTrack(
        ("a", "b"), np.where(missing[..., None], np.nan, xy), np.where(missing, 0.0, confidence), first_frame=4
    )
    path = tmp_path_factory.mktemp("h5") / "a.h5"
    write_dlc_h5(path, track)
    again = read_dlc(path)
    assert (again.landmarks, again.first_frame) == (("a", "b"), 4)
    np.testing.assert_array_equal(again.xy_px, track.xy_px)
    np.testing.assert_array_equal(again.confidence, track.confidence)


def test_written_h5_has_the_layout_of_deeplabcut(tmp_path: Path) -> None:
    track = _track()
    write_dlc_h5(tmp_path / "a.h5", track, scorer="DLC_net")
    table = pd.read_hdf(tmp_path / "a.h5", key="df_with_missing")
    assert list(table.columns.names) == ["scorer", "bodyparts", "coords"]
    assert list(table.columns[:4]) == [
        ("DLC_net", "RHip", "x"),
        ("DLC_net", "RHip", "y"),
        ("DLC_net", "RHip", "likelihood"),
        ("DLC_net", "LHip", "x"),
    ]
    assert list(table.index) == list(range(6))
    np.testing.assert_array_equal(table["DLC_net"]["LHip"]["y"], track.xy_px[:, 1, 1])


def test_equal_tracks_give_equal_bytes(tmp_path: Path) -> None:
    """Run identity and the check after a crash compare hashes."""
    write_dlc_h5(tmp_path / "a.h5", _track())
    write_dlc_h5(tmp_path / "b.h5", _track())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def _dlc_table(scorers: tuple[str, ...] = ("s",), individuals: tuple[str, ...] = (), n_frames: int = 5) -> pd.DataFrame:
    levels = [list(scorers), *([list(individuals)] if individuals else []), list(NAMES), ["x", "y", "likelihood"]]
    names = ["scorer", *(["individuals"] if individuals else []), "bodyparts", "coords"]
    columns = pd.MultiIndex.from_product(levels, names=names)
    return pd.DataFrame(np.random.default_rng(0).random((n_frames, len(columns))), columns=columns)


def _save(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path)
    else:
        table.to_hdf(path, key="df_with_missing", format="table", mode="w")
    return path


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_files_of_deeplabcut_read(tmp_path: Path, suffix: str) -> None:
    table = _dlc_table()
    track = read_dlc(_save(table, tmp_path / f"a{suffix}"))
    assert track.landmarks == NAMES
    np.testing.assert_array_equal(track.xy_px, table.to_numpy().reshape(5, 3, 3)[..., :2])
    assert "scorer s" in track.source


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_several_individuals_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = _save(_dlc_table(individuals=("anna", "ben")), tmp_path / f"two{suffix}")
    with pytest.raises(InputError, match=r"2 individuals with landmarks: anna, ben .*two\."):
        read_dlc(path)


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_an_only_individual_is_taken_and_an_empty_one_does_not_count(tmp_path: Path, suffix: str) -> None:
    assert read_dlc(_save(_dlc_table(individuals=("anna",)), tmp_path / f"one{suffix}")).landmarks == NAMES
    table = _dlc_table(individuals=("anna", "ben"))
    table.loc[:, ("s", "ben")] = np.nan
    track = read_dlc(_save(table, tmp_path / f"empty{suffix}"))
    np.testing.assert_array_equal(track.xy_px[:, 0, 0], table[("s", "anna", "RHip", "x")])
    table.loc[:, :] = np.nan
    with pytest.raises(InputError, match="0 individuals with landmarks: anna, ben"):
        read_dlc(_save(table, tmp_path / f"none{suffix}"))


def _without_frame(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(index=3)


def _with_percent(table: pd.DataFrame) -> pd.DataFrame:
    return table * 100


def _without_likelihood(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=[("s", "LHip", "likelihood")])


def _labelled(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_axis([f"img{i:03d}.png" for i in range(len(table))], axis="index")


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_frame, "frame 3 is missing: frame 4 follows frame 2"),
        (_with_percent, r"likelihoods are in \S+\.\.\d\d\S*, expected 0\.\.1"),
        (_without_likelihood, "does not give x, y, likelihood for every body part"),
        (_labelled, "rows are no frame numbers"),
    ],
)
def test_deeplabcut_files_that_are_no_recording_are_refused(
    tmp_path: Path, suffix: str, change: object, message: str
) -> None:
    path = _save(change(_dlc_table()), tmp_path / f"cam01{suffix}")  # type: ignore[operator]  # one of the four above
    with pytest.raises(InputError, match=message) as caught:
        read_dlc(path)
    assert f"cam01{suffix}" in str(caught.value)


def test_several_scorers_no_rows_and_damage_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 scorers: a, b"):
        read_dlc(_save(_dlc_table(("a", "b")), tmp_path / "a.h5"))
    with pytest.raises(InputError, match="holds no frames"):
        read_dlc(_save(_dlc_table(n_frames=0), tmp_path / "b.csv"))
    whole = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "c.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "d.h5").write_bytes(b"nothing")
    (tmp_path / "e.csv").write_text("scorer,a\nbodyparts,b\ncoords,x\n0,nought\n")
    (tmp_path / "f.csv").write_text("time,x,y\n0,1,2\n")
    for name in ("c.h5", "d.h5", "e.csv", "f.csv", "gone.h5", "gone.csv"):
        with pytest.raises(InputError) as caught:
            read_dlc(tmp_path / name)
        assert name in str(caught.value)


# A person seen from the side-front, in body heights; midline points and both sides apart by a tenth.
_HEIGHTS = {
    "Nose": 0.93, "Neck": 0.83, "Head": 1.0, "Eye": 0.95, "Ear": 0.94, "Shoulder": 0.82, "Elbow": 0.63, "Wrist": 0.47,
    "MidHip": 0.53, "Hip": 0.53, "Knee": 0.28, "Ankle": 0.05, "Heel": 0.01, "BigToe": 0.0, "SmallToe": 0.0,
}  # fmt: skip
_FORWARD = {"BigToe": 0.12, "SmallToe": 0.11, "Heel": -0.04, "Nose": 0.05, "Wrist": 0.1, "Elbow": 0.03}


def _pose(landmark_set: LandmarkSet, *, left_px: float, height_px: float, phase: float = 0.0) -> np.ndarray:
    """(K, 3) x, y, likelihood of a person who swings the legs."""
    points = []
    for name in landmark_set.landmarks:
        sided = name not in _HEIGHTS
        base = name[1:] if sided else name
        side = (1.0 if name[0] == "R" else -1.0) if sided else 0.0
        swing = 0.15 * side * np.sin(phase) * (0.53 - _HEIGHTS[base]) if _HEIGHTS[base] < 0.5 else 0.0
        x = left_px + height_px * (0.06 * side + _FORWARD.get(base, 0.0) + swing)
        points.append([x, 100.0 + height_px * (1.0 - _HEIGHTS[base]), 0.8])
    return np.array(points)


def _write_openpose(folder: Path, frames: list[list[np.ndarray]], first: int = 0) -> Path:
    folder.mkdir(parents=True)
    for i, people in enumerate(frames, first):
        document = {"version": 1.3, "people": [{"pose_keypoints_2d": p.ravel().tolist()} for p in people]}
        (folder / f"cam01_{i:012d}_keypoints.json").write_text(json.dumps(document))
    return folder


def _runner(i: int, landmark_set: LandmarkSet = BODY_25B) -> np.ndarray:
    return _pose(landmark_set, left_px=300.0 + 3 * i, height_px=600.0, phase=0.3 * i)


def _bystander(i: int, likelihood: float = 0.4) -> np.ndarray:
    pose = _pose(BODY_25B, left_px=900.0, height_px=400.0)
    pose[:, 2] = likelihood
    return pose


@pytest.mark.parametrize("landmark_set", [BODY_25, BODY_25B, COCO_17, HALPE_26], ids=lambda s: s.name)
def test_sets_are_recognised_by_count_and_geometry(tmp_path: Path, landmark_set: LandmarkSet) -> None:
    names = {"Hip"} if landmark_set is HALPE_26 else set()
    assert names <= set(landmark_set.landmarks)
    frames = [[_runner(i, landmark_set)] for i in range(10)]
    people = read_openpose_folder(_write_openpose(tmp_path / "cam01", frames, first=1))
    assert people.landmark_set is landmark_set
    assert people.first_frame == 1
    np.testing.assert_allclose(people.subject_track().xy_px[4], _runner(4, landmark_set)[:, :2])


def test_a_heap_of_25_points_is_not_guessed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    heap = [[np.column_stack([rng.normal(500, 100, (25, 2)), np.ones(25)])] for _ in range(30)]
    folder = _write_openpose(tmp_path / "cam01", heap)
    with pytest.raises(InputError, match=r"could be BODY_25 or BODY_25B.*cam01.*Name the landmark set"):
        read_openpose_folder(folder)
    assert read_openpose_folder(folder, landmark_set=BODY_25).landmark_set is BODY_25
    with pytest.raises(InputError, match="holds 25 points per person, HALPE-26 has 26"):
        read_openpose_folder(folder, landmark_set=HALPE_26)


def test_the_subject_is_followed_while_people_change_places(tmp_path: Path) -> None:
    frames = [[_runner(i), _bystander(i)] if i % 3 else [_bystander(i), _runner(i)] for i in range(30)]
    frames[10] = [_bystander(10)]  # the subject is not seen once
    frames[20].append(_pose(BODY_25B, left_px=1500.0, height_px=200.0))
    people = read_openpose_folder(_write_openpose(tmp_path / "cam01", frames))
    expected = np.array([1 if i % 3 == 0 else 0 for i in range(30)])
    expected[10] = -1
    np.testing.assert_array_equal(people.subject, expected)
    assert people.n_frames_with_several == 29
    assert people.n_frames_without_subject == 1
    found = expected[expected >= 0]
    assert people.n_identity_switches == int((np.diff(found) != 0).sum())
    assert people.xy_px.shape == (30, 3, 25, 2)
    track = people.subject_track()
    for i in set(range(30)) - {10}:
        np.testing.assert_allclose(track.xy_px[i], _runner(i)[:, :2])
    assert np.isnan(track.xy_px[10]).all()
    assert (track.confidence[10] == 0).all()


def test_crossing_people_keep_their_identity(tmp_path: Path) -> None:
    """Two runners pass each other in the picture; one is clearer."""

    def clear(i: int) -> np.ndarray:
        return _pose(BODY_25B, left_px=200.0 + 20 * i, height_px=600.0)

    def faint(i: int) -> np.ndarray:
        pose = _pose(BODY_25B, left_px=1000.0 - 20 * i, height_px=420.0)
        pose[:, 2] = 0.5
        return pose

    frames = [[clear(i), faint(i)] if (i // 4) % 2 else [faint(i), clear(i)] for i in range(40)]
    people = read_openpose_folder(_write_openpose(tmp_path / "cam01", frames))
    np.testing.assert_allclose(people.subject_track().xy_px, np.stack([clear(i)[:, :2] for i in range(40)]))


def test_two_people_equally_present_are_not_chosen_between(tmp_path: Path) -> None:
    frames = [[_runner(i), _bystander(i, likelihood=0.78)] for i in range(20)]
    with pytest.raises(InputError, match=r"two people are equally present \(20 frames show both\) .*cam01"):
        read_openpose_folder(_write_openpose(tmp_path / "cam01", frames))


def test_missing_frames_and_damage_are_named(tmp_path: Path) -> None:
    folder = _write_openpose(tmp_path / "cam01", [[_runner(i)] for i in range(6)])
    files = sorted(folder.iterdir())
    files[3].rename(tmp_path / "away.json")
    with pytest.raises(InputError, match=r"frame 3 is missing \(frames 0 to 5, 5 files\) .*cam01"):
        read_openpose_folder(folder)
    (tmp_path / "away.json").rename(files[3])
    for content, message in (
        ('{"people": [', "not valid JSON"),
        ('{"persons": []}', "no list 'people'"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "in threes"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, NaN]}]}', "no number"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 0.5]}]}', "different numbers of points"),
    ):
        files[2].write_text(content)
        with pytest.raises(InputError, match=message):
            read_openpose_folder(folder)
    for path in files:
        path.write_text('{"people": []}')
    with pytest.raises(InputError, match="nobody is in the picture"):
        read_openpose_folder(folder)
    (folder / "notes.json").write_text("{}")
    with pytest.raises(InputError, match=r"no frame number.*notes\.json"):
        read_openpose_folder(folder)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(InputError, match="holds no OpenPose JSON"):
        read_openpose_folder(folder)


def test_other_numbers_of_points_are_refused_with_what_is_known(tmp_path: Path) -> None:
    frames = [[_pose(COCO_17, left_px=1.0, height_px=9.0)[:15]] for _ in range(3)]
    with pytest.raises(InputError, match=r"15 points per person; known: 17 \(COCO-17\), 25 \(BODY_25 or BODY_25B\)"):
        read_openpose_folder(_write_openpose(tmp_path / "cam01", frames))


def test_formats_are_recognised_by_content(tmp_path: Path) -> None:
    write_dlc_h5(tmp_path / "a.dat", _track())
    _save(_dlc_table(), tmp_path / "b.csv")
    folder = _write_openpose(tmp_path / "cam01", [[_runner(i), _bystander(i)] for i in range(5)])
    assert recognise_landmarks2d(tmp_path / "a.dat") is Landmarks2DFormat.DEEPLABCUT
    assert recognise_landmarks2d(tmp_path / "b.csv") is Landmarks2DFormat.DEEPLABCUT
    assert recognise_landmarks2d(folder) is Landmarks2DFormat.OPENPOSE
    track, remarks = read_landmarks2d(folder)
    assert track.landmarks == BODY_25B.landmarks
    assert remarks == (
        "5 of 5 frames show more than one person; the subject was followed by continuity and changed place 0 times",
    )
    assert read_landmarks2d(tmp_path / "b.csv")[1] == ()
    (tmp_path / "c.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    for name, message in (("c.txt", "labsys reads"), ("empty", "without JSON"), ("gone", "is not there")):
        with pytest.raises(InputError, match=message) as caught:
            recognise_landmarks2d(tmp_path / name)
        assert name in str(caught.value)


def test_a_track_of_the_labelling_set_fits_the_h5_header(tmp_path: Path) -> None:
    track = _track(n_frames=3, names=LABSYS_RUN_37.landmarks)
    write_dlc_h5(tmp_path / "a.h5", track)
    assert read_dlc(tmp_path / "a.h5").landmarks == LABSYS_RUN_37.landmarks


@pytest.mark.real_data
def test_the_subject_of_the_public_recording_is_found(public_data: Path) -> None:
    several, lost = {}, {}
    for camera in ("cam01", "cam02", "cam03", "cam04"):
        folder = public_data / "pose2sim_balancing/T01_BalancingTrial/pose" / f"{camera}_json"
        people = read_openpose_folder(folder)
        assert people.landmark_set is BODY_25B
        assert people.subject.size == 100
        several[camera], lost[camera] = people.n_frames_with_several, people.n_frames_without_subject
        # Person 0 is the subject here; in frame 37 of cam01 it is cut in two and both halves are people of their own.
        np.testing.assert_array_equal(people.subject, 0)
    assert several == {"cam01": 100, "cam02": 100, "cam03": 0, "cam04": 0}
    assert set(lost.values()) == {0}
