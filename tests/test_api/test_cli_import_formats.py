"""`labsys import` of other programs' files: OpenPose with several people, 3D markers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration.projection import project_rig
from labsys.storage.exchange.trc import write_trc
from tests.test_api.cli_answer import Run
from tests.test_api.import_scene import (
    Scene,
    make_standing_rig,
    nothing_written,
    refused,
    static,
)


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
    xy_px = project_rig(make_standing_rig(), points)[:, camera]
    return np.concatenate([xy_px, np.full((25, 1), 0.8)], axis=1)


@pytest.mark.slow
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


def test_two_people_alike_are_undecidable(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    def people(camera: int, frame: int) -> list[np.ndarray]:
        return [_person(scene, camera, frame), _person(scene, camera, frame, shift_m=1.2)]

    words = _openpose(scene, tmp_path, people)
    answer = labsys(*static("op")[:-1], "other", *words, "--calibration", scene.calibration, "--rate-hz", 100)
    refused(answer, "people")
    nothing_written(new_lab)


def test_markers_need_a_known_unit_and_format(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    trc = tmp_path / "still.trc"
    write_trc(trc, scene.landmarks)
    wrong = tmp_path / "wrong.trc"
    wrong.write_text(trc.read_text().replace("\tmm\t", "\tm\t"))
    refused(labsys(*static(), "--markers", wrong), "wrong.trc", "m")
    (tmp_path / "marks.c3d").write_bytes(b"\x02P")
    refused(labsys(*static(), "--markers", tmp_path / "marks.c3d"), "C3D", "trc")
    nothing_written(new_lab)
    assert labsys(*static(), "--markers", trc).code == 0


def test_markers_lying_down_need_axes(labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path) -> None:
    """A file with Z up: refused until its axes are named, then the body stands."""
    swapped = scene.landmarks.with_positions(scene.landmarks.xyz_m[..., [0, 2, 1]] * np.array([1.0, -1.0, 1.0]))
    write_trc(tmp_path / "zup.trc", swapped)
    refused(labsys(*static(), "--markers", tmp_path / "zup.trc"), "upright", "--world-axes")
    nothing_written(new_lab)
    answer = labsys(*static(), "--markers", tmp_path / "zup.trc", "--world-axes", "forward=+x,up=+z")
    assert answer.code == 0, answer.err
    assert labsys("process", "S01/2026-11-22/static1").code == 0


def test_marker_map_names_unknown_landmarks_and_markers(
    labsys: Run, scene: Scene, new_lab: Path, tmp_path: Path
) -> None:
    trc = tmp_path / "still.trc"
    write_trc(trc, scene.landmarks)
    good = {n: n for n in scene.landmarks.landmarks}
    for wrong, named in (({"RASISS": "RASIS"}, "RASISS"), ({"RASIS": "RASIX"}, "RASIX")):
        mapping = {k: v for k, v in good.items() if k != "RASIS"} | wrong
        path = tmp_path / "map.yaml"
        path.write_text("".join(f"{k}: {v}\n" for k, v in mapping.items()))
        refused(labsys(*static(), "--markers", trc, "--marker-map", path), named, "RASIS")
    nothing_written(new_lab)
