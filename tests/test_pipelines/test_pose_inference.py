"""The network's process, with a stand-in for the network: as many answers as frames whatever happens."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

import pipelines.pose
from labsys.core.errors import ConcurrencyError, InputError, LabsysError, MissingPartError
from labsys.core.pose_model import CropMode, PoseModel
from labsys.core.progress import Progress, SilentProgress
from labsys.storage.atomic import hash_file
from labsys.storage.exchange.dlc import read_dlc
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, create_lab
from labsys.storage.locks import hold_lock
from labsys.storage.models import StoredModel, save_model
from pipelines.dlc import _LOOKING, DeepLabCutEstimator, open_estimator, require_deeplabcut
from pipelines.pose.parts import PART_FRAMES
from pipelines.pose2d import PoseEstimate, PoseVideo, estimate_pose

pytestmark = pytest.mark.slow

# As in stand_in_network.py.
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))
COMMAND = (sys.executable, str(Path(__file__).parent / "stand_in_network.py"))
PARTS = ("RHip", "LHip", "RKnee", "LKnee")
SILENT = SilentProgress()
# (width, height), frames and frame without anybody, by camera: unequal lengths, two sizes.
CAMERAS = {"a": ((96, 64), PART_FRAMES + 7), "b": ((96, 64), 30), "c": ((64, 96), 41)}
EMPTY_FRAME = 11


def _truth(size_px: tuple[int, int], frame: int) -> np.ndarray:
    """(4, 2) px: a small body that walks from left to right and back."""
    there = size_px[0] - 40
    x = 20 + there - abs(there - (frame // 2) % (2 * there))
    return np.array([[x, 20], [x + 8, 20], [x, 40], [x + 8, 40]], dtype=float)


def _film(path: Path, size_px: tuple[int, int], n_frames: int) -> None:
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=50)
        stream.width, stream.height, stream.pix_fmt = *size_px, "bgr0"
        for i in range(n_frames):
            picture = np.zeros((size_px[1], size_px[0], 3), dtype=np.uint8)
            for k, (x, y) in enumerate(_truth(size_px, i).astype(int)):
                if i != EMPTY_FRAME:
                    picture[y - 2 : y + 3, x - 2 : x + 3] = COLOURS[k]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> tuple[PoseVideo, ...]:
    folder = tmp_path_factory.mktemp("videos")
    made = []
    for camera, (size_px, n_frames) in CAMERAS.items():
        path = folder / f"{camera}.mkv"
        _film(path, size_px, n_frames)
        made.append(PoseVideo(camera, path, hash_file(path), n_frames))
    return tuple(made)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab")


def _pack(lab: Lab, tmp_path: Path, name: str = "m1", **changes: object) -> StoredModel:
    plan = {k: changes.pop(k) for k in ("memory", "die_after", "sizes") if k in changes}
    snapshot, config = tmp_path / f"{name}.pt", tmp_path / f"{name}.yaml"
    snapshot.write_text(json.dumps({**plan, "name": name}))
    config.write_text(f"metadata:\n  bodyparts: [{', '.join(PARTS)}]\n")
    model = PoseModel(PARTS, hash_file(snapshot), hash_file(config))
    return save_model(lab, name, replace(model, **changes), snapshot=snapshot, config=config)  # type: ignore[arg-type]


def _estimator(stored: StoredModel, lab: Lab, *, batch_size: int = 16) -> DeepLabCutEstimator:
    return DeepLabCutEstimator(stored, lab.root / "cache" / "pose2d", batch_size=batch_size, command=COMMAND)


def _check(found: PoseEstimate, within_px: float = 1e-9) -> None:
    for camera, (size_px, n_frames) in CAMERAS.items():
        track = found.tracks[camera]
        assert track.n_frames == n_frames
        truth = np.stack([_truth(size_px, i) for i in range(n_frames)])
        truth[EMPTY_FRAME] = np.nan
        np.testing.assert_allclose(track.xy_px, truth, atol=within_px)
        assert not track.confidence[EMPTY_FRAME].any()


def test_every_frame_of_every_camera_is_answered_in_its_place(
    lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]
) -> None:
    counted = _Counter()
    estimator = _estimator(_pack(lab, tmp_path), lab)
    found = estimate_pose(videos, estimator, progress=counted)
    _check(found)
    assert counted.done == {"load the model": 1, "find landmarks": sum(v.n_frames for v in videos)}
    assert found.details["cameras"]["a"]["device"] == "stand-in"


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_any_batch_gives_the_same(lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...], batch_size: int) -> None:
    sizes = tmp_path / "sizes.txt"
    stored = _pack(lab, tmp_path, sizes=str(sizes))
    _check(estimate_pose(videos, _estimator(stored, lab, batch_size=batch_size), progress=SILENT))
    counts = [int(line.split()[0]) for line in sizes.read_text().splitlines()]
    assert max(counts) == batch_size if batch_size < 64 else max(counts) > 40
    assert sum(counts) == sum(v.n_frames for v in videos)


def test_what_was_found_is_not_looked_for_again_unless_model_or_wish_changes(
    lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]
) -> None:
    sizes = tmp_path / "sizes.txt"
    estimator = _estimator(_pack(lab, tmp_path, sizes=str(sizes)), lab)
    first = estimate_pose(videos[1:], estimator, progress=SILENT)
    looked = sizes.read_text()
    again = estimate_pose(videos[1:], estimator, progress=SILENT)
    assert sizes.read_text() == looked
    assert again.details["cameras"]["b"]["from_cache"]
    for camera, track in first.tracks.items():
        np.testing.assert_array_equal(again.tracks[camera].xy_px, track.xy_px)
    estimate_pose(videos[1:2], estimator, afresh=True, progress=SILENT)
    more = sizes.read_text()
    assert len(more) > len(looked)
    other = _estimator(_pack(lab, tmp_path, "m2", aliases={"RHip": "RGT"}), lab)
    found = estimate_pose(videos[1:2], other, progress=SILENT)
    assert found.tracks["b"].landmarks[0] == "RGT"
    assert "from_cache" not in found.details["cameras"]["b"]


def test_a_damaged_entry_of_the_cache_is_not_believed(lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]) -> None:
    estimator = _estimator(_pack(lab, tmp_path), lab)
    estimate_pose(videos[1:2], estimator, progress=SILENT)
    (table,) = (lab.root / "cache/pose2d").glob("*.h5")
    table.write_bytes(table.read_bytes()[:-100])
    found = estimate_pose(videos[1:2], estimator, progress=SILENT)
    assert "from_cache" not in found.details["cameras"]["b"]
    assert read_dlc(table).n_frames == videos[1].n_frames


def test_too_little_memory_halves_the_batch_and_says_so(
    lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]
) -> None:
    found = estimate_pose(videos, _estimator(_pack(lab, tmp_path, memory=5), lab), progress=SILENT)
    _check(found)
    assert found.notes == (
        "stand-in ran out of memory; going on with 8 frames at once",
        "stand-in ran out of memory; going on with 4 frames at once",
    )
    with pytest.raises(LabsysError, match="not enough memory for a single frame"):
        estimate_pose(videos, _estimator(_pack(lab, tmp_path, "m2", memory=0), lab), progress=SILENT)


def test_interrupted_work_goes_on_where_it_was(lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]) -> None:
    sizes = tmp_path / "sizes.txt"
    dies = _estimator(_pack(lab, tmp_path, die_after=PART_FRAMES + 75, sizes=str(sizes)), lab)
    with pytest.raises(LabsysError, match="ended with code 7: last words"):
        estimate_pose(videos, dies, progress=SILENT)
    looked = sum(int(line.split()[0]) for line in sizes.read_text().splitlines())
    # The same model dies again only after as many frames more: what is left is fewer.
    _check(estimate_pose(videos, dies, progress=SILENT))
    again = sum(int(line.split()[0]) for line in sizes.read_text().splitlines()) - looked
    total = sum(v.n_frames for v in videos)
    assert again == total - PART_FRAMES - videos[1].n_frames - videos[2].n_frames
    assert not list((lab.root / "cache/pose2d").glob("*.parts"))


def test_a_torn_part_is_looked_at_again(lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]) -> None:
    dies = _estimator(_pack(lab, tmp_path, die_after=PART_FRAMES + 4), lab)
    with pytest.raises(LabsysError, match="ended with code 7"):
        estimate_pose(videos[:1], dies, progress=SILENT)
    (part,) = (lab.root / "cache/pose2d").glob("*.parts/*.npy")
    part.write_bytes(part.read_bytes()[:1000])
    with pytest.raises(LabsysError, match="ended with code 7"):
        estimate_pose(videos[:1], dies, progress=SILENT)
    assert estimate_pose(videos[:1], dies, progress=SILENT).tracks["a"].n_frames == videos[0].n_frames


def test_a_video_that_breaks_in_the_middle_is_refused_and_nothing_is_kept_as_whole(
    lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]
) -> None:
    broken = tmp_path / "broken.mkv"
    content = bytearray(videos[1].path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    broken.write_bytes(bytes(content))
    video = PoseVideo("b", broken, hash_file(broken), videos[1].n_frames)
    with pytest.raises(InputError, match=r"broken\.mkv"):
        estimate_pose([video, videos[2]], _estimator(_pack(lab, tmp_path), lab), progress=SILENT)
    assert not list((lab.root / "cache/pose2d").glob("*.h5"))


def test_a_video_of_another_length_is_refused(lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]) -> None:
    # 16 frames fill a batch exactly.
    for n_frames in (16, 29, 31):
        video = replace(videos[1], n_frames=n_frames)
        with pytest.raises(InputError, match=f"30 frames decode, the take has {n_frames}"):
            estimate_pose([video], _estimator(_pack(lab, tmp_path, f"m{n_frames}"), lab), progress=SILENT)


def test_a_box_follows_the_subject_and_nothing_hangs_on_the_batch(
    lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]
) -> None:
    sizes = tmp_path / "sizes.txt"
    stored = _pack(lab, tmp_path, net_input_px=(80, 80), crop=CropMode.FOLLOW, sizes=str(sizes))
    found = estimate_pose(videos, _estimator(stored, lab), progress=SILENT)
    _check(found, within_px=0.5)
    assert {line.split()[1] for line in sizes.read_text().splitlines()} == {"80x80"}
    for batch_size in (1, 5):
        other = estimate_pose(videos, _estimator(stored, lab, batch_size=batch_size), afresh=True, progress=SILENT)
        for camera, track in found.tracks.items():
            np.testing.assert_array_equal(other.tracks[camera].xy_px, track.xy_px)


def test_an_estimator_that_loses_a_frame_is_found_out(videos: tuple[PoseVideo, ...]) -> None:
    class Loses:
        identity, parameters = "loses", dict[str, str]()

        def estimate(self, videos: object, *, afresh: bool, progress: Progress) -> PoseEstimate:
            track = CameraTrack(("RHip",), np.zeros((29, 1, 2)), np.ones((29, 1)))
            return PoseEstimate({"b": track}, "loses")

    with pytest.raises(LabsysError, match="camera b: 30 frames went in, 29 came out"):
        estimate_pose(videos[1:2], Loses(), progress=SILENT)


def test_what_decides_what_is_found_is_in_the_caches_key() -> None:
    """Every module of pipelines.pose that the network's process loads, but for those that cannot change an answer."""
    folder, passed = Path(pipelines.pose.__file__).parent, set[str]()
    open_modules = {"worker", "dlc"}
    while open_modules:
        name = open_modules.pop()
        passed.add(name)
        source = ast.parse((folder / f"{name}.py").read_text())
        imported = {n.module for n in ast.walk(source) if isinstance(n, ast.ImportFrom) and n.module}
        open_modules |= {
            m.removeprefix("pipelines.pose.") for m in imported if m.startswith("pipelines.pose.")
        } - passed
    # These carry frames, messages and answers, unchanged; stills are never kept.
    carriers = {"ahead", "network", "parts", "shares", "stills", "worker"}
    assert {f"{name}.py" for name in passed - carriers} == set(_LOOKING)


