"""Every trap on the public clips, edited: each is refused from the terminal, by camera and with what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from labsys.storage.video import read_gray_frames
from tests.test_api.cli_answer import Answer, make_runner

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

BOARD = """kind: charuco
columns: 4
rows: 5
square_m: 0.054
marker_m: 0.0405
dictionary: DICT_4X4_1000
inverted: true
"""
CAMERAS = ("cam0", "cam1", "cam2", "cam3")
RATE_HZ = 6
BUMPED_AT = 28
SHORT, HALF = slice(22, 30), slice(14, 44)
Pictures = list[np.ndarray]


@dataclass(frozen=True)
class Session:
    """The public clips, their pictures, and a folder for edited ones."""

    folder: Path
    lenses: Path
    videos: Mapping[str, Path]
    pictures: Mapping[str, Pictures]

    def write(self, camera: str, name: str, pictures: Pictures, *, rate_hz: int = RATE_HZ) -> dict[str, Path]:
        """A clip of these pictures in the place of one camera's."""
        path = self.folder / f"{name}_{camera}.mp4"
        height, width = pictures[0].shape
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=rate_hz)
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 20_000_000
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return {camera: path}

    def write_all(self, name: str, edit: Callable[[str, Pictures], Pictures]) -> dict[str, Path]:
        """Clips of all cameras, edited."""
        clips: dict[str, Path] = {}
        for camera, pictures in self.pictures.items():
            clips |= self.write(camera, name, edit(camera, pictures))
        return clips


@pytest.fixture(scope="module")
def session(public_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = public_data / "charuco_b" / "calibration" / "extrinsic"
    videos = {f"cam{i}": folder / f"cam_{i}.mp4" for i in range(4)}
    pictures = {camera: list(read_gray_frames(path)) for camera, path in videos.items()}
    return Session(tmp_path_factory.mktemp("clips"), public_data / "charuco_b" / "camera_array.toml", videos, pictures)


@pytest.fixture(scope="module")
def short(session: Session) -> dict[str, Path]:
    """Eight pictures of each camera."""
    return session.write_all("short", lambda _, pictures: pictures[SHORT])


@dataclass(frozen=True)
class Trap:
    """Runs `labsys calibrate` on edited clips and looks at the refusal."""

    run: Callable[..., Answer]
    session: Session
    out: Path

    def calibrate(
        self, videos: Mapping[str, Path], *options: object, board: str = BOARD, lenses: Path | None = None
    ) -> Answer:
        """Edited clips in the place of the cameras' own."""
        self.out.mkdir()
        file = self.out / "board.yaml"
        file.write_text(board)
        clips = [f"{camera}={path}" for camera, path in ({**self.session.videos, **videos}).items()]
        words = ("calibrate", "--videos", *clips, "--board", file, "--intrinsics", lenses or self.session.lenses)
        return self.run(*words, "--out", self.out / "result", "--quiet", *options)

    def refuses(self, answer: Answer, *said: str, code: int = 2) -> None:
        """The answer names camera and remedy, in one message, and no calibration was written."""
        assert (answer.code, answer.out) == (code, "")
        for text in said:
            assert text in answer.err
        assert "Traceback" not in answer.err
        assert answer.err.count("error:") == 1
        left = {p.name for p in (self.out / "result").glob("*")}
        on_record = {"report.json", "report.html"} if code == 3 else set()  # by a gate; a calibration never is
        assert left <= on_record
        assert ("report.json" in left) == (code == 3)


@pytest.fixture
def trap(session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Trap:
    return Trap(make_runner(capsys), session, tmp_path / "work")


def shifted(picture: np.ndarray, right_px: float, down_px: float, turn_deg: float = 0.0) -> np.ndarray:
    """What the camera sees after it was bumped, about."""
    height, width = picture.shape
    M = cv2.getRotationMatrix2D((width / 2, height / 2), turn_deg, 1.0)
    M[:, 2] += [right_px, down_px]
    return np.asarray(cv2.warpAffine(picture, M, (width, height), borderMode=cv2.BORDER_REPLICATE))


# ---- the board is not what was declared, or is not seen


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (("DICT_4X4_1000", "DICT_5X5_100"), ("cam0", "markers in the video are of DICT_4X4", "Set dictionary:")),
        (
            ("rows: 5", "rows: 4"),
            ("cam0", "not 4 x 4 squares: it carries markers 8 to 9", "Set columns: 4 and rows: 5"),
        ),
        (("inverted: true", "inverted: false"), ("cam0", "printed white on black", "Set inverted: true")),
        (("square_m", "sqare_m"), ("board.yaml", "Did you mean 'square_m'?")),
    ],
    ids=["dictionary", "smaller", "inversion", "typo"],
)
def test_a_wrong_board_file(
    trap: Trap, short: dict[str, Path], declared: tuple[str, str], said: tuple[str, ...]
) -> None:
    trap.refuses(trap.calibrate(short, board=BOARD.replace(*declared)), *said)


