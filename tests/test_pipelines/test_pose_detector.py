"""A model with a person detector: boxes found now and then, points followed between; how public models become packs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from api.cli import main
from labsys.core.errors import InputError, LabsysError, MissingPartError
from labsys.core.landmark_contract import check_landmarks
from labsys.core.pose_model import DETECT_EVERY_FRAMES, CropMode, PoseModel
from labsys.core.progress import SilentProgress
from labsys.core.skeleton import COCO_17, Tier
from labsys.storage.atomic import hash_file
from labsys.storage.lab import Lab, create_lab
from labsys.storage.models import StoredModel, load_model, save_model, verify_model
from pipelines.dlc import DeepLabCutEstimator, open_estimator
from pipelines.pose import public
from pipelines.pose.job import BLOCK_FRAMES
from pipelines.pose.parts import PART_FRAMES
from pipelines.pose.public import SUPERANIMAL_HUMANBODY, PublicFile, PublicModel, add_public_model
from pipelines.pose.views import around, around_person, choose_person
from pipelines.pose2d import PoseEstimate, PoseVideo, estimate_pose

# As in stand_in_network.py.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
COMMAND = (sys.executable, str(Path(__file__).parent / "stand_in_network.py"))
PARTS = ("RHip", "LHip", "RKnee", "LKnee")
SIZE_PX = (128, 80)
N_FRAMES = PART_FRAMES + 30
EVERY = 16
ABSENT = range(100, 120)


def _truth(frame: int, *, crosses: bool = False) -> np.ndarray:
    """(4, 2) px: a body that walks to and fro, slowly enough to stay in its box, or runs through the whole picture."""
    x = 8 + abs(frame % 200 - 100) if crosses else 30 + abs((frame // 4) % 60 - 30)
    return np.array([[x, 20], [x + 12, 20], [x, 50], [x + 12, 50]], dtype=float)


def _draw(frame: int, bystander: bool, crosses: bool) -> np.ndarray:
    picture = np.zeros((SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)
    if frame not in ABSENT:
        for colour, (x, y) in zip(COLOURS, _truth(frame, crosses=crosses).astype(int), strict=True):
            picture[y - 2 : y + 3, x - 2 : x + 3] = colour
    if bystander and frame >= 40:
        # Smaller than the runner, and far away.
        picture[30:50, 110:120] = 255
    return picture


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., PoseVideo]:
    """Videos by whether somebody stands by, and whether the body crosses the picture."""
    folder = tmp_path_factory.mktemp("videos")

    def make(*, bystander: bool = False, crosses: bool = False) -> PoseVideo:
        path = folder / f"{bystander}-{crosses}.mkv"
        if not path.exists():
            with av.open(str(path), "w", format="matroska") as container:
                stream = container.add_stream("ffv1", rate=50)
                stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "bgr0"
                for i in range(N_FRAMES):
                    picture = av.VideoFrame.from_ndarray(_draw(i, bystander, crosses), format="rgb24")
                    container.mux(stream.encode(picture))
                container.mux(stream.encode(None))
        return PoseVideo("a", path, hash_file(path), N_FRAMES)

    return make


def _pack(lab: Lab, folder: Path, name: str = "m1", **plan: object) -> StoredModel:
    snapshot, config, detector = folder / f"{name}.pt", folder / f"{name}.yaml", folder / f"{name}.det"
    snapshot.write_text(json.dumps({**plan, "name": name}))
    config.write_text(f"metadata:\n  bodyparts: [{', '.join(PARTS)}]\n")
    detector.write_text("a detector")
    model = PoseModel(
        PARTS,
        hash_file(snapshot),
        hash_file(config),
        net_input_px=(48, 64),
        crop=CropMode.FOLLOW,
        detector_sha256=hash_file(detector),
        detect_every=EVERY,
    )
    return save_model(lab, name, model, snapshot=snapshot, config=config, detector=detector)


def _look(stored: StoredModel, video: PoseVideo, *, batch_size: int = 16) -> PoseEstimate:
    estimator = DeepLabCutEstimator(stored, stored.folder / "cache", batch_size=batch_size, command=COMMAND)
    return estimate_pose([video], estimator, afresh=True, progress=SilentProgress())


def _expected(*, crosses: bool = False) -> np.ndarray:
    truth = np.stack([_truth(i, crosses=crosses) for i in range(N_FRAMES)])
    truth[ABSENT.start : ABSENT.stop] = np.nan
    return truth


@pytest.mark.slow
def test_the_detector_looks_at_every_nth_frame_and_points_are_followed_between(
    tmp_path: Path, film: Callable[..., PoseVideo]
) -> None:
    looks = tmp_path / "looks.txt"
    stored = _pack(create_lab(tmp_path / "lab"), tmp_path, looks=str(looks))
    found = _look(stored, film())
    track = found.tracks["a"]
    assert track.n_frames == N_FRAMES
    np.testing.assert_allclose(track.xy_px, _expected(), atol=0.6)
    assert not track.confidence[ABSENT.start : ABSENT.stop].any()
    # Once every EVERY frames; once a block while nobody is there, some of them due anyway; when the subject is back.
    due = -(-N_FRAMES // EVERY)
    lost = len(ABSENT) // BLOCK_FRAMES + 1
    assert due < len(looks.read_text().splitlines()) <= due + lost
    assert found.notes == ()


@pytest.mark.slow
def test_a_body_that_crosses_the_picture_stays_in_its_box_between_looks(
    tmp_path: Path, film: Callable[..., PoseVideo]
) -> None:
    looks = tmp_path / "looks.txt"
    stored = _pack(create_lab(tmp_path / "lab"), tmp_path, looks=str(looks))
    track = _look(stored, film(crosses=True)).tracks["a"]
    np.testing.assert_allclose(track.xy_px, _expected(crosses=True), atol=0.6)
    # It is not for more looks that it is found.
    assert len(looks.read_text().splitlines()) <= -(-N_FRAMES // EVERY) + len(ABSENT) // BLOCK_FRAMES + 1


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7])
def test_nothing_hangs_on_the_batch_or_an_interruption(
    tmp_path: Path, film: Callable[..., PoseVideo], batch_size: int
) -> None:
    lab = create_lab(tmp_path / "lab")
    whole = _look(_pack(lab, tmp_path), film(bystander=True)).tracks["a"]
    dies = _pack(lab, tmp_path, "m2", die_after=PART_FRAMES + 5)
    estimator = DeepLabCutEstimator(dies, tmp_path / "cache", batch_size=batch_size, command=COMMAND)
    with pytest.raises(LabsysError, match="ended with code 7"):
        estimate_pose([film(bystander=True)], estimator, progress=SilentProgress())
    again = estimate_pose([film(bystander=True)], estimator, progress=SilentProgress()).tracks["a"]
    np.testing.assert_array_equal(again.xy_px, whole.xy_px)
    np.testing.assert_array_equal(again.confidence, whole.confidence)


@pytest.mark.slow
def test_somebody_who_stands_by_is_not_followed_and_is_told_of(tmp_path: Path, film: Callable[..., PoseVideo]) -> None:
    found = _look(_pack(create_lab(tmp_path / "lab"), tmp_path), film(bystander=True))
    track = found.tracks["a"]
    seen = np.isfinite(_expected()).all(axis=(1, 2))
    # After the subject comes back the first look may fall upon the other for one block.
    seen[ABSENT.stop : ABSENT.stop + BLOCK_FRAMES] = False
    np.testing.assert_allclose(track.xy_px[seen], _expected()[seen], atol=0.6)
    assert len(found.notes) == 1
    assert "camera a: the detector saw several people in" in found.notes[0]


def test_the_person_followed_before_goes_before_a_larger_one() -> None:
    people = np.array([[0, 0, 100, 200, 0.9], [300, 0, 340, 100, 0.7]], dtype=float)
    size_px = (48, 64)
    assert choose_person(people[:0], None) is None
    np.testing.assert_array_equal(choose_person(people, None), people[0])
    np.testing.assert_array_equal(choose_person(people, around_person(people[1, :4] + 5.0, size_px)), people[1])
    # Nobody is where the subject was: the largest is taken.
    np.testing.assert_array_equal(
        choose_person(people, around_person(np.array([600.0, 0, 640, 90]), size_px)), people[0]
    )


def test_a_narrow_runner_is_not_left_for_somebody_larger_or_nearer_the_edge_of_the_box() -> None:
    # Seen from behind: points 20 x 150 px, whose box in the network's shape is eight times as wide.
    points = np.array([[100, 40], [120, 40], [102, 110], [118, 110], [100, 190], [120, 190]], dtype=float)
    poses = np.concatenate([points, np.ones((6, 1))], axis=1)[None].repeat(BLOCK_FRAMES, axis=0)
    followed = around(poses, (192, 256))
    assert followed is not None
    runner = [95, 30, 125, 200, 0.9]
    for other in ([300, 0, 420, 300, 0.9], [130, 30, 190, 200, 0.9], [100, 100, 118, 140, 0.9], [0, 0, 400, 700, 0.9]):
        for people in ([runner, other], [other, runner]):
            np.testing.assert_array_equal(choose_person(np.array(people, dtype=float), followed), runner)


def test_looks_fall_on_blocks_and_on_the_frames_that_work_resumes_at() -> None:
    for every in DETECT_EVERY_FRAMES:
        assert every % BLOCK_FRAMES == 0
        assert PART_FRAMES % every == 0
    model = PoseModel(PARTS, "1", "2", net_input_px=(48, 64), crop=CropMode.FOLLOW)
    assert replace(model, detector_sha256="3", detect_every=16).digest != model.digest
    for wrong in ({"detect_every": 5}, {"detect_every": 16, "crop": CropMode.NONE}):
        with pytest.raises(InputError, match="detector"):
            replace(model, detector_sha256="3", **wrong)  # type: ignore[arg-type]


def test_a_detector_is_checked_like_the_other_files(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab")
    stored = _pack(lab, tmp_path)
    assert stored.detector is not None
    stored.detector.write_text("another")
    with pytest.raises(InputError, match=r"detector\.pt is not the one that model m1 was packed with"):
        verify_model(load_model(lab, "m1"))
    stored.detector.unlink()
    with pytest.raises(InputError, match=r"model m1 lacks detector\.pt"):
        verify_model(load_model(lab, "m1"))


# Public models.


def _published(folder: Path) -> PublicModel:
    """The public model with files of the tests' own, whose hashes are made known to this function's caller alone."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for role in ("pose", "detector"):
        file: PublicFile = getattr(SUPERANIMAL_HUMANBODY, role)
        (folder / file.name).write_text(f"weights of the {role}")
        made[role] = replace(file, sha256_starts=hash_file(folder / file.name)[:8])
    return replace(SUPERANIMAL_HUMANBODY, pose=made["pose"], detector=made["detector"])


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration as DeepLabCut's zoo has it."""
    path = tmp_path / "rtmpose_x.yaml"
    individuals = [f"idv{i}" for i in range(10)]
    metadata = {"bodyparts": list(SUPERANIMAL_HUMANBODY.aliases), "individuals": individuals, "project_path": "x"}
    path.write_text(yaml.safe_dump({"metadata": metadata, "method": "td"}))
    monkeypatch.setattr(public, "find_zoo_config", lambda name: path)
    return path


