"""The demonstration's recordings: two visits of one synthetic runner, or a public recording, brought in and processed.

The runner of the first visit lacks hip extension (a cap) and fakes it from the low back; in the second the cap is gone.
Nothing about the outcome is stored anywhere: what is printed was measured just now, through the same import and the
same pipeline as any recording, from 2D landmarks that err as DeepLabCut's do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from labsys.core.motion import TrialResult
from labsys.core.progress import Progress
from labsys.core.session import Episode, Goal, GoalDirection, Phase, Subject, TrialKind, TrialName
from labsys.core.skeleton import Side
from labsys.core.units import radians
from labsys.storage.episodes import save_episode
from labsys.storage.identity import new_uuid
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from labsys.storage.subjects import save_subject
from pipelines.config import PipelineConfig
from pipelines.importing.request import VisitFacts
from pipelines.importing.synth import synthetic_requests
from pipelines.importing.trial import import_trial
from pipelines.run import run_trial
from pipelines.synthetic.noise import NoiseModel
from pipelines.synthetic.parameters import RunnerParameters
from pipelines.synthetic.rigs import make_rig
from pipelines.synthetic.trial import SyntheticTrial, make_trial
from pipelines.synthetic.write import SynthOutput, write_synthetic

SUBJECT = "D01"
EPISODE = "demo"
VISITS = {Phase.PRE: "2026-03-02", Phase.POST: "2026-06-01"}
# What the demonstration sets truth beside measurement for: the question labsys was made for, and its company.
SHOWN = (
    "hip_ext_excursion_stance",
    "hip_ext_pelvis_peak",
    "lumbar_ext_at_peak_hip_ext",
    "pelvis_rot_rom",
    "pelvis_rot_to_ext_side_at_to",
    "trunk_lean_stance_mean",
    "trailing_limb_angle_at_to",
    "vertical_oscillation",
    "contact_time",
    "cadence",
)


@dataclass(frozen=True)
class DemoSettings:
    """What a person may choose. seconds, rate_hz, n_cameras: of the recording."""

    seed: int = 1
    hip_extension_cap_rad: float = radians(4.0)
    lumbar_gain: float = 0.6
    speed_mps: float = 3.0
    seconds: float = 36.0
    rate_hz: float = 100.0
    n_cameras: int = 4

    def quick(self) -> DemoSettings:
        """Shorter and with fewer cameras: indicative, no verdict."""
        return replace(self, seconds=12.5, n_cameras=3)


@dataclass(frozen=True, eq=False)
class DemoVisit:
    """One visit: the trial's name, its truth, and what was measured of it."""

    phase: Phase
    name: TrialName
    truth: Mapping[tuple[str, Side], float]
    result: TrialResult


def make_demo(lab: Lab, settings: DemoSettings, *, workplace: Path, progress: Progress) -> tuple[DemoVisit, ...]:
    """Synthesise, import and process both visits; `workplace` is a new folder for the synthetic files.

    Raises:
        InputError: settings that no runner can follow.
    """
    save_subject(lab, Subject(uuid=new_uuid(), code=SUBJECT, notes="synthetic runner"))
    save_episode(lab, Episode(new_uuid(), SUBJECT, EPISODE, VISITS[Phase.PRE], _goals()))
    return tuple(
        _make_visit(lab, settings, phase, number, workplace=workplace / phase.value, progress=progress)
        for number, phase in enumerate(VISITS)
    )


def _goals() -> tuple[Goal, ...]:
    return tuple(
        Goal("hip_ext_excursion_stance", side, GoalDirection.TOWARD_HIGHER, VISITS[Phase.PRE])
        for side in (Side.LEFT, Side.RIGHT)
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
        visit=VisitFacts(phase=phase, episode=EPISODE, operator="demo"),
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
    capped = phase is Phase.PRE
    parameters = RunnerParameters(
        speed_mps=settings.speed_mps,
        hip_extension_cap_rad=settings.hip_extension_cap_rad if capped else None,
        lumbar_gain=settings.lumbar_gain if capped else 0.0,
    )
    # One body in both visits, stickers placed anew in each.
    visit_seed = 2 * settings.seed + number
    progress.stage(f"synthesise the {phase} visit", 3)
    trial, static = (
        make_trial(
            parameters, kind=kind, seconds=seconds, rate_hz=settings.rate_hz, seed=settings.seed, visit_seed=visit_seed
        )
        for kind, seconds in ((TrialKind.RUN, settings.seconds), (TrialKind.STATIC, 5.0))
    )
    progress.advance(2)
    write_synthetic(
        workplace,
        trial,
        static,
        what=SynthOutput.LANDMARKS2D,
        rig=make_rig(settings.n_cameras),
        noise=NoiseModel.dlc_like(),
        noise_seed=visit_seed,
    )
    progress.advance()
    return trial
