"""`labsys import`: what it takes, and that bad input is refused by exit code 2 with a message that names the thing."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from api.cli import main
from calibration.formats import read_calibration, write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics
from labsys.core.landmarks import Landmarks3D
from labsys.core.rigid import RigidTransform
from labsys.core.session import TrialKind
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.exchange.trc import write_trc
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.trial import make_trial

N_FRAMES = 40
SIZE = (640, 480)
CAMERAS = ("cam_0", "cam_1", "cam_2", "cam_3")


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lab: Path) -> Run:
    """Run a command in the lab folder."""
    monkeypatch.chdir(lab)

    def run(*words: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(w) for w in words])
        said = capsys.readouterr()
        return Answer(int(left.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="module")
def empty_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab made once; every test works in its own copy."""
    folder = tmp_path_factory.mktemp("labs") / "lab"
    with pytest.raises(SystemExit) as left:
        main(["init", str(folder), "--quiet"])
    assert left.value.code == 0
    return folder


@pytest.fixture
def lab(empty_lab: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty_lab, tmp_path / "lab"))


def _looking_at_the_middle(angle_rad: float) -> RigidTransform:
    """A camera on a ring of 4 m at 1.4 m height, level, looking at the vertical axis of LAB."""
    centre = np.array([4.0 * np.cos(angle_rad), 1.4, 4.0 * np.sin(angle_rad)])
    forward = -np.array([np.cos(angle_rad), 0.0, np.sin(angle_rad)])
    down = np.array([0.0, -1.0, 0.0])
    R = np.stack([np.cross(down, forward), down, forward])
    return RigidTransform(R, -R @ centre)


def _rig(names: tuple[str, ...] = CAMERAS, turned_rad: float = 0.0) -> CameraRig:
    matrix = np.array([[500.0, 0, SIZE[0] / 2], [0, 500.0, SIZE[1] / 2], [0, 0, 1]])
    lens = Intrinsics(matrix, np.zeros(5), SIZE)
    angles = np.array([0.4, 1.7, 3.6, 5.1]) + turned_rad
    return CameraRig(tuple(Camera(n, lens, _looking_at_the_middle(a)) for n, a in zip(names, angles, strict=True)))


@dataclass(frozen=True)
class Scene:
    """A standing person seen by four cameras: 2D landmarks, videos and calibration as files."""

    folder: Path
    landmarks: Landmarks3D

    @property
    def calibration(self) -> Path:
        return self.folder / "calibration.toml"

    def landmarks2d(self, **other: Path) -> list[str]:
        """Words of --landmarks2d; the videos' and files' names spell cameras without the underscore."""
        files = {f"cam{i}": self.folder / f"cam{i}.h5" for i in range(4)} | other
        return ["--landmarks2d", *(f"{camera}={path}" for camera, path in files.items())]

    def videos(self, **other: Path) -> list[str]:
        files = {f"cam{i}": self.folder / f"cam{i}.mp4" for i in range(4)} | other
        return ["--videos", *(f"{camera}={path}" for camera, path in files.items())]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("scene")
    still = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=N_FRAMES / 100, rate_hz=100.0)
    landmarks = still.landmarks
    xy_px = project_rig(_rig(), landmarks.xyz_m)[:N_FRAMES]
    for i in range(4):
        track = CameraTrack(landmarks.landmarks, xy_px[:, :, i], np.full(xy_px.shape[:2], 0.95))
        write_dlc_h5(folder / f"cam{i}.h5", track)
        write_video(folder / f"cam{i}.mp4", n_frames=N_FRAMES)
    write_anipose(folder / "calibration.toml", Calibration(_rig(), "test"))
    return Scene(folder, landmarks)


def write_video(path: Path, *, n_frames: int, size: tuple[int, int] = SIZE) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 100.0, size)
    for i in range(n_frames):
        writer.write(np.full((size[1], size[0], 3), i, dtype=np.uint8))
    writer.release()