def test_a_camera_out_of_focus_never_saw_the_board(trap: Trap, session: Session, short: dict[str, Path]) -> None:
    blurred = [cv2.GaussianBlur(p, (0, 0), 14) for p in session.pictures["cam1"][SHORT]]
    answer = trap.calibrate(short | session.write("cam1", "blurred", blurred))
    trap.refuses(answer, "camera cam1 never saw the board", "closer, brighter and less blurred", code=3)


def test_a_wrong_square_length_is_found_by_another_length(trap: Trap, session: Session) -> None:
    """Two corners of the board itself are the tape: 162 mm apart, as the calibration of the true board sees them."""
    ends = {"cam0": [], "cam2": []}
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_1000)
    detector = cv2.aruco.CharucoDetector(cv2.aruco.CharucoBoard((4, 5), 0.054, 0.0405, dictionary))
    for camera in ends:
        found, ids, _, _ = detector.detectBoard(~session.pictures[camera][24])
        at = dict(zip(np.ravel(ids).tolist(), np.reshape(found, (-1, 2)).tolist(), strict=True))
        ends[camera] = [at[1], at[10]]
    length = session.folder / "bar.yaml"
    length.write_text(f"name: bar\nlength_m: 0.162\nends_px:\n  cam0: {ends['cam0']}\n  cam2: {ends['cam2']}\n")
    wrong = BOARD.replace("0.054", "0.060").replace("0.0405", "0.045")
    answer = trap.calibrate({}, "--known-length", length, board=wrong)
    trap.refuses(answer, "bar measures 18", "instead of 162 mm", "Measure the board's squares", code=3)


# ---- pictures that are not what they should be


def test_a_mirrored_view(trap: Trap, session: Session, short: dict[str, Path]) -> None:
    flipped = [p[:, ::-1] for p in session.pictures["cam2"][SHORT]]
    answer = trap.calibrate(short | session.write("cam2", "mirrored", flipped))
    trap.refuses(answer, "camera cam2", "the image is mirrored", "Switch off mirror mode")


def test_a_mirrored_view_of_a_board_with_a_mirrored_back(trap: Trap, session: Session) -> None:
    """The front in a mirror reads as the back; only the other cameras know better."""
    flipped = session.write_all("half", lambda c, pp: [p[:, ::-1] if c == "cam2" else p for p in pp[HALF]])
    answer = trap.calibrate(flipped, board=BOARD + "mirrored_back: true\n")
    trap.refuses(answer, "camera cam2", "the image is mirrored", "Switch off mirror mode")


def test_a_mirrored_world(trap: Trap, session: Session) -> None:
    """All views mirrored fit together as well as the true ones; that nobody ever saw the front gives it away."""
    clips = session.write_all("world", lambda _, pictures: [p[:, ::-1] for p in pictures[SHORT]])
    answer = trap.calibrate(clips, board=BOARD + "mirrored_back: true\n")
    trap.refuses(answer, "camera cam0, cam1, cam2, cam3", "only from its mirrored back", "Switch off mirror mode")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda p: cv2.resize(p, (640, 360), interpolation=cv2.INTER_AREA), ("640x360", "1280x720")),
        (lambda p: p[:, 160:1120], ("960x720", "1280x720")),
        (lambda p: np.rot90(p), ("720x1280", "1280x720")),
    ],
    ids=["half", "cropped", "portrait"],
)
def test_another_resolution(
    trap: Trap,
    session: Session,
    short: dict[str, Path],
    edit: Callable[[np.ndarray], np.ndarray],
    said: tuple[str, ...],
) -> None:
    other = [edit(p) for p in session.pictures["cam3"][SHORT]]
    answer = trap.calibrate(short | session.write("cam3", "size", other))
    trap.refuses(answer, "camera cam3", "Record in the mode", *said)


def test_a_picture_upside_down(trap: Trap, session: Session) -> None:
    turned = session.write("cam3", "turned", [p[::-1, ::-1] for p in session.pictures["cam3"]])
    trap.refuses(trap.calibrate(turned), "camera cam3", "upside down", "intrinsics of this lens")


def test_another_zoom(trap: Trap, session: Session) -> None:
    zoomed = [cv2.resize(p[36:684, 64:1216], (1280, 720)) for p in session.pictures["cam3"]]
    answer = trap.calibrate(session.write("cam3", "zoomed", zoomed))
    trap.refuses(answer, "camera cam3", "px of focal length where 640 px is given", "zoom and focus")


# ---- files that are not what they should be


