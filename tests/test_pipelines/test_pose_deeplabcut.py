"""The real thing: DeepLabCut's own network behind our process agrees with DeepLabCut, frame by frame."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from labsys.core.errors import InputError
from labsys.core.pose_model import PoseModel
from labsys.core.progress import SilentProgress
from labsys.storage.atomic import hash_file
from labsys.storage.lab import create_lab
from labsys.storage.models import StoredModel, save_model
from pipelines.dlc import DeepLabCutEstimator
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
# Two sizes, and lengths that fill no batch.
CAMERAS = {"a": ((160, 128), 21), "b": ((128, 160), 13)}


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


def test_network_process_agrees_with_deeplabcut_for_any_batch_and_deeplabcut_reads_its_files(tmp_path: Path) -> None:
    videos = []
    for camera, (size_px, n_frames) in CAMERAS.items():
        path = tmp_path / f"{camera}.mkv"
        _film(path, size_px, n_frames)
        videos.append(PoseVideo(camera, path, hash_file(path), n_frames))
    _tiny("make", tmp_path, videos[0].path, *BODYPARTS)
    reference = np.load(tmp_path / "reference.npy")
    snapshot, config = tmp_path / "snapshot.pt", tmp_path / "pytorch_config.yaml"
    model = PoseModel(BODYPARTS, hash_file(snapshot), hash_file(config))
    stored = save_model(create_lab(tmp_path / "lab"), "tiny", model, snapshot=snapshot, config=config)

    found = {size: _estimate(stored, tmp_path / f"cache{size}", videos, size) for size in (5, 16)}

    for camera, (_, n_frames) in CAMERAS.items():
        five, sixteen = found[5].tracks[camera], found[16].tracks[camera]
        assert five.n_frames == sixteen.n_frames == n_frames
        np.testing.assert_allclose(five.xy_px, sixteen.xy_px, atol=0.001)
        np.testing.assert_allclose(five.confidence, sixteen.confidence, atol=1e-5)
    seen = found[16].tracks["a"]
    believed = reference[..., 2] > 0
    np.testing.assert_allclose(seen.xy_px[believed], reference[..., :2][believed], atol=0.1)
    np.testing.assert_allclose(seen.confidence, np.clip(reference[..., 2], 0, 1), atol=1e-4)
    assert believed.any()

    write_estimate(tmp_path / "run", found[16])
    shutil.copy(tmp_path / "run/pose2d/a.h5", tmp_path / "run" / f"a{found[16].scorer}.h5")
    said = _tiny("read", tmp_path / "run", videos[0].path, found[16].scorer)
    assert said.strip().endswith(".h5 21 21 ['scorer', 'bodyparts', 'coords']")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    _film(path, *CAMERAS["a"])
    video = PoseVideo("a", path, hash_file(path), CAMERAS["a"][1])
    _tiny("make", tmp_path, path, *BODYPARTS)
    snapshot, config = tmp_path / "snapshot.pt", tmp_path / "pytorch_config.yaml"
    snapshot.write_bytes(snapshot.read_bytes()[:5000])
    model = PoseModel(BODYPARTS, hash_file(snapshot), hash_file(config))
    stored = save_model(create_lab(tmp_path / "lab"), "torn", model, snapshot=snapshot, config=config)
    with pytest.raises(InputError, match="weights and configuration do not make a network"):
        _estimate(stored, tmp_path / "cache", [video], 4)
