"""Laws of the recorder's files and counts: rows, packets and ticks stay in step whatever was lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labsys.capture.device import DriverError, FrameFlag, StampSource, find_flaw
from labsys.capture.losses import Window, account
from labsys.capture.part_writer import FrameQueue, PartEnd, PartWriter, StoredFrame, WriterPlan
from labsys.capture.pictures import CountedPictures, draw_test_pattern, read_jpeg_barcode
from labsys.capture.status import Count, make_numbers, map_numbers
from labsys.capture.stream import Recorded
from labsys.capture.trigger import LineTriggerBox, PulseTrain
from labsys.core.errors import InputError, NewerSchemaError
from labsys.storage.sidecar import ROW, is_bad, lost_before, pack_flags, read_sidecar, write_sidecar
from labsys.storage.video import read_pictures

PERIOD_NS = 10_000_000
PICTURES = CountedPictures(draw_test_pattern((512, 32), n_pictures=3))


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=8))
@settings(max_examples=8, deadline=None)
def test_every_number_can_be_read_from_its_picture(numbers: list[int]) -> None:
    assert [read_jpeg_barcode(PICTURES.picture(n)) for n in numbers] == numbers
    assert PICTURES.picture(numbers[0] + 65536) != b""
    assert all(len(PICTURES.picture(n)) <= PICTURES.largest_bytes for n in numbers)


def test_pictures_without_a_number_and_of_a_wrong_size() -> None:
    assert read_jpeg_barcode(b"no picture") is None
    with pytest.raises(InputError, match="carry no barcode"):
        CountedPictures([np.zeros((32, 256, 3), np.uint8)])


@pytest.mark.parametrize(
    ("picture", "flaw"),
    [
        (b"\xff\xd8abc\xff\xd9", FrameFlag.NONE),
        (b"\xff\xd8abc\xff\xd9" + bytes(100), FrameFlag.NONE),
        (b"\xff\xd8abc", FrameFlag.NO_EOI),
        (b"abc\xff\xd9", FrameFlag.TRUNCATED),
        (b"", FrameFlag.TRUNCATED),
    ],
)
def test_a_damaged_picture_is_known_by_its_ends(picture: bytes, flaw: FrameFlag) -> None:
    assert find_flaw(memoryview(picture)) == flaw


fates = st.lists(st.sampled_from("skcq"), min_size=3, max_size=120)


@given(fates, st.integers(0, 3))
@example(list("kkkkcs"), 0)
@settings(max_examples=25, deadline=None)
def test_what_is_stored_and_what_is_lost_is_all_that_was_due(letters: list[str], seed: int) -> None:
    """s stored, k lost in the kernel, c in the camera, q in the recorder's queue; the ends are told by fences."""
    letters = ["s", "s", *letters, "s", "s"]
    rng = np.random.default_rng(seed)
    rows, seq, waiting = [], 1, 0
    for tick, letter in enumerate(letters):
        t_ns = tick * PERIOD_NS + int(rng.exponential(0.02) * PERIOD_NS)
        if letter == "s":
            rows.append((seq, t_ns, 0, t_ns, 10, pack_flags(bad=0, source=0, lost_before=waiting), 0.0, 0.0))
            waiting = 0
        waiting += letter == "q"
        seq += letter != "c"
    n = len(letters)
    events = (
        {"event": "begin", "at_ns": 0, "fence": [0, -PERIOD_NS]},
        {"event": "end", "at_ns": n * PERIOD_NS, "fence": [seq, n * PERIOD_NS], "lost_in_queue": waiting},
    )
    recorded = Recorded("camA", (np.array(rows, dtype=ROW),), events, PERIOD_NS / 1e9)
    losses = account({"camA": recorded}, Window(-PERIOD_NS // 2, n * PERIOD_NS - PERIOD_NS // 2))["camA"]
    assert (losses.stored, losses.in_kernel, losses.in_camera, losses.in_recorder) == tuple(
        letters.count(letter) for letter in "skcq"
    )
    assert losses.stored + losses.lost == losses.due == n
    assert losses.ticks.tolist() == [i for i, letter in enumerate(letters) if letter == "s"]


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.02, 0.98))
@settings(max_examples=25, deadline=None)
def test_frames_that_a_full_disk_refused_are_due_however_near_to_the_edge(
    stored: int, refused: int, rest: float
) -> None:
    """The take ends `rest` of a period after the last frame that came."""
    rows = [
        (i, i * PERIOD_NS, 0, i * PERIOD_NS, 10, pack_flags(bad=0, source=0, lost_before=0), 0.0, 0.0)
        for i in range(stored)
    ]
    events = (
        {"event": "begin", "at_ns": 0, "fence": [-1, -PERIOD_NS]},
        {"event": "disk_full", "at_ns": stored * PERIOD_NS},
        {"event": "closed", "at_ns": (stored + refused) * PERIOD_NS, "lost_in_queue": 0},
        {"event": "written", "at_ns": (stored + refused) * PERIOD_NS, "stored": stored, "lost_to_disk": refused},
    )
    recorded = Recorded("camA", (np.array(rows, dtype=ROW),), events, PERIOD_NS / 1e9)
    until_ns = (stored + refused - 1) * PERIOD_NS + round(rest * PERIOD_NS)
    losses = account({"camA": recorded}, Window(-PERIOD_NS // 2, until_ns))["camA"]
    assert (losses.stored, losses.to_disk, losses.due) == (stored, refused, stored + refused)


@given(st.lists(st.sampled_from("gbe"), min_size=1, max_size=40))
@settings(max_examples=8, deadline=None)
def test_rows_and_packets_stay_in_step(tmp_path_factory: pytest.TempPathFactory, letters: list[str]) -> None:
    """g a sound frame, b a damaged one, e the end of a part."""
    folder = tmp_path_factory.mktemp("parts")
    writer, queue, counts = _writer(folder)
    for tick, letter in enumerate(letters):
        if letter == "e":
            queue.note(PartEnd())
        else:
            assert queue.offer(_frame(tick, damaged=letter == "b"))
    writer.ended = True
    writer.run()
    stored = 0
    for sidecar in sorted(folder.glob("camA.part*.fts")):
        rows = read_sidecar(sidecar)
        pictures = list(read_pictures(sidecar.with_suffix(".mkv")))
        assert [len(p) for p in pictures] == rows["bytes"].tolist()
        assert all(read_jpeg_barcode(p) is not None for p in pictures), "no damaged picture is stored"
        shown = [read_jpeg_barcode(p) for p, bad in zip(pictures, is_bad(rows), strict=True) if not bad]
        assert shown == rows["seq"][~is_bad(rows)].tolist()
        stored += rows.size
    first_sound = letters.index("g") if "g" in letters else len(letters)
    assert stored == counts[Count.STORED] == sum(letter in "gb" for letter in letters[first_sound:])


def test_a_full_queue_refuses_and_never_waits(tmp_path: Path) -> None:
    _, queue, _ = _writer(tmp_path)
    offered = [queue.offer(_frame(tick)) for tick in range(60)]
    assert offered == [True] * 50 + [False] * 10


def test_a_sidecar_that_was_cut_short_keeps_its_whole_rows(tmp_path: Path) -> None:
    rows = np.zeros(5, dtype=ROW)
    rows["seq"], rows["flags"] = np.arange(5), pack_flags(bad=1, source=int(StampSource.HOST), lost_before=70000)
    path = tmp_path / "camA.fts"
    write_sidecar(path, rows)
    assert (read_sidecar(path) == rows).all()
    assert lost_before(rows).tolist() == [65535] * 5
    path.write_bytes(path.read_bytes()[:-7])
    assert read_sidecar(path)["seq"].tolist() == [0, 1, 2, 3]
    path.write_bytes(b"something else" + bytes(100))
    with pytest.raises(InputError, match="no timestamps"):
        read_sidecar(path)
    write_sidecar(path, rows)
    content = bytearray(path.read_bytes())
    content[8] = 9
    path.write_bytes(content)
    with pytest.raises(NewerSchemaError):
        read_sidecar(path)


class ScriptedLine:
    """Answers of a trigger box, one after the other."""

    def __init__(self, *answers: object) -> None:
        self.answers = [json.dumps(a).encode() + b"\n" if not isinstance(a, bytes) else a for a in answers]
        self.sent: list[dict[str, object]] = []

    def write_line(self, line: bytes) -> None:
        self.sent.append(json.loads(line))

    def read_line(self) -> bytes:
        return self.answers.pop(0) if self.answers else b""


def test_the_trigger_box_speaks_lines() -> None:
    line = ScriptedLine({"fw": "x 1", "protocol": 1}, {"ok": True}, {"ok": True}, {"edge": 5, "t_us": 9}, {"count": 6})
    box = LineTriggerBox(line, where="port")
    box.configure(PulseTrain(100.0, 1000.0, {"camA": 2}))
    box.start()
    assert box.stop() == 6
    assert box.edges == [(5, 9)]
    assert [s["cmd"] for s in line.sent] == ["hello", "cfg", "start", "stop"]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (({"fw": "x", "protocol": 2},), "speaks protocol 2"),
        ((), "does not answer"),
        ((b"garbage\n",), "no JSON"),
        (({"error": "no pins"},), "refuses hello: no pins"),
    ],
)
def test_a_trigger_box_that_does_not_answer_as_it_should_is_refused(answers: tuple[object, ...], message: str) -> None:
    with pytest.raises(DriverError, match=message):
        LineTriggerBox(ScriptedLine(*answers), where="port")


def _writer(folder: Path) -> tuple[PartWriter, FrameQueue, memoryview]:
    make_numbers(folder / "numbers")
    counts, _ = map_numbers(folder / "numbers")
    plan = WriterPlan("camA", folder, PICTURES.size_px, 100.0, 60.0, folder / ".reserve")
    queue = FrameQueue(most_frames=50, most_bytes=1 << 30)
    return PartWriter(plan, queue, counts), queue, counts


def _frame(tick: int, *, damaged: bool = False) -> StoredFrame:
    picture = PICTURES.picture(tick)
    flags = FrameFlag.ERROR if damaged else FrameFlag.NONE
    kept = picture[: len(picture) // 2] if damaged else picture
    t_ns = 1 + tick * PERIOD_NS
    return StoredFrame(tick, t_ns, 0, t_ns, kept, StampSource.KERNEL_SOE, flags, 0, 1.0, 1.0)