def static(trial: str = "static1") -> list[str]:
    return ["import", "--subject", "S01", "--session", "2026-11-22", "--trial", trial, "--kind", "static"]


def refused(answer: Answer, *names: str, code: int = 2) -> None:
    """One message, no traceback, nothing on stdout, and the message names the things."""
    assert answer.code == code, answer
    assert answer.out == ""
    assert answer.err.count("error: ") == 1
    assert "Traceback" not in answer.err
    for name in names:
        assert name in answer.err, answer.err


def nothing_written(lab: Path) -> None:
    assert not list((lab / "subjects").rglob("*"))
    assert not list((lab / "calibrations").rglob("*"))


def test_everything_comes_in_and_the_name_is_the_last_line(labsys: Run, scene: Scene, lab: Path) -> None:
    answer = labsys(*static(), *scene.landmarks2d(), *scene.videos(), "--calibration", scene.calibration)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == "S01/2026-11-22/static1"
    take = json.loads((lab / "subjects/S01/2026-11-22/static1/take/take.json").read_text())
    assert sorted(take["cameras"]) == list(CAMERAS), "cameras bear the calibration's names"
    assert take["rate_hz"] == 100.0
    assert take["cameras"]["cam_0"]["n_frames"] == N_FRAMES
    shown = json.loads(labsys("session", "show", "S01/2026-11-22", "--json").out)
    assert shown["captured_at"].startswith("2026-11-22")


def test_json_is_one_document(labsys: Run, scene: Scene) -> None:
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100, "--json")
    assert json.loads(answer.out)["trial"] == "S01/2026-11-22/static1"


