"""Videos at one even rate: what another program reads, frame by frame and by seeking, against what was recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from labsys.capture.bench import run_bench
from labsys.capture.pictures import read_barcode
from labsys.capture.recorder import RecordRequest, record_take
from labsys.core.errors import InputError
from labsys.core.session import TrialName
from labsys.storage.lab import Lab, take_folder
from labsys.storage.video import read_packets
from pipelines import export_constant_rate as export_module
from pipelines.export_constant_rate import export_constant_rate, lay_on_grid
from tests.test_labsys.recorded_scene import make_trial, read_stored, rig_document, write_rig

pytestmark = pytest.mark.slow

RATE_HZ = 40.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lab, TrialName]:
    """Two freely running cameras, one of which loses frames and damages some."""
    folder = tmp_path_factory.mktemp("even")
    lab, name = make_trial(folder / "lab")
    faults = {"camB": {"phase_ms": 9, "drop_p": 0.05, "corrupt_p": 0.05}}
    rig = write_rig(folder / "rig.yaml", rig_document(fps=RATE_HZ, behaviour=faults))
    with run_bench(rig) as bench:
        record_take(RecordRequest(take_folder(lab, name), rig, 3.0), bench=bench.folder)
    return lab, name


def test_every_camera_has_as_many_frames_and_seeks_are_exact(recorded: tuple[Lab, TrialName], tmp_path: Path) -> None:
    lab, name = recorded
    files = export_constant_rate(lab, name, tmp_path / "out")
    told = json.loads(files[-1].read_text(encoding="utf-8"))
    assert [f.name for f in files] == ["camA.mp4", "camB.mp4", "README.json"]
    assert told["rate_hz"] == pytest.approx(RATE_HZ, rel=0.01)
    n_frames = told["n_frames"]
    assert n_frames == pytest.approx(3 * RATE_HZ, abs=3)
    for camera in ("camA", "camB"):
        stored, video = (
            read_stored(take_folder(lab, name), camera),
            cv2.VideoCapture(str(tmp_path / "out" / f"{camera}.mp4")),
        )
        assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == n_frames
        assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(told["rate_hz"], rel=1e-3)
        shown = []
        while (read := video.read())[0]:
            shown.append(read_barcode(np.asarray(read[1], dtype=np.uint8)))
        assert len(shown) == n_frames
        for i in (n_frames - 1, 7, n_frames // 2):
            video.set(cv2.CAP_PROP_POS_FRAMES, i)
            assert read_barcode(np.asarray(video.read()[1], dtype=np.uint8)) == shown[i], "seeking finds the same frame"
        repeated = told["cameras"][camera]["repeated"]
        own = np.delete(np.array(shown), repeated)
        assert (np.diff(own) > 0).all(), "frames that are not repeats are each a picture of its own"
        assert set(own.tolist()) <= set(stored.barcodes[~stored.bad].tolist()), (
            "damaged frames never stand for a moment"
        )
        lost = n_frames - own.size
        assert len(repeated) == lost
        assert told["cameras"][camera]["most_in_a_row"] <= len(repeated)
    assert told["cameras"]["camB"]["repeated"], "lost frames are listed"
    with pytest.raises(InputError, match="run"):
        export_constant_rate(lab, name, tmp_path / "again", run="x")


@pytest.mark.parametrize("fault", ["cut short", "damaged"])
def test_a_video_that_is_not_as_it_was_recorded_is_refused_by_name(
    recorded: tuple[Lab, TrialName], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Fewer pictures than moments, or an empty one among them, would make every later frame another moment."""
    (lab, name), out = recorded, tmp_path / "out"

    def read_other(path: Path) -> Iterator[bytes]:
        for number, picture in enumerate(read_packets(path)):
            if number >= 60 and path.stem == "camB":
                if fault == "cut short":
                    return
                picture = b""
            yield picture

    monkeypatch.setattr(export_module, "read_packets", read_other)
    told = "ends after" if fault == "cut short" else r"its picture 6\d is damaged"
    with pytest.raises(InputError, match=f"the video of camB is not as it was recorded: (it )?{told}"):
        export_constant_rate(lab, name, out)
    assert list(out.iterdir()) == []


def test_the_nearest_frame_stands_for_a_moment() -> None:
    even = np.arange(11) / 10
    late = np.delete(even, [3, 4]) + 0.02
    late[5] = np.nan
    found = lay_on_grid({"a": even, "b": late}, rate_hz=10.0)
    assert found["a"].rows.tolist() == list(range(10))
    assert not found["a"].repeated.any()
    rows = found["b"]
    assert rows.rows.size == 10, "frame i of every camera is the same moment"
    assert (np.diff(rows.rows) >= 0).all()
    assert 5 not in rows.rows, "what is no measurement stands for nothing"
    assert np.flatnonzero(rows.repeated).tolist() == [3, 4, 7]
    with pytest.raises(InputError, match="no moment in common"):
        lay_on_grid({"a": even, "b": even + 5}, rate_hz=10.0)
