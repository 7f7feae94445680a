"""The demonstration without pictures: 2D landmarks that err as DeepLabCut's do, through the same import and pipeline.

Its takes are recorded before (recorded.py): landmarks are those of the frames that the recorder stored, at the times
that it wrote. In the quick demonstration nothing is recorded, and every frame is there.

The runner of the first visit lacks hip extension (a cap) and fakes it from the low back; in the second the cap is gone.
Nothing about the outcome is stored anywhere: what is printed was measured just now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from labsys.core.progress import Progress
from labsys.core.session import Phase, TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from pipelines.config import PipelineConfig
from pipelines.demonstration.recorded import SPARE_S, RecordedTake, keep_stored, record_together
from pipelines.demonstration.settings import SUBJECT, VISITS, DemoSettings, DemoVisit, register_runner
from pipelines.importing.synth import synthetic_requests
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial
from pipelines.synthetic.noise import NoiseModel
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from pipelines.synthetic.write import SynthOutput, write_synthetic


def synthesise_demo(lab: Lab, settings: DemoSettings, *, workplace: Path, progress: Progress) -> tuple[DemoVisit, ...]:
    """Record, synthesise, import and process both visits; `workplace` is a new folder for the synthetic files.

    Raises:
        InputError: settings that no runner can follow, or the recorder cannot record.
    """
    register_runner(lab)
    takes = _record(settings, workplace / "recorded", progress) if settings.is_recorded else {}
    return tuple(
        _make_visit(lab, settings, phase, takes, workplace=workplace / phase.value, progress=progress)
        for phase in VISITS
    )


def _record(settings: DemoSettings, folder: Path, progress: Progress) -> dict[str, RecordedTake]:
    lengths_s = {"run": settings.seconds, "static": settings.static_seconds}
    return record_together(
        folder,
        {f"{phase.value}-{part}": seconds for phase in VISITS for part, seconds in lengths_s.items()},
        cameras=make_rig(settings.n_cameras).names,
        size_px=settings.size_px,
        rate_hz=settings.rate_hz,
        progress=progress,
    )


def _make_visit(
    lab: Lab,
    settings: DemoSettings,
    phase: Phase,
    takes: Mapping[str, RecordedTake],
    *,
    workplace: Path,
    progress: Progress,
) -> DemoVisit:
    name = TrialName(SUBJECT, VISITS[phase], "run1")
    trial = _synthesise(settings, phase, workplace, progress)
    mine = {part: takes[f"{phase.value}-{part}"] for part in ("static", "run") if takes}
    for part, take in mine.items():
        keep_stored(workplace / part, take)
    requests = synthetic_requests(
        workplace,
        name,
        conditions=lambda stated: replace(stated, footwear="demo shoe"),
        visit=settings.visit(phase),
    )
    recordings: list[Path | None] = [take.folder for take in mine.values()] or [None, None]
    for request, recording in zip(requests, recordings, strict=True):
        import_trial(lab, replace(request, recording=recording), progress=progress)
    run_trial(lab, name, config=PipelineConfig(), progress=progress)
    truth = {(m.id, m.side): m.mean for m in trial.metrics}
    return DemoVisit(phase, name, truth, load_trial_result(lab, name), mine)


def _synthesise(settings: DemoSettings, phase: Phase, workplace: Path, progress: Progress) -> SyntheticTrial:
    """One visit's run and static as files, seen by cameras that err as DeepLabCut does."""
    # One body in both visits, stickers placed anew in each.
    visit_seed = 2 * settings.seed + list(VISITS).index(phase)
    spare_s = SPARE_S if settings.is_recorded else 0.0
    progress.stage(f"synthesise the {phase} visit", 3)
    trial, static = (
        make_trial(
            settings.runner(phase),
            kind=kind,
            seconds=seconds + spare_s,
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
