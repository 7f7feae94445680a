"""What the demonstration keeps of a recorded take: rows of the frames that were stored, and the recorder's word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labsys.core.errors import InputError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import LABSYS_RUN_37
from labsys.storage.atomic import write_json_atomic
from labsys.storage.exchange.dlc import read_dlc, write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import create_lab, take_folder
from labsys.storage.sidecar import ROW, write_sidecar
from labsys.storage.takes import load_take
from pipelines.demonstration.recorded import RecordedTake, keep_stored, pick_rows
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.retime import read_clocks
from pipelines.retiming.stamps import read_stamps

STORED = {"cam0": np.array([0, 1, 2, 4, 5]), "cam1": np.array([0, 1, 2, 3, 4, 5])}


def _track(n: int) -> CameraTrack:
    """One whose x is the row, px."""
    xy_px = np.repeat(np.arange(n, dtype=np.float64)[:, None, None], 2, axis=2).repeat(37, axis=1)
    return CameraTrack(LABSYS_RUN_37.landmarks, xy_px, np.ones((n, 37)))


def _recorded(folder: Path) -> RecordedTake:
    """A take in which cam0 lost the fourth pulse."""
    take = folder / "take"
    (take / "files").mkdir(parents=True)
    (take / "raw").mkdir()
    lines = [f"{camera},{0.5 + i / 100:.9f},{i},real" for camera, ticks in STORED.items() for i in ticks]
    (take / "files" / "timestamps.csv").write_text("\n".join(["cam_id,frame_time,frame,kind", *lines, ""]))
    write_json_atomic(take / "manifest.json", {"rig": "demo"})
    write_json_atomic(take / "report.json", {"grade": "C", "verdict": "REPEAT", "reasons": ["cam0 lost 1 frame"]})
    for camera, ticks in STORED.items():
        write_sidecar(take / "raw" / f"{camera}.fts", np.zeros(ticks.size, dtype=ROW))
    return RecordedTake(take, "REPEAT (cam0 lost 1 frame)", "C", STORED, 6, 1)


@pytest.mark.slow
def test_landmarks_are_of_the_frames_that_were_stored_and_the_take_keeps_the_recorders_word(tmp_path: Path) -> None:
    part, recorded = tmp_path / "run", _recorded(tmp_path / "recorded")
    part.mkdir()
    for camera in STORED:
        write_dlc_h5(part / f"{camera}.h5", _track(8), scorer="synthetic")
    keep_stored(part, recorded)
    for camera, ticks in STORED.items():
        assert read_dlc(part / f"{camera}.h5").xy_px[:, 0, 0].tolist() == ticks.tolist()
    tracks = {camera: read_dlc(part / f"{camera}.h5") for camera in STORED}
    clocks = read_clocks(tracks, rate_hz=100.0, stamps=read_stamps(part / "timestamps.csv", STORED)).clocks
    assert [clocks[camera].n_lost for camera in STORED] == [1, 0]
    lab, name = create_lab(tmp_path / "lab", name="lab"), TrialName("D01", "2026-03-02", "run1")
    request = ImportRequest(
        name=name,
        kind=TrialKind.OTHER,
        rate_hz=100.0,
        landmarks2d={camera: part / f"{camera}.h5" for camera in STORED},
        timestamps=part / "timestamps.csv",
        recording=recorded.folder,
    )
    import_trial(lab, request, progress=SilentProgress())
    take = load_take(lab, name)
    assert {"manifest", "report", "sidecar-cam0", "sidecar-cam1", "timestamps"} == set(take.files)
    assert take.notes[-3:] == ("sync grade C", "verdict REPEAT", "cam0 lost 1 frame")
    assert take.cameras == {}
    kept = take_folder(lab, name) / take.files["manifest"].path
    assert kept.read_bytes() == (recorded.folder / "manifest.json").read_bytes()


def test_a_frame_of_a_pulse_that_nobody_ran_for_is_refused() -> None:
    with pytest.raises(InputError, match="of pulse 8, the runner ran for 8"):
        pick_rows(_track(8), np.array([0, 8]), "cam0")
    with pytest.raises(InputError, match="cam0 stored no frame"):
        pick_rows(_track(8), np.array([], dtype=np.int64), "cam0")
