"""The real thing: DeepLabCut's own networks behind our process agree with DeepLabCut, frame by frame."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml

from labsys.core.errors import InputError, LabsysError
from labsys.core.pose_model import PoseModel
from labsys.core.progress import SilentProgress
from labsys.storage.atomic import hash_file
from labsys.storage.exchange.dlc import read_dlc
from labsys.storage.lab import create_lab
from labsys.storage.models import StoredModel, save_model
from pipelines.dlc import DeepLabCutEstimator
from pipelines.pose import public
from pipelines.pose.dlc import DeepLabCutNetwork
from pipelines.pose.lighten import lighten
from pipelines.pose.network import DeviceMemoryError
from pipelines.pose.public import SUPERANIMAL_HUMANBODY, add_public_model
from pipelines.pose2d import PoseEstimate, PoseVideo, estimate_pose, write_estimate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("deeplabcut") is None, reason="DeepLabCut is not installed (extra pose)"
    ),
    pytest.mark.timeout(1800),
]

BODYPARTS = ("RHip", "LHip", "RKnee")
TINY = Path(__file__).parent / "tiny_deeplabcut.py"
SHIPPED = Path(__file__).parents[2] / "pipelines" / "demonstration" / "rendered37"
# Two sizes, and lengths that fill no batch.
CAMERAS = {"a": ((160, 128), 21), "b": ((128, 160), 13)}
PERSON_FRAMES = 6


def _film(path: Path, size_px: tuple[int, int], n_frames: int) -> None:
    rng = np.random.default_rng(n_frames)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=50)
        stream.width, stream.height, stream.pix_fmt = *size_px, "bgr0"
        for _ in range(n_frames):
            coarse = rng.integers(0, 256, (size_px[1] // 8, size_px[0] // 8, 3), dtype=np.uint8)
            picture = coarse.repeat(8, axis=0).repeat(8, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _tiny(*arguments: object) -> str:
    command = [sys.executable, str(TINY), *(str(a) for a in arguments)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    return outcome.stdout


def _estimate(stored: StoredModel, cache: Path, videos: list[PoseVideo], batch_size: int) -> PoseEstimate:
    estimator = DeepLabCutEstimator(stored, cache, batch_size=batch_size, device="cpu")
    return estimate_pose(videos, estimator, progress=SilentProgress())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of DeepLabCut with an untrained network, two cameras' videos, and what analyze_videos found in one."""
    folder = tmp_path_factory.mktemp("dlc")
    for camera, (size_px, n_frames) in CAMERAS.items():
        _film(folder / f"{camera}.mkv", size_px, n_frames)
    _tiny("make", folder, folder / "a.mkv", *BODYPARTS)
    return folder


def _train(made: Path) -> Path:
    (train,) = made.glob("dlc/dlc-models-pytorch/*/*/train")
    return train


def _video(made: Path, camera: str) -> PoseVideo:
    path = made / f"{camera}.mkv"
    return PoseVideo(camera, path, hash_file(path), CAMERAS[camera][1])


def _store(folder: Path, snapshot: Path, config: Path, parts: tuple[str, ...] = BODYPARTS) -> StoredModel:
    model = PoseModel(parts, hash_file(snapshot), hash_file(config))
    return save_model(create_lab(folder / "lab"), "tiny", model, snapshot=snapshot, config=config)


def test_results_equal_analyze_videos_for_any_batch_and_deeplabcut_filters_and_reads_our_files(
    made: Path, tmp_path: Path
) -> None:
    stored = _store(tmp_path, _train(made) / "snapshot-001.pt", _train(made) / "pytorch_config.yaml")
    videos = [_video(made, camera) for camera in CAMERAS]
    found = {size: _estimate(stored, tmp_path / f"cache{size}", videos, size) for size in (5, 16)}

    for camera, (_, n_frames) in CAMERAS.items():
        five, sixteen = found[5].tracks[camera], found[16].tracks[camera]
        assert five.n_frames == sixteen.n_frames == n_frames
        np.testing.assert_allclose(five.xy_px, sixteen.xy_px, atol=0.001)
        np.testing.assert_allclose(five.confidence, sixteen.confidence, atol=1e-5)
    (analysed,) = (made / "dlc").glob("a*.h5")
    reference, seen = read_dlc(analysed), found[16].tracks["a"]
    believed = np.isfinite(reference.xy_px) & np.isfinite(seen.xy_px)
    assert believed.mean() > 0.9
    np.testing.assert_allclose(seen.xy_px[believed], reference.xy_px[believed], atol=0.1)
    np.testing.assert_allclose(seen.confidence, reference.confidence, atol=1e-4)

    write_estimate(tmp_path / "run", found[16])
    # DeepLabCut finds a file by the name that its own analyze_videos gives: the project's scorer.
    (made / analysed.name).write_bytes((tmp_path / "run/pose2d/a.h5").read_bytes())
    said = _tiny("read", made, made / "a.mkv").strip().splitlines()[-1]
    assert said == f"{analysed.name} 21 {analysed.stem}_filtered.h5 21 ['scorer', 'bodyparts', 'coords']"
    smooth = read_dlc(made / f"{analysed.stem}_filtered.h5")
    assert smooth.landmarks == BODYPARTS
    assert smooth.n_frames == 21


