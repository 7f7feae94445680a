"""Runs of a trial: identity, resuming, stages, the static that is referred to, and death at any moment."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.formats import write_anipose
from labsys.core.cameras import Calibration
from labsys.core.clock import utc_now
from labsys.core.errors import InputError, MissingPartError
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.core.skeleton import Side
from labsys.storage.exchange.trc import write_trc
from labsys.storage.lab import Lab, create_lab, open_lab, runs_folder
from labsys.storage.results import load_trial_result
from labsys.storage.runs import current_run, list_runs, load_run
from labsys.storage.sessions import load_session, save_session
from labsys.storage.trials import load_trial, save_trial
from pipelines.config import Profile, load_config
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial
from pipelines.run_plan import plan_run
from pipelines.stages import Stage
from pipelines.stale import find_unprocessed, retire_stale_runs
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import make_trial
from pipelines.trial_inputs import HEIGHT_FACT, gather_inputs, is_outdated
from tests.test_pipelines.run_scene import (
    RUN,
    STILL,
    content,
    kill_at_random_moments,
    let_go,
    make_template,
    start_process,
    write_2d,
)

CONFIG = load_config(sets=["analyse.distal_cutoff_hz=11"])
SILENT = SilentProgress()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def lab(template: Path, tmp_path: Path) -> Lab:
    return open_lab(Path(shutil.copytree(template, tmp_path / "lab")))


@pytest.mark.slow
def test_run_is_made_once_and_refers_to_its_static(lab: Lab) -> None:
    first = run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    assert first.is_new
    assert first.static == "static1"
    made = load_run(lab, RUN, first.run).provenance
    assert made.inputs["static/static1"] == current_run(lab, STILL)
    assert made.parameters["analyse.distal_cutoff_hz"] == "11.0"
    assert any(path.startswith("take/pose2d/") for path in made.inputs)
    before = content(lab, RUN)
    second = run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    assert (second.run, second.is_new) == (first.run, False)
    assert content(lab, RUN) == before


@pytest.mark.slow
def test_other_settings_make_another_run_beside_the_first(lab: Lab) -> None:
    first = run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    other = load_config(sets=["analyse.distal_cutoff_hz=11", "analyse.proximal_cutoff_hz=6"])
    second = run_trial(lab, RUN, config=other, progress=SILENT)
    assert second.run != first.run
    assert {r.run for r in list_runs(lab, RUN)} == {first.run, second.run}
    assert current_run(lab, RUN) == second.run
    again = run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    assert (again.run, again.is_new) == (first.run, False)
    assert current_run(lab, RUN) == first.run, "what was asked for last counts"


@pytest.mark.slow
def test_processing_a_run_leaves_the_static_its_own_current_run(lab: Lab) -> None:
    own = run_trial(lab, STILL, config=load_config(Profile.POSE2SIM), progress=SILENT)
    run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    assert current_run(lab, STILL) == own.run


@pytest.mark.slow
def test_from_stage_refers_to_the_parents_files(lab: Lab) -> None:
    parent = run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    other = load_config(sets=["analyse.distal_cutoff_hz=11", "analyse.proximal_cutoff_hz=6"])
    child = run_trial(lab, RUN, config=other, from_stage=Stage.ANALYSE, progress=SILENT)
    record = load_run(lab, RUN, child.run)
    assert record.parent == parent.run
    assert dict(record.inherited) == dict.fromkeys(
        ("landmarks3d.parquet", "cameras.json", "trajectory.json"), parent.run
    )
    assert not (runs_folder(lab, RUN) / child.run / "landmarks3d.parquet").exists()
    ours, theirs = load_trial_result(lab, RUN), load_trial_result(lab, RUN, parent.run)
    np.testing.assert_array_equal(ours.landmarks.xyz_m, theirs.landmarks.xyz_m)
    assert ours.run == child.run


@pytest.mark.slow
def test_from_analyse_refuses_another_reconstruction(lab: Lab) -> None:
    run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    other = load_config(sets=["reconstruct.max_error_px=9"])
    with pytest.raises(InputError, match=r"reconstruct\.max_error_px"):
        run_trial(lab, RUN, config=other, from_stage=Stage.ANALYSE, progress=SILENT)


@pytest.mark.slow
def test_from_stage_needs_a_run_to_begin_from(lab: Lab) -> None:
    with pytest.raises(InputError, match="not processed yet"):
        run_trial(lab, RUN, config=CONFIG, from_stage=Stage.ANALYSE, progress=SILENT)


@pytest.mark.slow
def test_a_stage_that_was_finished_is_not_made_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The analysis fails once; the next attempt begins there."""
    import pipelines.run
    import pipelines.run_landmarks

    original = pipelines.run.analyse

    def fail(*_: object, **__: object) -> None:
        raise InputError("the power went")

    run_trial(lab, STILL, config=CONFIG, progress=SILENT)
    monkeypatch.setattr(pipelines.run, "analyse", fail)
    with pytest.raises(InputError, match="power"):
        run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    assert current_run(lab, RUN) is None
    monkeypatch.setattr(pipelines.run, "analyse", original)
    monkeypatch.setattr(pipelines.run_landmarks, "reconstruct_configured", fail)
    assert run_trial(lab, RUN, config=CONFIG, progress=SILENT).is_new