def test_a_public_model_becomes_a_pack_that_reaches_t0_and_says_what_will_be_missing(tmp_path: Path, zoo: Path) -> None:
    lab = create_lab(tmp_path / "lab")
    published = _published(tmp_path / "files")
    stored = add_public_model(lab, published, tmp_path / "files", detect_every=32)
    verify_model(stored)
    assert set(stored.model.landmarks) == set(COCO_17.landmarks)
    assert yaml.safe_load(stored.config.read_text())["metadata"]["individuals"] == ["subject"]
    contract = check_landmarks(stored.model.landmarks)
    assert contract.tier is Tier.T0
    assert {"hip_ext_excursion_stance", "lumbar_ext_peak", "contact_time"} <= {m.id for m in contract.missing}
    assert "T0 only" in stored.model.knows
    assert open_estimator(lab, "superanimal_humanbody").stored.model.detect_every == 32
    with pytest.raises(InputError, match="never a whole frame"):
        open_estimator(lab, "superanimal_humanbody", CropMode.NONE)
    with pytest.raises(InputError, match="superanimal_humanbody"):
        add_public_model(lab, published, tmp_path / "files")


def test_other_files_than_the_published_ones_are_refused(tmp_path: Path, zoo: Path) -> None:
    lab = create_lab(tmp_path / "lab")
    published = _published(tmp_path / "files")
    for role in (published.pose, published.detector):
        path = tmp_path / "files" / role.name
        before = path.read_text()
        path.write_text(before + "?")
        with pytest.raises(InputError, match="is not the file that was published"):
            add_public_model(lab, published, tmp_path / "files")
        path.write_text(before)
    # Production knows the detector's published hash: the tests' own file is none of its.
    with pytest.raises(InputError, match="published fb6a3cc7"):
        add_public_model(lab, SUPERANIMAL_HUMANBODY, tmp_path / "files")
    assert not list((lab.root / "models").glob("*/model.json"))