@pytest.mark.parametrize("what", ["torn", "another network", "another number of landmarks", "no configuration"])
def test_a_pack_of_another_network_than_it_says_is_refused_with_code_2(made: Path, tmp_path: Path, what: str) -> None:
    snapshot, config = tmp_path / "snapshot.pt", tmp_path / "pytorch_config.yaml"
    snapshot.write_bytes((_train(made) / "snapshot-001.pt").read_bytes())
    document = yaml.safe_load((_train(made) / "pytorch_config.yaml").read_text())
    parts = BODYPARTS
    match what:
        case "torn":
            snapshot.write_bytes(snapshot.read_bytes()[:5000])
        case "another network":
            document["model"]["backbone"]["model_name"] = "hrnet_w18"
        case "another number of landmarks":
            parts = (*BODYPARTS, "LKnee")
            document["metadata"]["bodyparts"] = list(parts)
        case _:
            del document["model"]["heads"]["bodypart"]["predictor"]
    config.write_text(yaml.safe_dump(document))
    stored = _store(tmp_path, snapshot, config, parts)
    with pytest.raises(InputError, match=r"do not make a network|finds 3 landmarks, the model has 4") as refused:
        _estimate(stored, tmp_path / "cache", [_video(made, "a")], 4)
    assert refused.value.exit_code == 2
    assert not list((tmp_path / "cache").glob("*.h5"))


