"""A lab with a static and a run to process, and processes that are killed while they are at it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from api.cli import main
from calibration.formats import write_anipose
from calibration.projection import project_rig
from labsys.core.cameras import Calibration, CameraRig
from labsys.core.progress import SilentProgress
from labsys.core.session import Conditions, Surface, TrialKind, TrialName
from labsys.storage.exchange.dlc import write_dlc_h5
from labsys.storage.exchange.tracks import CameraTrack
from labsys.storage.lab import Lab, create_lab, open_lab, runs_folder, trial_folder
from labsys.storage.runs import current_run, hash_file
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import import_trial
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial

RUN = TrialName("S01", "2026-11-22", "run1")
STILL = TrialName("S01", "2026-11-22", "static1")
_SETTINGS = ("--set", "analyse.distal_cutoff_hz=11")
_PROCESS = """
import sys
import api.indexing.index, pipelines.run, pipelines.run_plan
from api.cli import main
print("ready", flush=True)
sys.stdin.readline()
main(sys.argv[1:])
"""


def make_template(folder: Path) -> Path:
    """A lab with one static and one run of 6 s seen by three cameras, nothing processed; returns its root."""
    lab = create_lab(folder / "lab")
    rig = make_rig(3)
    write_anipose(folder / "calibration.toml", Calibration(rig, "test"))
    for name, kind, seconds in ((STILL, TrialKind.STATIC, 1.0), (RUN, TrialKind.RUN, 6.0)):
        trial = make_trial(RunnerParameters(), kind=kind, seconds=seconds, rate_hz=100.0, seed=3)
        treadmill = Conditions(surface=Surface.TREADMILL, speed_mps=3.0) if kind is TrialKind.RUN else Conditions()
        request = ImportRequest(
            name=name,
            kind=kind,
            conditions=treadmill,
            landmarks2d=write_2d(folder / name.trial, trial, rig),
            calibration=folder / "calibration.toml",
            rate_hz=100.0,
        )
        import_trial(lab, request, progress=SilentProgress())
    return lab.root


def write_2d(folder: Path, trial: SyntheticTrial, rig: CameraRig) -> dict[str, Path]:
    """2D landmarks of every camera with half a pixel of noise, as DeepLabCut writes them."""
    folder.mkdir()
    xy_px = project_rig(rig, trial.landmarks.xyz_m)
    files = {}
    for i, camera in enumerate(rig.cameras):
        files[camera.name] = folder / f"{camera.name}.h5"
        noisy = xy_px[:, :, i] + np.random.default_rng(i).normal(0.0, 0.5, xy_px[:, :, i].shape)
        write_dlc_h5(files[camera.name], CameraTrack(trial.landmarks.landmarks, noisy, np.full(noisy.shape[:2], 0.9)))
    return files


def content(lab: Lab, name: TrialName) -> dict[str, str]:
    """Hashes of every result file of the current run."""
    run = current_run(lab, name)
    assert run is not None
    folder = runs_folder(lab, name) / run
    return {p.name: hash_file(p) for p in sorted(folder.iterdir()) if p.name != "run.json"}


def start_process(lab_root: Path, name: TrialName = RUN) -> subprocess.Popen[str]:
    """`labsys process` in a process of its own, its imports done; it waits to be let go."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROCESS, "process", str(name), *_SETTINGS, "--lab", str(lab_root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    return process


def let_go(processes: Sequence[subprocess.Popen[str]]) -> Sequence[subprocess.Popen[str]]:
    """The same processes, all running."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return processes


def kill_at_random_moments(template: Path, folder: Path, *, moments: int) -> None:
    """Kill processes at moments spread over a run; the same command must then give the undisturbed result."""
    _process_here(Path(shutil.copytree(template, folder / "compiling")))  # so that no process has to compile
    undisturbed = open_lab(Path(shutil.copytree(template, folder / "undisturbed")))
    before = _visible(undisturbed)
    process = start_process(undisturbed.root)
    began = time.monotonic()
    let_go([process])[0].communicate()
    duration_s = time.monotonic() - began
    assert process.returncode == 0
    expected = {name: content(undisturbed, name) for name in (RUN, STILL)}
    chance = random.Random(20261122)
    killed, tried = 0, 0
    while killed < moments and tried < 3 * moments:
        lab = open_lab(Path(shutil.copytree(template, folder / f"killed{tried}")))
        process = start_process(lab.root)
        began = time.monotonic()
        let_go([process])
        try:
            process.wait((killed + chance.random()) / moments * duration_s)
            duration_s = time.monotonic() - began  # quicker than the undisturbed one: a busy machine is no clock
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        tried += 1
        _judge(lab, before, expected)
    assert killed == moments, f"{killed} of {tried} died before they were done"


def _judge(lab: Lab, before: list[str], expected: dict[TrialName, dict[str, str]]) -> None:
    if current_run(lab, RUN) is None:
        assert _visible(lab) == before, "nothing half-written is visible"
    else:
        assert content(lab, RUN) == expected[RUN], "what is visible is whole"
    _process_here(lab.root)
    assert {name: content(lab, name) for name in (RUN, STILL)} == expected
    assert not list(runs_folder(lab, RUN).glob(".work/*")), "no leftovers"


def _process_here(lab_root: Path) -> None:
    with pytest.raises(SystemExit) as left:
        main(["process", str(RUN), *_SETTINGS, "--lab", str(lab_root)])
    assert left.value.code == 0


def _visible(lab: Lab) -> list[str]:
    folder = trial_folder(lab, RUN)
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if ".work" not in p.parts and p.is_file())