def test_damaged_videos(trap: Trap, session: Session) -> None:
    content = session.videos["cam2"].read_bytes()
    clip = session.folder / "damaged.mp4"
    rng = np.random.default_rng(0)
    holes = bytearray(content)
    for at in rng.integers(len(content) // 4, 3 * len(content) // 4, 4000):
        holes[at] = rng.integers(256)
    for damaged in (b"", content[: 2 * len(content) // 3], bytes(holes), content[:64] + bytes(len(content) - 64)):
        clip.write_bytes(damaged)
        answer = Trap(trap.run, session, trap.out.with_name(f"work{len(damaged)}_{sum(damaged[:5000])}")).calibrate(
            {"cam2": clip}
        )
        trap.refuses(answer, "camera cam2", "damaged.mp4", "Copy the file again")


def test_a_video_of_one_picture(trap: Trap, session: Session, short: dict[str, Path]) -> None:
    answer = trap.calibrate(short | session.write("cam2", "one", session.pictures["cam2"][20:21]))
    trap.refuses(answer, "camera cam2", "holds 1 picture(s)", "Give the whole recording")


def test_another_frame_rate(trap: Trap, session: Session, short: dict[str, Path]) -> None:
    fast = session.write("cam2", "fast", session.pictures["cam2"][SHORT], rate_hz=30)
    trap.refuses(trap.calibrate(short | fast), "cam2 has 30", "--timestamps")


@pytest.mark.parametrize("pair", [("cam2", "cam3")])
def test_swapped_files(trap: Trap, session: Session, pair: tuple[str, str]) -> None:
    a, b = pair
    answer = trap.calibrate({a: session.videos[b], b: session.videos[a]})
    trap.refuses(answer, f"camera {a}" if a in answer.err.split(":")[1] else f"camera {b}", "look swapped", a, b)


def test_one_recording_under_two_names(trap: Trap, session: Session) -> None:
    copy = session.write("cam2", "copy", session.pictures["cam1"])
    trap.refuses(trap.calibrate(copy), "camera cam2", "cam1 and cam2", "the same pictures", "its own video")


def test_a_lens_with_nan(trap: Trap, session: Session) -> None:
    lenses = session.folder / "nan.toml"
    lenses.write_text(session.lenses.read_text().replace("[[760.3305587590094", "[[nan"))
    trap.refuses(trap.calibrate({}, lenses=lenses), "camera 1", "NaN", "calibrate again")


def test_a_time_that_is_nan(trap: Trap, session: Session, short: dict[str, Path]) -> None:
    rows = [f"{camera},{k / 6 if (camera, k) != ('cam1', 7) else 'nan'}" for camera in CAMERAS for k in range(8)]
    times = session.folder / "times.csv"
    times.write_text("\n".join(["cam_id,frame_time", *rows]))
    trap.refuses(trap.calibrate(short, "--timestamps", times), "camera cam1", "'nan' is no frame time")


# ---- takes that cannot be solved, or not truly


@pytest.mark.parametrize(
    ("camera", "right_px", "down_px", "turn_deg"),
    [("cam0", 15, 8, 0), ("cam1", 6, 3, 0), ("cam2", 60, 20, 0), ("cam3", 0, 0, 2)],
)
def test_a_camera_bumped_in_the_middle(
    trap: Trap, session: Session, camera: str, right_px: float, down_px: float, turn_deg: float
) -> None:
    bumped = [
        p if k < BUMPED_AT else shifted(p, right_px, down_px, turn_deg) for k, p in enumerate(session.pictures[camera])
    ]
    answer = trap.calibrate(session.write(camera, f"bumped{right_px}", bumped))
    trap.refuses(answer, f"{camera} moved during the take", "about 4.7 s", "Fasten the camera", code=3)


@pytest.mark.parametrize("late", [3, 10])
def test_a_video_that_begins_later(trap: Trap, session: Session, late: int) -> None:
    answer = trap.calibrate(session.write("cam2", f"late{late}", session.pictures["cam2"][late:]))
    trap.refuses(answer, "camera cam2", f"cam2 runs {late * 1000 / RATE_HZ:.0f} ms ahead", "--timestamps", code=3)


def test_disconnected_cameras(trap: Trap, session: Session) -> None:
    """cam0 and cam1 see the first half, cam2 and cam3 the second."""

    def darkened(camera: str, pictures: Pictures) -> Pictures:
        return [p if (k < 28) == (camera in CAMERAS[:2]) else np.zeros_like(p) for k, p in enumerate(pictures)]

    answer = trap.calibrate(session.write_all("dark", darkened))
    trap.refuses(answer, "cam0, cam1 | cam2, cam3", "Film the board where a camera of each group sees it", code=3)


def test_too_few_poses(trap: Trap, session: Session) -> None:
    answer = trap.calibrate(session.write_all("few", lambda _, pictures: pictures[20:28]))
    trap.refuses(answer, *CAMERAS, "too few poses: only 8 instants", "Wave the board", code=3)


def test_a_board_that_is_held_still(trap: Trap, session: Session) -> None:
    answer = trap.calibrate(session.write_all("still", lambda _, pictures: [pictures[24]] * 14))
    trap.refuses(answer, *CAMERAS, "too few poses: the board was held in 1", "Move and tilt the board", code=3)


def test_one_camera_alone(trap: Trap, session: Session, short: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "board.yaml").write_text(BOARD)
    words = ("calibrate", "--videos", f"cam0={short['cam0']}", "--board", tmp_path / "board.yaml")
    answer = trap.run(*words, "--intrinsics", session.lenses, "--out", trap.out / "result", "--quiet")
    trap.refuses(answer, "camera cam0", "alone is no rig", "two cameras or more")