@pytest.mark.slow
def test_named_static_is_used_and_an_excluded_one_is_refused(lab: Lab, template: Path) -> None:
    trial = load_trial(lab, RUN)
    save_trial(lab, replace(trial, static="static1"))
    save_trial(lab, replace(load_trial(lab, STILL), excluded=True, exclusion_reason="moved"))
    with pytest.raises(InputError, match="static1 is excluded"):
        run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    save_trial(lab, replace(trial, static=""))
    assert run_trial(lab, RUN, config=CONFIG, progress=SILENT).static == "", "an excluded static is not chosen"


@pytest.mark.slow
def test_static_recorded_after_the_run_is_not_chosen(lab: Lab) -> None:
    save_trial(lab, replace(load_trial(lab, STILL), recorded_at="2026-11-22T12:00:00.000Z"))
    save_trial(lab, replace(load_trial(lab, RUN), recorded_at="2026-11-22T11:00:00.000Z"))
    assert run_trial(lab, RUN, config=CONFIG, progress=SILENT).static == ""


@pytest.mark.slow
def test_changed_facts_make_a_run_stale(lab: Lab) -> None:
    run = run_trial(lab, RUN, config=CONFIG, progress=SILENT).run
    place = (RUN.subject, RUN.session)
    assert find_unprocessed(lab, *place) == ()
    session = load_session(lab, *place)
    save_session(lab, replace(session, notes="a note changes no result"))
    assert retire_stale_runs(lab, *place) == ()
    save_session(lab, replace(session, anthropometry=replace(session.anthropometry, leg_length_m=0.9)))
    assert set(find_unprocessed(lab, *place)) == {RUN, STILL}
    assert set(retire_stale_runs(lab, *place)) == {RUN, STILL}
    assert current_run(lab, RUN) is None
    assert [r.run for r in list_runs(lab, RUN)] == [run], "the run itself stays"


@pytest.mark.slow
def test_a_body_height_that_comes_later_makes_a_run_stale(lab: Lab) -> None:
    """Stride length over height rests on it; runs of before it was kept with them stay."""
    before = gather_inputs(lab, RUN)
    plan = plan_run(lab, before, CONFIG, static_run="", from_stage=None, screening=None)
    made = plan.record(before, started_at="", seconds={}, heading_known=True, not_for_comparison=None)
    assert not is_outdated(made, before)
    session = load_session(lab, RUN.subject, RUN.session)
    save_session(lab, replace(session, anthropometry=replace(session.anthropometry, height_m=1.75)))
    after = gather_inputs(lab, RUN)
    assert is_outdated(made, after)
    assert plan_run(lab, after, CONFIG, static_run="", from_stage=None, screening=None).run != plan.run
    parameters = {k: v for k, v in made.provenance.parameters.items() if k != HEIGHT_FACT}
    assert not is_outdated(replace(made, provenance=replace(made.provenance, parameters=parameters)), after)


@pytest.mark.slow
def test_other_screening_rules_make_another_run_and_take_nothing_away(lab: Lab) -> None:
    first = run_trial(lab, RUN, config=CONFIG, progress=SILENT).run
    findings = load_trial_result(lab, RUN).motion.findings
    assert {f.id for f in findings} >= {"F1", "F1b", "F2", "F2b", *(f"F{i}" for i in range(3, 9))}
    assert {f.reason for f in findings if f.id == "F1"} == {load_few(lab)}
    assert all(f.rules == "labsys 1" for f in findings)
    rules = lab.root / "screening" / "running.yaml"
    text = (
        rules.read_text(encoding="utf-8")
        .replace("name: labsys", "name: mine")
        .replace("min_strides: 10", "min_strides: 3")
    )
    rules.write_text(text, encoding="utf-8")
    place = (RUN.subject, RUN.session)
    assert retire_stale_runs(lab, *place) == (), "findings of other rules count until the trial is processed again"
    assert find_unprocessed(lab, *place) == (RUN,)
    second = run_trial(lab, RUN, config=CONFIG, from_stage=Stage.ANALYSE, progress=SILENT).run
    assert second != first
    assert all(f.rules == "mine 1" for f in load_trial_result(lab, RUN).motion.findings)
    rules.write_text(text.replace("title: Trunk posture", "title: Weak trunk"), encoding="utf-8")
    with pytest.raises(InputError, match=r"running\.yaml"):
        run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    assert current_run(lab, RUN) == second


def load_few(lab: Lab) -> str:
    """The reason that a run of so few strides gives."""
    motion = load_trial_result(lab, RUN).motion
    counts = ", ".join(f"{motion.n_strides(s)} {s}" for s in (Side.LEFT, Side.RIGHT))
    return f"too few strides that count ({counts}); 10 per side are needed"


