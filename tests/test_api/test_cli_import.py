"""`labsys import`: what it takes, and that bad input is refused by exit code 2 with a message that names the thing."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration.formats import read_calibration, write_anipose
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.rigid import RigidTransform
from labsys.core.skeleton import mirrored_name
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from tests.test_api.cli_answer import Run
from tests.test_api.import_scene import (
    CAMERAS,
    N_FRAMES,
    SIZE,
    Scene,
    make_standing_rig,
    nothing_written,
    project_track,
    refused,
    static,
    write_video,
)


@pytest.mark.slow
def test_everything_comes_in_and_the_name_is_the_last_line(labsys: Run, scene: Scene, new_lab: Path) -> None:
    answer = labsys(*static(), *scene.landmarks2d(), *scene.videos(), "--calibration", scene.calibration)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == "S01/2026-11-22/static1"
    take = json.loads((new_lab / "subjects/S01/2026-11-22/static1/take/take.json").read_text())
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


def test_misspelt_condition_names_the_nearest(labsys: Run, scene: Scene, tmp_path: Path, new_lab: Path) -> None:
    file = tmp_path / "conditions.yaml"
    file.write_text("footware: blue shoe\n")
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--conditions", file)
    refused(answer, "footware", "footwear", str(file))
    nothing_written(new_lab)


def test_speed_in_kilometres_per_hour_is_refused(labsys: Run, scene: Scene) -> None:
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--speed-mps", 14)
    refused(answer, "speed 14 m/s")


def test_missing_camera_file(labsys: Run, scene: Scene, new_lab: Path) -> None:
    gone = scene.folder / "gone.h5"
    answer = labsys(*static(), *scene.landmarks2d(cam2=gone), "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, "cam2", str(gone))
    nothing_written(new_lab)


def test_camera_with_a_video_but_no_landmarks(labsys: Run, scene: Scene, new_lab: Path) -> None:
    some = [w for w in scene.landmarks2d() if not w.startswith("cam3")]
    answer = labsys(*static(), *some, *scene.videos(), "--calibration", scene.calibration)
    refused(answer, "cam3")
    nothing_written(new_lab)


def test_truncated_video(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    whole = (scene.folder / "cam1.mp4").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    answer = labsys(*static(), *scene.landmarks2d(), *scene.videos(cam1=cut), "--calibration", scene.calibration)
    refused(answer, str(cut))
    nothing_written(new_lab)


def test_videos_of_unequal_length_name_both_lengths(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", n_frames=N_FRAMES - 3)
    videos = scene.videos(cam1=tmp_path / "short.mp4")
    answer = labsys(*static(), *scene.landmarks2d(), *videos, "--calibration", scene.calibration)
    refused(answer, "cam_1", str(N_FRAMES), str(N_FRAMES - 3))
    nothing_written(new_lab)


def test_2d_of_unequal_length_names_both_lengths(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    write_dlc_h5(tmp_path / "short.h5", project_track(scene, 2, N_FRAMES - 7))
    answer = labsys(
        *static(), *scene.landmarks2d(cam2=tmp_path / "short.h5"), "--calibration", scene.calibration, "--rate-hz", 100
    )
    refused(answer, "cam_2", str(N_FRAMES), str(N_FRAMES - 7))
    nothing_written(new_lab)


def test_2d_of_other_videos(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    for i in range(4):
        write_dlc_h5(tmp_path / f"cam{i}.h5", project_track(scene, i, N_FRAMES - 5))
    short = {f"cam{i}": tmp_path / f"cam{i}.h5" for i in range(4)}
    answer = labsys(*static(), *scene.landmarks2d(**short), *scene.videos(), "--calibration", scene.calibration)
    refused(answer, str(N_FRAMES), str(N_FRAMES - 5))
    nothing_written(new_lab)


@pytest.mark.parametrize(("name", "nearest"), [("LHEEEL", "LHEEL"), ("nonsense", "")])
def test_unknown_landmark_names(
    labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path, name: str, nearest: str
) -> None:
    """One misspelt name would silently cost a metric; a set of strangers gives none."""
    for i in range(4):
        track = project_track(scene, i)
        if nearest:
            names = tuple(name if n == nearest else n for n in track.landmarks)
        else:
            names = tuple(f"{name}{k}" for k in range(len(track.landmarks)))
        write_dlc_h5(tmp_path / f"cam{i}.h5", replace(track, landmarks=names))
    files = {f"cam{i}": tmp_path / f"cam{i}.h5" for i in range(4)}
    answer = labsys(*static(), *scene.landmarks2d(**files), "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, name, nearest)
    nothing_written(new_lab)


def test_extra_landmark_is_kept_and_named(labsys: Run, scene: Scene, tmp_path: Path) -> None:
    for i in range(4):
        track = project_track(scene, i)
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


def test_calibration_with_other_camera_names(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    write_anipose(other, Calibration(make_standing_rig(("north", "east", "south", "west")), "test"))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", other, "--rate-hz", 100)
    refused(answer, "cam0", "north")
    nothing_written(new_lab)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(4), 2)))
def test_files_given_to_the_wrong_cameras(labsys: Run, scene: Scene, new_lab: Path, first: int, second: int) -> None:
    """Names agree, rays do not: two files exchanged, which a person in the middle of the ring nearly hides."""
    files = {f"cam{i}": scene.folder / f"cam{i}.h5" for i in range(4)}
    files[f"cam{first}"], files[f"cam{second}"] = files[f"cam{second}"], files[f"cam{first}"]
    answer = labsys(*static(), *scene.landmarks2d(**files), "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, f"cam_{first}", f"cam_{second}", "exchanged")
    nothing_written(new_lab)


@pytest.mark.parametrize(
    ("turned", "said"),
    [
        ((2, 3), "exchanged in cam_0, cam_1 or in cam_2, cam_3"),
        ((1, 3), "exchanged in cam_0, cam_2 or in cam_1, cam_3"),
    ],
)
def test_left_and_right_exchanged_in_two_cameras(
    labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path, turned: tuple[int, ...], said: str
) -> None:
    """The calibration is right: a model that calls the sides otherwise in some cameras, or mirrored pictures."""
    files = {f"cam{i}": scene.folder / f"cam{i}.h5" for i in range(4)}
    for i in turned:
        track = project_track(scene, i)
        order = [track.landmarks.index(mirrored_name(n)) for n in track.landmarks]
        files[f"cam{i}"] = tmp_path / f"cam{i}.h5"
        write_dlc_h5(files[f"cam{i}"], replace(track, xy_px=track.xy_px[:, order]))
    answer = labsys(*static(), *scene.landmarks2d(**files), "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, "left and right are", said, "the calibration itself fits")
    assert "not of these cameras" not in answer.err
    nothing_written(new_lab)


@pytest.mark.slow
def test_left_and_right_exchanged_in_one_camera_are_left_to_the_others(
    labsys: Run, scene: Scene, tmp_path: Path
) -> None:
    track = project_track(scene, 2)
    order = [track.landmarks.index(mirrored_name(n)) for n in track.landmarks]
    write_dlc_h5(tmp_path / "cam2.h5", replace(track, xy_px=track.xy_px[:, order]))
    files = scene.landmarks2d(cam2=tmp_path / "cam2.h5")
    answer = labsys(*static(), *files, "--calibration", scene.calibration, "--rate-hz", 100)
    assert answer.code == 0, answer.err
    assert labsys("process", "S01/2026-11-22/static1").code == 0
    sides = labsys("show", "S01/2026-11-22/static1", "--json").json["cameras"]["cam_2"]["sides_repaired"]
    assert sides["all"] == N_FRAMES


def test_calibration_of_another_room_under_the_same_names(
    labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    turned = make_standing_rig().cameras
    raised = tuple(
        replace(c, T_cam_lab=RigidTransform.from_rotvec([0.0, 0.0, 0.3 * i], [0, 0, 0]) @ c.T_cam_lab)
        for i, c in enumerate(turned)
    )
    write_anipose(other, Calibration(CameraRig(raised), "test"))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", other, "--rate-hz", 100)
    refused(answer, "not of these cameras", "px")
    nothing_written(new_lab)


def test_calibration_with_nan(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    broken = tmp_path / "nan.toml"
    text = scene.calibration.read_text()
    line = next(w for w in text.splitlines() if w.startswith("translation"))
    broken.write_text(text.replace(line, "translation = [nan, 0.0, 1.0]", 1))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", broken, "--rate-hz", 100)
    refused(answer, "cam_0", str(broken))
    nothing_written(new_lab)


def test_calibration_in_millimetres(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    calibration = read_calibration(scene.calibration)
    far = tuple(
        replace(c, T_cam_lab=RigidTransform(c.T_cam_lab.rotation, c.T_cam_lab.translation_m * 1000))
        for c in calibration.rig.cameras
    )
    write_anipose(tmp_path / "mm.toml", replace(calibration, rig=CameraRig(far)))
    answer = labsys(*static(), *scene.landmarks2d(), "--calibration", tmp_path / "mm.toml", "--rate-hz", 100)
    refused(answer, "millimetres", "mm.toml")
    nothing_written(new_lab)


def test_2d_in_fractions_of_the_image(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    track = project_track(scene, 1)
    write_dlc_h5(tmp_path / "fractions.h5", replace(track, xy_px=track.xy_px / np.array(SIZE)))
    files = scene.landmarks2d(cam1=tmp_path / "fractions.h5")
    answer = labsys(*static(), *files, "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, "cam_1", "pixels")
    nothing_written(new_lab)


@pytest.mark.slow
def test_wrong_video_size_and_its_acceptance(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "narrow.mp4", n_frames=N_FRAMES, size=(632, 480))
    words = [*static(), *scene.landmarks2d(), *scene.videos(cam3=tmp_path / "narrow.mp4")]
    words += ["--calibration", str(scene.calibration)]
    answer = labsys(*words)
    refused(answer, "cam_3", "632x480", "640x480", "--accept-size")
    nothing_written(new_lab)
    refused(labsys(*words, "--accept-size", "cam3=630x480"), "632x480")
    assert labsys(*words, "--accept-size", "cam3=632x480").code == 0
    trial = json.loads(labsys("trial", "show", "S01/2026-11-22/static1", "--json").out)
    assert trial["accepted_sizes"] == {"cam_3": [632, 480]}


def test_empty_2d(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    table = pd.read_hdf(scene.folder / "cam1.h5", key="df_with_missing")
    table.iloc[:0].to_csv(tmp_path / "empty.csv")
    answer = labsys(
        *static(), *scene.landmarks2d(cam1=tmp_path / "empty.csv"), "--calibration", scene.calibration, "--rate-hz", 100
    )
    refused(answer, "empty.csv")
    nothing_written(new_lab)


def test_nobody_in_the_picture(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    track = project_track(scene, 0)
    nobody = CameraTrack(track.landmarks, np.full_like(track.xy_px, np.nan), np.zeros_like(track.confidence))
    write_dlc_h5(tmp_path / "nobody.h5", nobody)
    answer = labsys(
        *static(), *scene.landmarks2d(cam0=tmp_path / "nobody.h5"), "--calibration", scene.calibration, "--rate-hz", 100
    )
    refused(answer, "cam_0", "nobody.h5")
    nothing_written(new_lab)


def test_rate_must_be_known_and_agree(labsys: Run, scene: Scene, new_lab: Path) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration]
    refused(labsys(*words), "--rate-hz")
    refused(labsys(*words, *scene.videos(), "--rate-hz", 120), "100", "120")
    nothing_written(new_lab)


def test_recording_is_written_once(labsys: Run, scene: Scene) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*words).code == 0
    refused(labsys(*words), "S01/2026-11-22/static1", "recording")


def test_import_does_not_overrule_the_session(labsys: Run, scene: Scene) -> None:
    words = [*scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*static(), *words, "--phase", "pre").code == 0
    refused(labsys(*static("static2"), *words, "--phase", "post"), "phase", "pre", "post")


def test_static_must_exist(labsys: Run, scene: Scene, new_lab: Path) -> None:
    words = [*scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100, "--static", "static9"]
    refused(labsys(*static("other1")[:-1], "other", *words), "static9")
    nothing_written(new_lab)


def test_nothing_to_import(labsys: Run, new_lab: Path) -> None:
    refused(labsys(*static()), "nothing to import")
    nothing_written(new_lab)


def test_unreadable_lab(labsys: Run, new_lab: Path, scene: Scene) -> None:
    (new_lab / "labsys.toml").write_text("this is = not [toml")
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    refused(labsys(*words), "labsys.toml")


def test_lab_that_is_not_there(labsys: Run, tmp_path: Path) -> None:
    refused(labsys("subject", "list", "--lab", tmp_path / "nowhere"), "nowhere")


def test_lab_of_a_newer_labsys(labsys: Run, new_lab: Path) -> None:
    text = (new_lab / "labsys.toml").read_text()
    newer = "\n".join("schema_version = 99" if w.startswith("schema_version") else w for w in text.splitlines())
    assert newer != text
    (new_lab / "labsys.toml").write_text(newer + "\n")
    refused(labsys("subject", "list"), "newer")


def test_take_copied_from_a_newer_labsys(labsys: Run, scene: Scene, new_lab: Path) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*words).code == 0
    path = new_lab / "subjects/S01/2026-11-22/static1/take/take.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"schema_version": 99}))
    refused(labsys("process", "S01/2026-11-22/static1"), "newer", "take.json")


def test_file_changed_after_import_is_refused(labsys: Run, scene: Scene, new_lab: Path) -> None:
    words = [*static(), *scene.landmarks2d(), "--calibration", scene.calibration, "--rate-hz", 100]
    assert labsys(*words).code == 0
    path = new_lab / "subjects/S01/2026-11-22/static1/take/pose2d/cam_1.h5"
    path.chmod(0o644)
    shutil.copyfile(scene.folder / "cam2.h5", path)
    refused(labsys("process", "S01/2026-11-22/static1"), "cam_1.h5", "changed")
