"""The demonstration without pictures: 2D landmarks that err as DeepLabCut's do, through the same import and pipeline.

The runner of the first visit lacks hip extension (a cap) and fakes it from the low back; in the second the cap is gone.
Nothing about the outcome is stored anywhere: what is printed was measured just now.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from labsys.core.progress import Progress
from labsys.core.session import Phase, TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from pipelines.config import PipelineConfig
from pipelines.demonstration.settings import SUBJECT, VISITS, DemoSettings, DemoVisit, register_runner
from pipelines.importing.synth import synthetic_requests
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial
from pipelines.synthetic.noise import NoiseModel
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from pipelines.synthetic.write import SynthOutput, write_synthetic


def synthesise_demo(lab: Lab, settings: DemoSettings, *, workplace: Path, progress: Progress) -> tuple[DemoVisit, ...]:
    """Synthesise, import and process both visits; `workplace` is a new folder for the synthetic files.

    Raises:
        InputError: settings that no runner can follow.
    """
    register_runner(lab)
    return tuple(
        _make_visit(lab, settings, phase, number, workplace=workplace / phase.value, progress=progress)
        for number, phase in enumerate(VISITS)
    )


def _make_visit(
    lab: Lab, settings: DemoSettings, phase: Phase, number: int, *, workplace: Path, progress: Progress
) -> DemoVisit:
    name = TrialName(SUBJECT, VISITS[phase], "run1")
    trial = _synthesise(settings, phase, number, workplace, progress)
    requests = synthetic_requests(
        workplace,
        name,
        conditions=lambda stated: replace(stated, footwear="demo shoe"),
        visit=settings.visit(phase),
    )
    for request in requests:
        import_trial(lab, request, progress=progress)
    run_trial(lab, name, config=PipelineConfig(), progress=progress)
    truth = {(m.id, m.side): m.mean for m in trial.metrics}
    return DemoVisit(phase, name, truth, load_trial_result(lab, name))


def _synthesise(
    settings: DemoSettings, phase: Phase, number: int, workplace: Path, progress: Progress
) -> SyntheticTrial:
    """One visit's run and static as files, seen by cameras that err as DeepLabCut does."""
    # One body in both visits, stickers placed anew in each.
    visit_seed = 2 * settings.seed + number
    progress.stage(f"synthesise the {phase} visit", 3)
    trial, static = (
        make_trial(
            settings.runner(phase),
            kind=kind,
            seconds=seconds,
            rate_hz=settings.rate_hz,
            seed=settings.seed,
            visit_seed=visit_seed,
        )
        for kind, seconds in ((TrialKind.RUN, settings.seconds), (TrialKind.STATIC, settings.static_seconds))
    )
    progress.advance(2)
    write_synthetic(
        workplace,
        trial,
        static,
        what=SynthOutput.LANDMARKS2D,
        rig=make_rig(settings.n_cameras, size_px=settings.size_px),
        noise=NoiseModel.dlc_like(),
        noise_seed=visit_seed,
    )
    progress.advance()
    return trial