def test_conditions_come_from_a_file_and_options_overrule_it(labsys: Run, scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "conditions.yaml"
    file.write_text("footwear: blue shoe\nmass_kg: 62\nleg_length_m: 0.86\nphase: pre\noperator: AB\n")
    answer = labsys(
        *static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100,
        "--conditions", file, "--mass-kg", 63,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    session = json.loads(labsys("session", "show", "S01/2026-11-22", "--json").out)
    assert session["anthropometry"] == {"mass_kg": 63.0, "height_m": None, "leg_length_m": 0.86}
    assert (session["phase"], session["operator"]) == ("pre", "AB")
    trial = json.loads(labsys("trial", "show", "S01/2026-11-22/static1", "--json").out)
    assert trial["conditions"]["footwear"] == "blue shoe"


def test_misspelt_condition_names_the_nearest(labsys: Run, scene: Scene, tmp_path: Path, lab: Path) -> None:
    file = tmp_path / "conditions.yaml"
    file.write_text("footware: blue shoe\n")
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--conditions", file)
    refused(answer, "footware", "footwear", str(file))
    nothing_written(lab)


def test_speed_in_kilometres_per_hour_is_refused(labsys: Run, scene: Scene) -> None:
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--speed-mps", 14)
    refused(answer, "speed 14 m/s")


def test_missing_camera_file(labsys: Run, scene: Scene, lab: Path) -> None:
    gone = scene.folder / "gone.h5"
    answer = labsys(*static(), *scene.landmarks2d(cam2=gone), "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, "cam2", str(gone))
    nothing_written(lab)


def test_camera_with_a_video_but_no_landmarks(labsys: Run, scene: Scene, lab: Path) -> None:
    some = [w for w in scene.landmarks2d() if not w.startswith("cam3")]
    answer = labsys(*static(), *some, *scene.videos(), "--calibration", scene.calibration)
    refused(answer, "cam3")
    nothing_written(lab)


def test_truncated_video(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    whole = (scene.folder / "cam1.mp4").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    answer = labsys(*static(), *scene.landmarks2d(), *scene.videos(cam1=cut), "--calibration", scene.calibration)
    refused(answer, str(cut))
    nothing_written(lab)


def test_videos_of_unequal_length_name_both_lengths(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", n_frames=N_FRAMES - 3)
    videos = scene.videos(cam1=tmp_path / "short.mp4")
    answer = labsys(*static(), *scene.landmarks2d(), *videos, "--calibration", scene.calibration)
    refused(answer, "cam_1", str(N_FRAMES), str(N_FRAMES - 3))
    nothing_written(lab)


def _track(scene: Scene, camera: int, n_frames: int = N_FRAMES) -> CameraTrack:
    xy_px = project_rig(_rig(), scene.landmarks.xyz_m)[:n_frames, :, camera]
    return CameraTrack(scene.landmarks.landmarks, xy_px, np.full(xy_px.shape[:2], 0.95))


def test_2d_of_unequal_length_names_both_lengths(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    write_dlc_h5(tmp_path / "short.h5", _track(scene, 2, N_FRAMES - 7))
    answer = labsys(
        *static(), *scene.landmarks2d(cam2=tmp_path / "short.h5"), "--calibration", scene.calibration, "--rate-hz", 100
    )
    refused(answer, "cam_2", str(N_FRAMES), str(N_FRAMES - 7))
    nothing_written(lab)


def test_2d_of_other_videos(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    for i in range(4):
        write_dlc_h5(tmp_path / f"cam{i}.h5", _track(scene, i, N_FRAMES - 5))
    short = {f"cam{i}": tmp_path / f"cam{i}.h5" for i in range(4)}
    answer = labsys(*static(), *scene.landmarks2d(**short), *scene.videos(), "--calibration", scene.calibration)
    refused(answer, str(N_FRAMES), str(N_FRAMES - 5))
    nothing_written(lab)


@pytest.mark.parametrize(("name", "nearest"), [("LHEEEL", "LHEEL"), ("nonsense", "")])
def test_unknown_landmark_names(labsys: Run, scene: Scene, lab: Path, tmp_path: Path, name: str, nearest: str) -> None:
    """One misspelt name would silently cost a metric; a set of strangers gives none."""
    for i in range(4):
        track = _track(scene, i)
        if nearest:
            names = tuple(name if n == nearest else n for n in track.landmarks)
        else:
            names = tuple(f"{name}{k}" for k in range(len(track.landmarks)))
        write_dlc_h5(tmp_path / f"cam{i}.h5", replace(track, landmarks=names))
    files = {f"cam{i}": tmp_path / f"cam{i}.h5" for i in range(4)}
    answer = labsys(*static(), *scene.landmarks2d(**files), "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, name, nearest)
    nothing_written(lab)


def test_extra_landmark_is_kept_and_named(labsys: Run, scene: Scene, tmp_path: Path) -> None:
    for i in range(4):
        track = _track(scene, i)
        more = CameraTrack(
            (*track.landmarks, "belt_marker"),
            np.concatenate([track.xy_px, track.xy_px[:, :1]], axis=1),
            np.concatenate([track.confidence, track.confidence[:, :1]], axis=1),
        )
        write_dlc_h5(tmp_path / f"cam{i}.h5", more)
    files = {f"cam{i}": tmp_path / f"cam{i}.h5" for i in range(4)}
    answer = labsys(*static(), *scene.landmarks2d(**files), "--calibration", scene.calibration, "--rate-hz", 100)
    assert answer.code == 0
    assert "belt_marker" in answer.err


def test_calibration_with_other_camera_names(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    write_anipose(other, Calibration(_rig(("north", "east", "south", "west")), "test"))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", other, "--rate-hz", 100)
    refused(answer, "cam0", "north")
    nothing_written(lab)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(4), 2)))
def test_files_given_to_the_wrong_cameras(labsys: Run, scene: Scene, lab: Path, first: int, second: int) -> None:
    """Names agree, rays do not: two files exchanged, which a person in the middle of the ring nearly hides."""
    files = {f"cam{i}": scene.folder / f"cam{i}.h5" for i in range(4)}
    files[f"cam{first}"], files[f"cam{second}"] = files[f"cam{second}"], files[f"cam{first}"]
    answer = labsys(*static(), *scene.landmarks2d(**files), "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, f"cam_{first}", f"cam_{second}", "exchanged")
    nothing_written(lab)


def test_calibration_of_another_room_under_the_same_names(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    turned = _rig().cameras
    raised = tuple(
        replace(c, T_cam_lab=RigidTransform.from_rotvec([0.0, 0.0, 0.3 * i], [0, 0, 0]) @ c.T_cam_lab)
        for i, c in enumerate(turned)
    )
    write_anipose(other, Calibration(CameraRig(raised), "test"))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", other, "--rate-hz", 100)
    refused(answer, "not of these cameras", "px")
    nothing_written(lab)


def test_calibration_with_nan(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    broken = tmp_path / "nan.toml"
    text = scene.calibration.read_text()
    line = next(w for w in text.splitlines() if w.startswith("translation"))
    broken.write_text(text.replace(line, "translation = [nan, 0.0, 1.0]", 1))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", broken, "--rate-hz", 100)
    refused(answer, "cam_0", str(broken))
    nothing_written(lab)


def test_calibration_in_millimetres(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    calibration = read_calibration(scene.calibration)
    far = tuple(
        replace(c, T_cam_lab=RigidTransform(c.T_cam_lab.rotation, c.T_cam_lab.translation_m * 1000))
        for c in calibration.rig.cameras
    )
    write_anipose(tmp_path / "mm.toml", replace(calibration, rig=CameraRig(far)))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", tmp_path / "mm.toml", "--rate-hz", 100)
    refused(answer, "millimetres", "mm.toml")
    nothing_written(lab)


def test_2d_in_fractions_of_the_image(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    track = _track(scene, 1)
    write_dlc_h5(tmp_path / "fractions.h5", replace(track, xy_px=track.xy_px / np.array(SIZE)))
    files = scene.landmarks2d(cam1=tmp_path / "fractions.h5")
    answer = labsys(*static(), *files, "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, "cam_1", "pixels")
    nothing_written(lab)


def test_wrong_video_size_and_its_acceptance(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "narrow.mp4", n_frames=N_FRAMES, size=(632, 480))
    words = [*static(), *scene.landmarks2d(), *scene.videos(cam3=tmp_path / "narrow.mp4")]
    words += ["--calibration", str(scene.calibration)]
    answer = labsys(*words)
    refused(answer, "cam_3", "632x480", "640x480", "--accept-size")
    nothing_written(lab)
    refused(labsys(*words, "--accept-size", "cam3=630x480"), "632x480")
    assert labsys(*words, "--accept-size", "cam3=632x480").code == 0
    trial = json.loads(labsys("trial", "show", "S01/2026-11-22/static1", "--json").out)
    assert trial["accepted_sizes"] == {"cam_3": [632, 480]}


def test_empty_2d(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    table = pd.read_hdf(scene.folder / "cam1.h5", key="df_with_missing")
    table.iloc[:0].to_csv(tmp_path / "empty.csv")
    answer = labsys(
        *static(), *scene.landmarks2d(cam1=tmp_path / "empty.csv"), "--calibration", scene.calibration, "--rate-hz", 100
    )
    refused(answer, "empty.csv")
    nothing_written(lab)


def test_nobody_in_the_picture(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    track = _track(scene, 0)
    nobody = CameraTrack(track.landmarks, np.full_like(track.xy_px, np.nan), np.zeros_like(track.confidence))
    write_dlc_h5(tmp_path / "nobody.h5", nobody)
    answer = labsys(
        *static(), *scene.landmarks2d(cam0=tmp_path / "nobody.h5"), "--calibration", scene.calibration, "--rate-hz", 100
    )
    refused(answer, "cam_0", "nobody.h5")
    nothing_written(lab)


def test_rate_must_be_known_and_agree(labsys: Run, scene: Scene, lab: Path) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration]
    refused(labsys(*words), "--rate-hz")
    refused(labsys(*words, *scene.videos(), "--rate-hz", 120), "100", "120")
    nothing_written(lab)


def test_recording_is_written_once(labsys: Run, scene: Scene) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*words).code == 0
    refused(labsys(*words), "S01/2026-11-22/static1", "recording")


def test_import_does_not_overrule_the_session(labsys: Run, scene: Scene) -> None:
    words = [*scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*static(), *words, "--phase", "pre").code == 0
    refused(labsys(*static("static2"), *words, "--phase", "post"), "phase", "pre", "post")


def test_static_must_exist(labsys: Run, scene: Scene, lab: Path) -> None:
    words = [*scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100, "--static", "static9"]
    refused(labsys(*static("other1")[:-1], "other", *words), "static9")
    nothing_written(lab)


def _openpose(scene: Scene, folder: Path, people_of: Callable[[int, int], list[np.ndarray]]) -> list[str]:
    """Folders of OpenPose JSON; `people_of(camera, frame)` gives (25, 3) arrays."""
    words = ["--landmarks2d"]
    for camera in range(4):
        target = folder / f"cam{camera}"
        target.mkdir()
        for frame in range(12):
            people = [{"pose_keypoints_2d": p.ravel().tolist()} for p in people_of(camera, frame)]
            document = {"version": 1.3, "people": people}
            (target / f"cam{camera}_{frame:012d}_keypoints.json").write_text(json.dumps(document))
        words.append(f"cam{camera}={target}")
    return words


BODY_25_OF_RUN = (
    "HEAD", "C7", "RAC", "RELB", "RWRI", "LAC", "LELB", "LWRI", "S3", "RGT", "RLFE", "RLM", "LGT", "LLFE", "LLM",
    "HEAD", "HEAD", "HEAD", "HEAD", "LTOE", "LMT5", "LHEEL", "RTOE", "RMT5", "RHEEL",
)  # fmt: skip


def _person(scene: Scene, camera: int, frame: int, shift_m: float = 0.0) -> np.ndarray:
    index = [scene.landmarks.index(n) for n in BODY_25_OF_RUN]
    points = scene.landmarks.xyz_m[frame, index] + np.array([0.0, 0.0, shift_m])
    xy_px = project_rig(_rig(), points)[:, camera]
    return np.concatenate([xy_px, np.full((25, 1), 0.8)], axis=1)


def test_second_person_is_left_out_counted_and_reported(labsys: Run, scene: Scene, tmp_path: Path) -> None:
    """The bystander comes late and takes the first place in the file now and then."""

    def people(camera: int, frame: int) -> list[np.ndarray]:
        subject = _person(scene, camera, frame)
        if frame < 6:
            return [subject]
        other = _person(scene, camera, frame, shift_m=1.2)
        return [other, subject] if frame == 8 else [subject, other]

    words = _openpose(scene, tmp_path, people)
    answer = labsys(*static("op")[:-1], "other", *words, "--calibration", scene.calibration, "--rate-hz", 100)
    assert answer.code == 0, answer.err
    assert "more than one person" in answer.err
    assert labsys("process", "S01/2026-11-22/op").code == 0
    from labsys.core.session import TrialName
    from labsys.storage.lab import open_lab
    from labsys.storage.results import load_trial_result

    found = load_trial_result(open_lab(Path.cwd()), TrialName("S01", "2026-11-22", "op")).landmarks
    truth = scene.landmarks.xyz_m[:12, [scene.landmarks.index("RLFE")]]
    assert np.abs(found.xyz_m[:, [found.index("RKnee")]] - truth).max() < 0.01


def test_two_people_alike_are_undecidable(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    def people(camera: int, frame: int) -> list[np.ndarray]:
        return [_person(scene, camera, frame), _person(scene, camera, frame, shift_m=1.2)]

    words = _openpose(scene, tmp_path, people)
    answer = labsys(*static("op")[:-1], "other", *words, "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, "people")
    nothing_written(lab)


def test_markers_need_a_known_unit_and_format(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    trc = tmp_path / "still.trc"
    write_trc(trc, scene.landmarks)
    wrong = tmp_path / "wrong.trc"
    wrong.write_text(trc.read_text().replace("\tmm\t", "\tm\t"))
    refused(labsys(*static(), "--markers", wrong), "wrong.trc", "m")
    (tmp_path / "marks.c3d").write_bytes(b"\x02P")
    refused(labsys(*static(), "--markers", tmp_path / "marks.c3d"), "C3D", "trc")
    nothing_written(lab)
    assert labsys(*static(), "--markers", trc).code == 0


def test_markers_lying_down_need_axes(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    """A file with Z up: refused until its axes are named, then the body stands."""
    swapped = scene.landmarks.with_positions(scene.landmarks.xyz_m[..., [0, 2, 1]] * np.array([1.0, -1.0, 1.0]))
    write_trc(tmp_path / "zup.trc", swapped)
    refused(labsys(*static(), "--markers", tmp_path / "zup.trc"), "upright", "--world-axes")
    nothing_written(lab)
    answer = labsys(*static(), "--markers", tmp_path / "zup.trc", "--world-axes", "forward=+x,up=+z")
    assert answer.code == 0, answer.err
    assert labsys("process", "S01/2026-11-22/static1").code == 0


def test_marker_map_names_unknown_landmarks_and_markers(labsys: Run, scene: Scene, lab: Path, tmp_path: Path) -> None:
    trc = tmp_path / "still.trc"
    write_trc(trc, scene.landmarks)
    good = {n: n for n in scene.landmarks.landmarks}
    for wrong, named in (({"RASISS": "RASIS"}, "RASISS"), ({"RASIS": "RASIX"}, "RASIX")):
        mapping = {k: v for k, v in good.items() if k != "RASIS"} | wrong
        path = tmp_path / "map.yaml"
        path.write_text("".join(f"{k}: {v}\n" for k, v in mapping.items()))
        refused(labsys(*static(), "--markers", trc, "--marker-map", path), named, "RASIS")
    nothing_written(lab)


def test_nothing_to_import(labsys: Run, lab: Path) -> None:
    refused(labsys(*static()), "nothing to import")
    nothing_written(lab)


def test_unreadable_lab(labsys: Run, lab: Path, scene: Scene) -> None:
    (lab / "labsys.toml").write_text("this is = not [toml")
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    refused(labsys(*words), "labsys.toml")


def test_lab_that_is_not_there(labsys: Run, tmp_path: Path) -> None:
    refused(labsys("subject", "list", "--lab", tmp_path / "nowhere"), "nowhere")


def test_lab_of_a_newer_labsys(labsys: Run, lab: Path) -> None:
    text = (lab / "labsys.toml").read_text()
    newer = "\n".join("schema_version = 99" if w.startswith("schema_version") else w for w in text.splitlines())
    assert newer != text
    (lab / "labsys.toml").write_text(newer + "\n")
    refused(labsys("subject", "list"), "newer")


def test_take_copied_from_a_newer_labsys(labsys: Run, scene: Scene, lab: Path) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*words).code == 0
    path = lab / "subjects/S01/2026-11-22/static1/take/take.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"schema_version": 99}))
    refused(labsys("process", "S01/2026-11-22/static1"), "newer", "take.json")


def test_file_changed_after_import_is_refused(labsys: Run, scene: Scene, lab: Path) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*words).code == 0
    path = lab / "subjects/S01/2026-11-22/static1/take/pose2d/cam_1.h5"
    path.chmod(0o644)
    shutil.copyfile(scene.folder / "cam2.h5", path)
    refused(labsys("process", "S01/2026-11-22/static1"), "cam_1.h5", "changed")
