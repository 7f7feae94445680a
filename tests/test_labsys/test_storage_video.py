"""Video in packet order: every frame once, truth from packets, damage named with counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from labsys.core.errors import InputError
from labsys.storage.video import check_video, probe_video, read_frames

N_FRAMES = 40
WIDTH, HEIGHT = 96, 64


def _picture(index: int) -> np.ndarray:
    """A picture whose brightness tells its number, with noise below so that packets are not tiny."""
    picture = np.full((HEIGHT, WIDTH, 3), 16 + 5 * index, dtype=np.uint8)
    noise = np.random.default_rng(index).integers(0, 255, (HEIGHT // 2, WIDTH, 3))
    picture[HEIGHT // 2 :] = noise
    return picture


Encoder = Callable[..., Path]


@pytest.fixture
def encode(tmp_path: Path) -> Encoder:
    def write(name: str, codec: str = "libx264", rotation_deg: int | None = None, pictures: int = N_FRAMES) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=50)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            if rotation_deg is not None:
                stream.set_display_rotation(rotation_deg)
            for i in range(pictures):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(_picture(i), format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mkv", "ffv1"), ("a.mp4", "libvpx-vp9"), ("a.mov", "mpeg4")],
)
def test_every_frame_comes_once_and_in_order(encode: Encoder, name: str, codec: str) -> None:
    path = encode(name, codec)
    info = check_video(path)
    assert (info.size_px, info.n_frames) == ((WIDTH, HEIGHT), N_FRAMES)
    assert info.rate_hz == pytest.approx(50.0, rel=1e-3)
    brightness = [float(frame[: HEIGHT // 4].mean()) for frame in read_frames(path)]
    np.testing.assert_allclose(brightness, 16 + 5 * np.arange(N_FRAMES), atol=4.9)


def test_frames_are_rgb_and_sized_as_said(encode: Encoder) -> None:
    frame = next(read_frames(encode("a.mp4")))
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert frame.dtype == np.uint8


@pytest.mark.parametrize("rotation_deg", [90, -90, 180])
def test_a_rotation_in_the_file_is_followed_as_opencv_does(encode: Encoder, rotation_deg: int) -> None:
    """2D networks read through OpenCV, so their pixels are those of the displayed picture."""
    path = encode("phone.mp4", "mpeg4", rotation_deg)
    capture = cv2.VideoCapture(str(path))
    _, expected_bgr = capture.read()
    capture.release()
    frame = next(read_frames(path))
    np.testing.assert_array_equal(frame, expected_bgr[..., ::-1])
    assert probe_video(path).size_px == (frame.shape[1], frame.shape[0])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_file_cut_short_is_refused_by_name(encode: Encoder, name: str, share: float) -> None:
    path = encode(name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError) as caught:
        check_video(path)
    assert name in str(caught.value)
    with pytest.raises(InputError):
        list(read_frames(path))


def test_a_matroska_cut_short_says_how_many_frames_are_left(encode: Encoder) -> None:
    path = encode("a.mkv")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut short: \d+ frames are there, the container announces \d+"):
        probe_video(path)


def test_damage_inside_is_found_and_counted(encode: Encoder) -> None:
    path = encode("a.mov", "mpeg4")
    content = bytearray(path.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=rf"damaged: \d+ of {N_FRAMES} frames could be read .*a\.mov"):
        check_video(path)


def test_a_wrong_frame_count_in_the_container_is_not_believed(encode: Encoder) -> None:
    """Matroska tells no frame count at all: zero there is no zero here."""
    path = encode("a.mkv")
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 0
    assert probe_video(path).n_frames == N_FRAMES


@pytest.mark.parametrize("content", [b"", b"not a video" * 100])
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cam01.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no readable video.*cam01\.mp4"):
        probe_video(path)


def test_a_missing_file_and_a_sound_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file.*gone\.mp4"):
        probe_video(tmp_path / "gone.mp4")
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match=r"holds no video.*sound\.wav"):
        probe_video(path)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(
    ("camera", "width", "codec"),
    [("cam01", 1080, "h264"), ("cam02", 1080, "vp9"), ("cam03", 1088, "h264"), ("cam04", 1088, "h264")],
)
def test_the_public_recording_has_100_frames_per_camera(public_data: Path, camera: str, width: int, codec: str) -> None:
    path = public_data / "pose2sim_balancing" / "T01_BalancingTrial" / "videos" / f"{camera}.mp4"
    info = check_video(path)
    assert (info.size_px, info.n_frames, info.codec) == ((width, 1920), 100, codec)
    assert info.rate_hz == pytest.approx(60.0, abs=0.01)


@pytest.mark.real_data
def test_a_truncated_copy_of_the_public_recording_is_refused(public_data: Path, tmp_path: Path) -> None:
    source = public_data / "pose2sim_balancing" / "T01_BalancingTrial" / "videos" / "cam02.mp4"
    path = tmp_path / "cam02.mp4"
    path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cam02\.mp4"):
        check_video(path)