def test_torch_out_of_memory_halves_the_batch() -> None:
    """The error that torch itself raises, from a network that holds three frames at once."""
    torch = pytest.importorskip("torch")

    class Runner:
        def preprocessor(self, picture: np.ndarray, context: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None], context

        def predict(self, inputs: Any) -> list[Any]:
            if len(inputs) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return [np.full((1, 3), float(i[0, 0, 0])) for i in inputs]

        def postprocessor(self, heads: list[Any], context: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            return {"bodyparts": np.stack(heads)}, context

    network = DeepLabCutNetwork(Runner(), torch, "cpu")
    pictures = [np.full((4, 4, 3), i, dtype=np.uint8) for i in range(4)]
    prepared = [network.prepare(picture) for picture in pictures]
    with pytest.raises(DeviceMemoryError, match="Tried to allocate"):
        network.predict(prepared)
    assert [answer[0, 0] for answer in network.predict(prepared[1:])] == [1.0, 2.0, 3.0]


_TOO_LARGE = """
import sys
import torch
from pipelines.pose.worker import main
def move(self, *where, **how):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
torch.nn.Module.to = move
raise SystemExit(main(sys.argv[1:]))
"""


def test_a_network_that_the_device_does_not_hold_is_no_damaged_pack(made: Path, tmp_path: Path) -> None:
    stored = _store(tmp_path, _train(made) / "snapshot-001.pt", _train(made) / "pytorch_config.yaml")
    command = (sys.executable, "-c", _TOO_LARGE)
    estimator = DeepLabCutEstimator(stored, tmp_path / "cache", device="cpu", command=command)
    with pytest.raises(LabsysError, match=r"out of memory: CUDA out of memory. Tried to allocate") as refused:
        estimate_pose([_video(made, "a")], estimator, progress=SilentProgress())
    assert "Close other programs" in refused.value.remedy


def test_a_landmark_that_weighs_more_is_followed_more_and_what_is_masked_stays_so() -> None:
    import torch
    from deeplabcut.pose_estimation_pytorch.models.criterions import WeightedMSECriterion

    from pipelines.modelling.trainer import weigh_landmarks

    torch.manual_seed(3)
    target, masked = torch.rand(2, 3, 4, 5), torch.ones(2, 3, 4, 5)
    masked[1, 2] = 0.0

    def gradient(criterion: Any) -> Any:
        output = torch.zeros(2, 3, 4, 5, requires_grad=True)
        criterion(output=output, target=target, weights=masked).backward()
        return output.grad

    plain, weighed = (
        gradient(WeightedMSECriterion()),
        gradient(weigh_landmarks(WeightedMSECriterion(), (1.0, 4.0, 1.0))),
    )
    shares = torch.tensor([0.5, 2.0, 0.5])[:, None, None]
    torch.testing.assert_close(weighed, plain * shares)
    assert (weighed[1, 2] == 0.0).all()


_BENCH = """
import benchmarks.pose as bench
bench.SIZE_PX, bench.N_FRAMES, bench.REPEATS = (160, 128), 3, 1
print(bench.measure_pose().as_document())
"""


@pytest.mark.parametrize("size", [(256, 192), (230, 166)], ids=["halves evenly", "has odd halves"])
def test_the_model_that_comes_along_answers_alike_when_it_is_made_lighter(size: tuple[int, int]) -> None:
    import torch

    from benchmarks.pose import load_plain_model

    model = load_plain_model(SHIPPED / "pytorch_config.yaml", SHIPPED / "snapshot.pt")
    pictures = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        before = model(pictures)["bodypart"]
        lighten(model)
        after = model(pictures)["bodypart"]
    assert before.keys() == after.keys() == {"heatmap", "locref"}
    for answer, was in before.items():
        assert was.abs().max() > 0.01
        assert (after[answer] - was).abs().max() < 1e-4 * was.abs().max()
    # It did become another program: nothing is normalised apart any more, and coarse layers are not blown up first.
    assert not [layer for layer in model.backbone.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    model.backbone.forward = None
    with torch.inference_mode():
        assert torch.equal(model(pictures)["bodypart"]["heatmap"], after["heatmap"])


def test_the_benchmark_of_inference_runs() -> None:
    told = subprocess.run([sys.executable, "-c", _BENCH], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    row = ast.literal_eval(told.stdout.splitlines()[-1])
    assert (row["name"], row["accuracy"]["frames"]) == ("pose_2d", 6.0)
    assert row["over_network"]["median"] > 0.0


@pytest.mark.parametrize("size", ["small"])
def test_a_public_model_agrees_with_deeplabcuts_own_code_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    judge_public_model(tmp_path, monkeypatch, size)


def judge_public_model(folder: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    """superanimal_humanbody from files to landmarks, with weights from nothing whose hashes this test makes known.

    A person 224 x 320 px fills the pictures, and with the space around them the network's 288 x 384: the detector's
    box, the crop and the answers must then be DeepLabCut's own.
    """
    path = folder / "p.mkv"
    _film(path, (224, 320), PERSON_FRAMES)
    _tiny("person", folder, path, size)
    if size == "small":
        monkeypatch.setattr(public, "find_zoo_config", lambda name: folder / "zoo.yaml")
    pose, detector = (
        replace(file, sha256_starts=hash_file(folder / file.name))
        for file in (SUPERANIMAL_HUMANBODY.pose, SUPERANIMAL_HUMANBODY.detector)
    )
    published = replace(SUPERANIMAL_HUMANBODY, pose=pose, detector=detector)
    stored = add_public_model(create_lab(folder / "lab"), published, folder, detect_every=4)
    found = _estimate(stored, folder / "cache", [PoseVideo("p", path, hash_file(path), PERSON_FRAMES)], 3)
    np.testing.assert_allclose(np.load(folder / "boxes.npy"), [[0, 0, 224, 320]] * PERSON_FRAMES, atol=1e-3)
    reference = np.load(folder / "reference.npy")
    seen = found.tracks["p"]
    assert seen.landmarks[11] == "LHip"
    np.testing.assert_allclose(seen.xy_px, reference[..., :2], atol=0.1)
    np.testing.assert_allclose(seen.confidence, np.clip(reference[..., 2], 0, 1), atol=1e-4)
    assert np.ptp(seen.xy_px, axis=0).max() > 1.0, "answers that hang on the picture"
