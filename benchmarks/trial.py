"""A whole synthetic trial: through both engines to 3D, and from 2D files to stored metrics."""

from __future__ import annotations

import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import Result, error_summary, time_once
from labsys.core.cameras import Calibration
from labsys.core.landmarks import Landmarks2D, Landmarks3D
from labsys.core.progress import SilentProgress
from labsys.core.session import TrialKind, TrialName
from labsys.storage.lab import Lab, create_lab
from labsys.storage.results import load_trial_result
from pipelines.config import PipelineConfig, Rule
from pipelines.importing.request import VisitFacts
from pipelines.importing.synth import synthetic_requests
from pipelines.importing.trial import import_trial
from pipelines.reconstruct import reconstruct
from pipelines.run import run_trial
from pipelines.synthetic.noise import NoiseModel, observe
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from pipelines.synthetic.write import SynthOutput, write_synthetic

PEER = f"aniposelib {version('aniposelib')} triangulate + optim_points"
ENGINE_SECONDS, TRIAL_SECONDS, RATE_HZ, N_CAMERAS, SEED = 3.0, 8.0, 100.0, 4, 11
NOISE = NoiseModel.white(1.0, outliers=0.05, missing=0.10)
_ENGINES = {
    "labsys robust": Rule.ROBUST,
    "anipose triangulate": Rule.TRIANGULATE,
    "anipose triangulate + optim_points": Rule.OPTIM,
}


def measure_engine_trial() -> Result:
    """One running trial through `engine=labsys` and `engine=anipose`, both against truth, in 3D."""
    trial, seen, calibration = _observed_run(ENGINE_SECONDS)
    _warm_up()
    truth, seconds, errors = trial.landmarks.xyz_m, {}, {}
    for name, rule in _ENGINES.items():
        seconds[name], found = time_once(partial(_reconstruct, seen, calibration, rule))
        errors[name] = error_summary("error", found.xyz_m, truth)
    ours, *_, theirs = _ENGINES
    return Result(
        name="engine_trial",
        ours=seconds[ours],
        peer=PEER,
        theirs=seconds[theirs],
        unit="s",
        accuracy=_both_sides(errors[ours], errors[theirs]),
        details={
            "input": _describe(ENGINE_SECONDS, trial),
            "engines": [{"engine": name, "seconds": seconds[name], **errors[name]} for name in _ENGINES],
        },
    )


def measure_trial() -> Result:
    """From stored 2D to stored metrics, beside the peer's reconstruction of the same 2D alone."""
    trial, seen, calibration = _observed_run(TRIAL_SECONDS)
    with tempfile.TemporaryDirectory() as place:
        lab = create_lab(Path(place) / "lab")
        first, second = (_import(lab, trial, calibration, Path(place), name) for name in ("warm", "timed"))
        run_trial(lab, first, config=PipelineConfig(), progress=SilentProgress())
        ours_s, _ = time_once(partial(run_trial, lab, second, config=PipelineConfig(), progress=SilentProgress()))
        result = load_trial_result(lab, second)
    _warm_up()
    theirs_s, theirs = time_once(partial(_reconstruct, seen, calibration, Rule.OPTIM))
    truth = trial.landmarks.xyz_m
    stages: dict[str, Any] = dict(result.provenance.seconds)
    return Result(
        name="trial_2d_to_metrics",
        ours=ours_s,
        peer=f"{PEER} (3D alone)",
        theirs=theirs_s,
        unit="s",
        accuracy=error_summary("ours", result.landmarks.xyz_m, truth) | error_summary("theirs", theirs.xyz_m, truth),
        details={
            "input": _describe(TRIAL_SECONDS, trial),
            "ours_does": "static and run from 2D files to stored metrics, warm",
            "ours_stages_s": stages,
        },
    )


def _warm_up() -> None:
    """Let both engines compile before they are timed."""
    _, seen, calibration = _observed_run(0.1)
    for rule in _ENGINES.values():
        _reconstruct(seen, calibration, rule)


def _observed_run(seconds: float) -> tuple[SyntheticTrial, Landmarks2D, Calibration]:
    trial = make_trial(RunnerParameters(), kind=TrialKind.RUN, seconds=seconds, rate_hz=RATE_HZ, seed=SEED)
    rig = make_rig(N_CAMERAS)
    return trial, observe(trial, rig, NOISE, SEED), Calibration(rig=rig, source="synthetic")


def _import(lab: Lab, trial: SyntheticTrial, calibration: Calibration, place: Path, name: str) -> TrialName:
    static = make_trial(RunnerParameters(), kind=TrialKind.STATIC, seconds=3.0, rate_hz=RATE_HZ, seed=SEED)
    full_name = TrialName("B01", "2026-01-01", name)
    write_synthetic(
        place / name, trial, static, what=SynthOutput.LANDMARKS2D, rig=calibration.rig, noise=NOISE, noise_seed=SEED
    )
    for request in synthetic_requests(place / name, full_name, conditions=lambda stated: stated, visit=VisitFacts()):
        import_trial(lab, request, progress=SilentProgress())
    return full_name


def _reconstruct(seen: Landmarks2D, calibration: Calibration, rule: Rule) -> Landmarks3D:
    return reconstruct(seen, calibration, rule=rule, min_likelihood=0.1, max_error_px=15.0, min_cameras=2)


def _both_sides(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    sides = {"ours": ours, "theirs": theirs}
    return {key.replace("error", side): value for side, errors in sides.items() for key, value in errors.items()}


def _describe(seconds: float, trial: SyntheticTrial) -> str:
    return (
        f"synthetic runner, {N_CAMERAS} cameras, {seconds:g} s at {RATE_HZ:g} Hz, {len(trial.landmarks.landmarks)} "
        f"landmarks, white 1 px, 5 % outliers of 30-200 px, 10 % missing"
    )