def test_two_searches_in_one_video_at_once_are_refused(lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]) -> None:
    estimator = _estimator(_pack(lab, tmp_path), lab)
    estimate_pose(videos[1:2], estimator, progress=SILENT)
    (entry,) = (lab.root / "cache/pose2d").glob("*.h5")
    with (
        hold_lock(entry.with_suffix(".lock"), what="test"),
        pytest.raises(ConcurrencyError, match="the search in the video of b"),
    ):
        estimate_pose(videos[1:2], estimator, progress=SILENT)


def test_two_cameras_of_one_video_are_one_search(lab: Lab, tmp_path: Path, videos: tuple[PoseVideo, ...]) -> None:
    sizes = tmp_path / "sizes.txt"
    estimator = _estimator(_pack(lab, tmp_path, sizes=str(sizes)), lab)
    found = estimate_pose((videos[1], replace(videos[1], camera="twin")), estimator, progress=SILENT)
    np.testing.assert_array_equal(found.tracks["twin"].xy_px, found.tracks["b"].xy_px)
    assert sum(int(line.split()[0]) for line in sizes.read_text().splitlines()) == videos[1].n_frames


def test_the_only_model_is_taken_and_a_model_that_gives_nothing_is_refused(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match="the lab has no model to find them"):
        open_estimator(lab, "")
    _pack(lab, tmp_path)
    with pytest.raises(InputError, match="landmarks of model m1 give no measure: RHip"):
        open_estimator(lab, "")
    _pack(lab, tmp_path, "m2")
    with pytest.raises(InputError, match="several models: m1, m2"):
        open_estimator(lab, "")


def test_without_deeplabcut_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"labsys\[pose\]"):
        require_deeplabcut()


class _Counter:
    """Counts what every stage was advanced by."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self._stage = ""

    def stage(self, name: str, total: int) -> None:
        self._stage = name

    def advance(self, steps: int = 1) -> None:
        self.done[self._stage] = self.done.get(self._stage, 0) + steps