@pytest.mark.slow
def test_anipose_engine_agrees_on_clean_input(lab: Lab) -> None:
    run_trial(lab, STILL, config=CONFIG, progress=SILENT)
    ours = load_trial_result(lab, STILL).landmarks
    theirs_config = load_config(sets=["reconstruct.engine=anipose"])
    run_trial(lab, STILL, config=theirs_config, progress=SILENT)
    theirs = load_trial_result(lab, STILL).landmarks
    assert np.nanmedian(np.linalg.norm(ours.xyz_m - theirs.xyz_m, axis=-1)) < 0.002


def test_video_without_landmarks_says_what_is_missing(lab: Lab, tmp_path: Path) -> None:
    import cv2

    rig = make_rig(2)
    write_anipose(tmp_path / "two.toml", Calibration(rig, "test"))
    videos = {}
    for camera in rig.cameras:
        videos[camera.name] = tmp_path / f"{camera.name}.mp4"
        size = camera.intrinsics.size_px
        writer = cv2.VideoWriter(str(videos[camera.name]), cv2.VideoWriter.fourcc(*"mp4v"), 50.0, size)
        for _ in range(4):
            writer.write(np.zeros((size[1], size[0], 3), dtype=np.uint8))
        writer.release()
    name = TrialName("S01", "2026-11-22", "film")
    request = ImportRequest(name=name, kind=TrialKind.OTHER, videos=videos, calibration=tmp_path / "two.toml")
    import_trial(lab, request, progress=SILENT)
    with pytest.raises(MissingPartError, match="no 2D landmarks"):
        run_trial(lab, name, config=CONFIG, progress=SILENT)


def test_trial_without_a_recording(lab: Lab) -> None:
    from labsys.core.session import Trial
    from labsys.storage.identity import new_uuid

    name = TrialName("S01", "2026-11-22", "planned")
    save_trial(lab, Trial(new_uuid(), name, TrialKind.RUN, "2026-11-22T00:00:00.000Z"))
    with pytest.raises(InputError, match="no recording"):
        run_trial(lab, name, config=CONFIG, progress=SILENT)


@pytest.mark.slow
def test_calibration_that_was_overridden_marks_the_results(template: Path, tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab2")
    rig = make_rig(3)
    overridden = Calibration(rig, "test", override_reason="the board was bent")
    write_anipose(tmp_path / "calibration.toml", overridden)
    still = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=0.5, rate_hz=100.0)
    request = ImportRequest(
        name=STILL,
        kind=TrialKind.STATIC,
        landmarks2d=write_2d(tmp_path / "h5", still, rig),
        calibration=tmp_path / "calibration.toml",
        rate_hz=100.0,
    )
    import_trial(lab, request, progress=SILENT)
    run_trial(lab, STILL, config=CONFIG, progress=SILENT)
    reason = load_trial_result(lab, STILL).not_for_comparison
    assert reason is not None
    assert "the board was bent" in reason


def test_markers_are_their_own_reconstruction(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab2")
    still = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=0.5, rate_hz=100.0)
    write_trc(tmp_path / "still.trc", still.landmarks)
    import_trial(lab, ImportRequest(name=STILL, kind=TrialKind.STATIC, markers=tmp_path / "still.trc"), progress=SILENT)
    run_trial(lab, STILL, config=CONFIG, progress=SILENT)
    found = load_trial_result(lab, STILL)
    np.testing.assert_allclose(found.landmarks.xyz_m, still.landmarks.xyz_m, atol=1e-6)
    assert found.provenance.calibration == ""


@pytest.mark.slow
def test_killed_at_random_moments_the_same_command_gives_the_same_result(template: Path, tmp_path: Path) -> None:
    """Three moments; `make accept` tries ten."""
    kill_at_random_moments(template, tmp_path, moments=3)


@pytest.mark.slow
def test_two_processes_do_not_share_a_run(lab: Lab) -> None:
    """The second says that the first is at it, or finds the run complete; never a mixture."""
    both = [start_process(lab.root, STILL) for _ in range(2)]
    answers = [p.communicate() for p in let_go(both)]
    codes = sorted(p.returncode for p in both)
    assert codes[0] == 0
    assert codes[1] in (0, 1), answers
    assert json.loads((runs_folder(lab, STILL) / str(current_run(lab, STILL)) / "run.json").read_text())


@pytest.mark.slow
def test_a_resumed_run_tells_the_time_of_all_its_stages(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    run_trial(lab, STILL, config=CONFIG, progress=SILENT)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.run.analyse", die)
        with pytest.raises(KeyboardInterrupt):
            run_trial(lab, RUN, config=CONFIG, progress=SILENT)
    interrupted_at = utc_now()
    made = load_run(lab, RUN, run_trial(lab, RUN, config=CONFIG, progress=SILENT).run).provenance
    assert {"pose2d", "retime", "sides", "reconstruct", "analyse"} <= made.seconds.keys()
    assert made.seconds["reconstruct"] > 0.0
    assert made.started_at < interrupted_at
