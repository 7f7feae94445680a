"""What a demonstration is asked for, and what comes out of each of its visits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from labsys.core.motion import TrialResult
from labsys.core.session import Anthropometry, Episode, Goal, GoalDirection, Phase, Subject, TrialKind, TrialName
from labsys.core.skeleton import Side
from labsys.core.units import radians
from labsys.storage.episodes import save_episode
from labsys.storage.identity import new_uuid
from labsys.storage.lab import Lab
from labsys.storage.subjects import save_subject
from pipelines.demonstration.recorded import RecordedTake
from pipelines.importing.request import VisitFacts
from pipelines.synthetic.anatomy import make_body
from pipelines.synthetic.gait import make_gait
from pipelines.synthetic.parameters import RunnerParameters

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
    """What a person may choose.

    Attributes:
        seconds, rate_hz, n_cameras, size_px: of the recording of the run. static_seconds: of the static trial.
        is_recorded: by the recorder from simulated cameras, in real time.
    """

    seed: int = 1
    hip_extension_cap_rad: float = radians(4.0)
    lumbar_gain: float = 0.6
    speed_mps: float = 3.0
    seconds: float = 36.0
    rate_hz: float = 100.0
    n_cameras: int = 4
    size_px: tuple[int, int] = (1280, 720)
    static_seconds: float = 5.0
    is_recorded: bool = True

    def filmed(self, *, quick: bool = False) -> DemoSettings:
        """Shorter and smaller pictures, as two processor cores draw and search them in minutes; 25 strides a side.

        Seven strides a side, those at the start and the end, never count. Quick ones are of seconds, with as many
        cameras: what shows in one picture only has no place in space.
        """
        seconds, static_seconds = (11.0, 1.5) if quick else (25.0, 3.0)
        return replace(
            self, seconds=seconds, rate_hz=60.0, n_cameras=5, size_px=(640, 480), static_seconds=static_seconds
        )

    def quick(self) -> DemoSettings:
        """Shorter, with fewer cameras, and made at once instead of recorded in real time: indicative, no verdict."""
        return replace(self, seconds=12.5, n_cameras=3, is_recorded=False)

    def runner(self, phase: Phase) -> RunnerParameters:
        """How the runner runs: in the first visit hip extension ends at a cap, and the low back makes up for it."""
        capped = phase is Phase.PRE
        return RunnerParameters(
            speed_mps=self.speed_mps,
            hip_extension_cap_rad=self.hip_extension_cap_rad if capped else None,
            lumbar_gain=self.lumbar_gain if capped else 0.0,
        )

    def visit(self, phase: Phase) -> VisitFacts:
        """What is on file for a visit."""
        body = Anthropometry(height_m=self.runner(phase).height_m)
        return VisitFacts(phase=phase, episode=EPISODE, operator="demo", anthropometry=body)


@dataclass(frozen=True, eq=False)
class DemoVisit:
    """One visit: the trial's name, its truth, what was measured of it, and its takes where they were recorded."""

    phase: Phase
    name: TrialName
    truth: Mapping[tuple[str, Side], float]
    result: TrialResult
    takes: Mapping[str, RecordedTake] = field(default_factory=dict)


def check_runner(settings: DemoSettings) -> None:
    """Refuse a runner that cannot be before there is a lab for it (InputError)."""
    for phase in VISITS:
        parameters = settings.runner(phase)
        body = make_body(parameters.height_m, parameters.anatomy, settings.seed)
        make_gait(parameters, body, kind=TrialKind.RUN, seconds=1.0, seed=settings.seed)


def register_runner(lab: Lab) -> None:
    """The demonstration's subject, and the rehab that its two visits belong to."""
    save_subject(lab, Subject(uuid=new_uuid(), code=SUBJECT, notes="synthetic runner"))
    goals = tuple(
        Goal("hip_ext_excursion_stance", side, GoalDirection.TOWARD_HIGHER, VISITS[Phase.PRE])
        for side in (Side.LEFT, Side.RIGHT)
    )
    save_episode(lab, Episode(new_uuid(), SUBJECT, EPISODE, VISITS[Phase.PRE], goals))
