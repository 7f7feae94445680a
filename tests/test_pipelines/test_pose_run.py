"""A trial that came as videos alone: a model finds its landmarks, the run says which, and all that follows knows."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from _pytest.capture import CaptureResult

import pipelines.run
from api.cli import main
from calibration.formats import write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration
from labsys.core.errors import InputError, LabsysError
from labsys.core.pose_model import PoseModel
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import Tier
from labsys.storage.atomic import hash_file
from labsys.storage.exchange.dlc import read_dlc
from labsys.storage.lab import Lab, create_lab, take_folder
from labsys.storage.models import save_model
from labsys.storage.results import load_trial_result
from labsys.storage.runs import list_runs, load_run, run_file
from labsys.storage.takes import load_take
from pipelines.config import PipelineConfig, load_config
from pipelines.demonstration.filmed import look_at_all
from pipelines.dlc import DeepLabCutEstimator, open_configured
from pipelines.export_anipose import export_anipose
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.pose2d import find_landmarks2d
from pipelines.run import RunOutcome, run_trial
from pipelines.stages import Stage
from pipelines.stale import find_unprocessed
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial

pytestmark = pytest.mark.slow

NAME = TrialName("S01", "2026-11-22", "static1")
LANDMARKS = ("RGT", "LGT", "RLFE", "LLFE", "RLM", "LLM", "RAC", "LAC")
# As in stand_in_network.py.
COLOURS = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255), (255, 128, 0), (0, 128, 255),
)  # fmt: skip
COMMAND = (sys.executable, str(Path(__file__).parent / "stand_in_network.py"))
RATE_HZ, SECONDS = 50.0, 0.4
# How 2D becomes 3D is of no matter here.
QUICK = ("reconstruct.rule=robust",)
RIG = make_rig(3, size_px=(640, 360))


def _film(path: Path, xy_px: np.ndarray, size_px: tuple[int, int]) -> None:
    """Coloured squares at (T, K, 2) px."""
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=round(RATE_HZ))
        stream.width, stream.height, stream.pix_fmt = *size_px, "bgr0"
        for points in xy_px:
            picture = np.zeros((size_px[1], size_px[0], 3), dtype=np.uint8)
            for (x, y), colour in zip(np.rint(points).astype(int), COLOURS, strict=True):
                picture[y - 1 : y + 2, x - 1 : x + 2] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def truth_m() -> np.ndarray:
    """(T, 8, 3) m in LAB."""
    trial = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=SECONDS, rate_hz=RATE_HZ, seed=3)
    return trial.landmarks.xyz_m[:, [trial.landmarks.index(n) for n in LANDMARKS]]


@pytest.fixture
def lab(tmp_path: Path, truth_m: np.ndarray) -> Lab:
    """A lab with a static trial as three videos, and a model that takes the place of a real one."""
    made = create_lab(tmp_path / "lab")
    write_anipose(tmp_path / "calibration.toml", Calibration(RIG, "test"))
    xy_px = project_rig(RIG, truth_m)
    videos = {camera: tmp_path / f"{camera}.mkv" for camera in RIG.names}
    for i, path in enumerate(videos.values()):
        _film(path, xy_px[:, :, i], RIG.cameras[i].intrinsics.size_px)
    request = ImportRequest(name=NAME, kind=TrialKind.STATIC, videos=videos, calibration=tmp_path / "calibration.toml")
    import_trial(made, request, progress=SilentProgress())
    _pack(made, tmp_path, "runner8")
    return made


def _pack(lab: Lab, tmp_path: Path, name: str, landmarks: tuple[str, ...] = LANDMARKS, **plan: int) -> None:
    """Body parts are the landmarks in small letters, renamed by aliases."""
    parts = tuple(n.lower() for n in landmarks)
    snapshot, config = tmp_path / f"{name}.pt", tmp_path / f"{name}.yaml"
    snapshot.write_text(json.dumps({**plan, "name": name}))
    config.write_text(f"metadata:\n  bodyparts: [{', '.join(parts)}]\n")
    aliases = dict(zip(parts, landmarks, strict=True))
    model = PoseModel(parts, hash_file(snapshot), hash_file(config), aliases=aliases, knows="coloured squares")
    save_model(lab, name, model, snapshot=snapshot, config=config)


def _open(lab: Lab, config: PipelineConfig) -> DeepLabCutEstimator:
    opened = open_configured(lab, config)
    return DeepLabCutEstimator(opened.stored, opened.cache, opened.crop, command=COMMAND)


def _run(lab: Lab, *sets: str, from_stage: Stage | None = None) -> RunOutcome:
    config = load_config(sets=(*QUICK, *sets))
    return run_trial(lab, NAME, config=config, from_stage=from_stage, progress=SilentProgress(), open_model=_open)


def test_videos_become_landmarks_and_the_run_names_its_model(lab: Lab, tmp_path: Path, truth_m: np.ndarray) -> None:
    outcome = _run(lab)
    assert outcome.is_new
    assert outcome.model.startswith("runner8 ")
    result = load_trial_result(lab, NAME)
    assert result.motion.tier is Tier.T0
    found = result.landmarks.xyz_m[:, [result.landmarks.index(n) for n in LANDMARKS]]
    # Squares lie on whole pixels (6 mm at 3.2 m), and some hide others.
    assert np.nanmedian(np.linalg.norm(found - truth_m, axis=-1)) < 0.01
    made = load_run(lab, NAME, outcome.run)
    assert made.provenance.model == outcome.model
    assert made.provenance.parameters["pose2d.model"] == "runner8"
    assert {"pose2d/cam0.h5", "pose2d/pose2d.json"} <= made.files.keys()
    told = json.loads(run_file(lab, NAME, outcome.run, "pose2d/pose2d.json").read_text())
    assert told["knows"] == "coloured squares"
    track = read_dlc(run_file(lab, NAME, outcome.run, "pose2d/cam1.h5"))
    assert track.landmarks == LANDMARKS
    assert track.n_frames == round(SECONDS * RATE_HZ)
    assert find_unprocessed(lab, NAME.subject, NAME.session) == ()
    assert not _run(lab).is_new
    written = export_anipose(lab, NAME, tmp_path / "out")
    assert read_dlc(next(p for p in written if p.name == "static1-cam2.h5")).landmarks == LANDMARKS


def test_what_was_looked_at_ahead_is_not_looked_at_again(lab: Lab) -> None:
    def open_dead(lab: Lab, config: PipelineConfig) -> DeepLabCutEstimator:
        opened = open_configured(lab, config)
        return DeepLabCutEstimator(opened.stored, opened.cache, opened.crop, command=(sys.executable, "-c", "exit(9)"))

    config = load_config(sets=QUICK)
    with pytest.raises(LabsysError, match="ended with code 9"):
        run_trial(lab, NAME, config=config, progress=SilentProgress(), open_model=open_dead)
    look_at_all(lab, [NAME], config, SilentProgress(), open_model=_open)
    assert run_trial(lab, NAME, config=config, progress=SilentProgress(), open_model=open_dead).is_new
    assert set(find_landmarks2d(lab, NAME, load_take(lab, NAME))) == set(RIG.names)


def test_another_model_or_crop_makes_another_run_and_settings_of_models_leave_imported_landmarks_alone(
    lab: Lab, tmp_path: Path
) -> None:
    first = _run(lab)
    _pack(lab, tmp_path, "other8")
    with pytest.raises(InputError, match="several models: other8, runner8"):
        _run(lab)
    second = _run(lab, "pose2d.model=other8")
    assert second.run != first.run
    assert not _run(lab, "pose2d.model=runner8").is_new
    with pytest.raises(InputError, match="no network input size"):
        _run(lab, "pose2d.model=runner8", "pose2d.crop=follow")
    assert len(list_runs(lab, NAME)) == 2


def test_from_a_stage(lab: Lab) -> None:
    first = _run(lab)
    later = _run(lab, "analyse.distal_cutoff_hz=9", from_stage=Stage.ANALYSE)
    assert load_run(lab, NAME, later.run).inherited["pose2d/cam0.h5"] == first.run
    take = load_take(lab, NAME)
    assert find_landmarks2d(lab, NAME, take)["cam0"].n_frames == round(SECONDS * RATE_HZ)
    fresh = _run(lab, from_stage=Stage.POSE2D)
    told = json.loads(run_file(lab, NAME, fresh.run, "pose2d/pose2d.json").read_text())
    assert not any(camera.get("from_cache") for camera in told["cameras"].values())
    resolved = _run(lab, from_stage=Stage.RECONSTRUCT)
    told = json.loads(run_file(lab, NAME, resolved.run, "pose2d/pose2d.json").read_text())
    assert all(camera["from_cache"] for camera in told["cameras"].values())


def test_a_changed_video_and_a_model_that_gives_nothing_are_refused(lab: Lab, tmp_path: Path) -> None:
    _pack(lab, tmp_path, "two", LANDMARKS[:2])
    with pytest.raises(InputError, match="landmarks of model two give no measure: RGT, LGT"):
        _run(lab, "pose2d.model=two")
    video = take_folder(lab, NAME) / load_take(lab, NAME).cameras["cam1"].path
    video.write_bytes(video.read_bytes()[:-50])
    with pytest.raises(InputError, match="was changed after its import"):
        _run(lab, "pose2d.model=runner8")
    assert list_runs(lab, NAME) == ()


def test_the_terminal_tells_what_will_be_missing_before_and_which_model_it_was_after(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _pack(lab, tmp_path, "small", memory=3)
    monkeypatch.setattr(pipelines.run, "run_trial", partial(run_trial, open_model=_open))
    said = _terminal(capsys, "process", str(NAME), "--model", "small", "--lab", str(lab.root), "--set", *QUICK)
    assert "8 landmarks, tier T0" in said.err
    assert "knows: coloured squares" in said.err
    assert "will be missing (needs tier T1: RHEEL, RTOE, LHEEL, LTOE missing): thigh_ext_excursion_stance" in said.err
    assert "2D by model small " in said.out
    assert "ran out of memory; going on with 2 frames at once" in said.out


def test_check_tells_contract_and_damage(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert "tier T0, 8 landmarks" in _terminal(capsys, "model", "list", "--lab", str(lab.root)).out
    told = json.loads(_terminal(capsys, "model", "check", "runner8", "--lab", str(lab.root), "--json").out)
    assert told["tier"] == "T0"
    assert "hip_ext_excursion_stance" in {m["metric"] for m in told["missing"]}
    (lab.root / "models/runner8/snapshot.pt").write_bytes(b"")
    said = _terminal(capsys, "model", "check", "runner8", "--lab", str(lab.root), code=2)
    assert "snapshot.pt is not the one that model runner8 was packed with" in said.err


def _terminal(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> CaptureResult[str]:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    assert left.value.code == code
    return capsys.readouterr()