def test_the_terminal_says_which_two_files_go_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = create_lab(tmp_path / "lab")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache/labsys/models/superanimal_humanbody"
    said = _terminal(capsys, "model", "add", "superanimal_humanbody", "--lab", str(lab.root), code=2)
    for file in (SUPERANIMAL_HUMANBODY.pose, SUPERANIMAL_HUMANBODY.detector):
        assert f"{file.source} as {folder / file.name}" in said.replace("\n", " ")
    assert "--from" not in said
    # What is told works: with the files in a folder of one's own, that folder must be named again.
    elsewhere = tmp_path / "downloads"
    said = _terminal(
        capsys, "model", "add", "superanimal_humanbody", "--from", str(elsewhere), "--lab", str(lab.root), code=2
    )
    assert f"labsys model add superanimal_humanbody --from {elsewhere}" in said.replace("\n", " ")
    said = _terminal(capsys, "model", "check", "superanimal_humanbody", "--lab", str(lab.root), code=2)
    assert "labsys model add superanimal_humanbody" in said
    said = _terminal(capsys, "model", "add", "superanimal_human", "--lab", str(lab.root), code=2)
    assert "Did you mean 'superanimal_humanbody'" in said
    with pytest.raises(MissingPartError, match="is not among the lab's models"):
        open_estimator(lab, "superanimal_humanbody")
    assert "not in this lab" in _terminal(capsys, "model", "list", "--lab", str(lab.root))


def _terminal(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert left.value.code == code
    said = capsys.readouterr()
    return said.err if code else said.out
