"""`labsys synth`: a synthetic trial with its truth."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.terminal import JsonOption, QuietOption, Terminal
from labsys.core.errors import InputError
from labsys.core.session import TrialKind

if TYPE_CHECKING:
    from labsys.core.cameras import CameraRig
    from pipelines.synthetic.noise import NoiseModel


class What(StrEnum):
    """What is written beside the truth; pictures come with a later version."""

    LANDMARKS3D = "landmarks3d"
    LANDMARKS2D = "landmarks2d"


class Noise(StrEnum):
    """How 2D landmarks err."""

    WHITE = "white"
    DLC_LIKE = "dlc_like"


def register(app: typer.Typer) -> None:
    """Add the command to the terminal."""
    app.command("synth")(synthesise)


def synthesise(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New or empty folder.")],
    what: Annotated[What, typer.Option("--what")] = What.LANDMARKS2D,
    kind: Annotated[TrialKind, typer.Option("--kind", help="run, walk or other.")] = TrialKind.RUN,
    noise_model: Annotated[Noise, typer.Option("--noise-model")] = Noise.DLC_LIKE,
    noise_px: Annotated[float, typer.Option("--noise-px", min=0.0, help="Standard deviation per axis, px.")] = 1.0,
    outliers: Annotated[float, typer.Option("--outliers", min=0.0, max=1.0, help="Share of wild points.")] = 0.0,
    missing: Annotated[float, typer.Option("--missing", min=0.0, max=1.0, help="Share of missing points.")] = 0.0,
    seconds: Annotated[float, typer.Option("--seconds", min=1.0)] = 20.0,
    rate_hz: Annotated[float, typer.Option("--rate-hz", min=10.0)] = 100.0,
    cameras: Annotated[int | None, typer.Option("--cameras", help="Cameras around the belt; 4 if not given.")] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="Look through these cameras instead.")
    ] = None,
    speed_mps: Annotated[float | None, typer.Option("--speed-mps", help="3.0 running, 1.3 walking.")] = None,
    hip_extension_cap_deg: Annotated[float | None, typer.Option("--hip-extension-cap-deg")] = None,
    lumbar_gain: Annotated[float, typer.Option("--lumbar-gain", min=0.0, max=1.0)] = 0.0,
    free_running: Annotated[
        bool,
        typer.Option(
            "--free-running", help="Cameras with clocks of their own (50 ppm, stamps 1 ms late, 1 % of frames lost)."
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a synthetic trial with truth.json (shape of 'labsys show --json') and a static trial beside it.

    \b
    Example: labsys synth --out synth1 --speed-mps 3.0 --hip-extension-cap-deg 5 --lumbar-gain 0.5 --seed 7
    Then: labsys import --from-synth synth1 --subject S01 --session 2026-11-22 --trial run1
    """
    from pipelines.synthetic.parameters import RunnerParameters
    from pipelines.synthetic.rigs import ClockModel
    from pipelines.synthetic.trial import make_trial
    from pipelines.synthetic.write import FreeRunning, SynthOutput, write_synthetic

    terminal = Terminal(None, as_json, quiet)
    if kind is TrialKind.STATIC:
        raise InputError("a static trial comes with every synthetic trial", remedy="Use --kind run, walk or other")
    if what is What.LANDMARKS3D and (cameras or calibration):
        raise InputError("3D landmarks need no cameras", remedy="Leave --cameras and --calibration out")
    if what is What.LANDMARKS3D and free_running:
        raise InputError("3D landmarks need no cameras", remedy="Leave --free-running out")
    posed_hz = rate_hz * math.ceil(_FINE_HZ / rate_hz) if free_running else rate_hz
    clock = ClockModel(ppm_sd=50.0, jitter_s=0.0, drop_probability=0.01, stamp_jitter_s=0.001)
    speed = speed_mps if speed_mps is not None else (1.3 if kind is TrialKind.WALK else 3.0)
    cap = None if hip_extension_cap_deg is None else math.radians(hip_extension_cap_deg)
    parameters = RunnerParameters(speed_mps=speed, hip_extension_cap_rad=cap, lumbar_gain=lumbar_gain)
    with terminal.progress() as progress:
        progress.stage("pose the runner", 2)
        trial = make_trial(parameters, kind=kind, seconds=seconds, rate_hz=posed_hz, seed=seed, visit_seed=seed)
        progress.advance()
        static = make_trial(
            parameters, kind=TrialKind.STATIC, seconds=5.0, rate_hz=posed_hz, seed=seed, visit_seed=seed
        )
        progress.advance()
    seen = what is What.LANDMARKS2D
    truth = write_synthetic(
        out,
        trial,
        static,
        what=SynthOutput(what.value),
        rig=_rig(cameras, calibration) if seen else None,
        noise=_noise(noise_model, noise_px, outliers, missing) if seen else None,
        noise_seed=seed,
        free_running=FreeRunning(clock, rate_hz) if free_running else None,
    )
    terminal.give({"out": str(out), "truth": str(truth), "kind": kind.value, "seed": seed}, str(truth))


_FINE_HZ = 400.0  # between poses the landmarks of free-running cameras follow a spline


def _rig(n_cameras: int | None, calibration: Path | None) -> CameraRig:
    from calibration.formats import read_calibration
    from pipelines.synthetic.rigs import make_rig

    if calibration is None:
        return make_rig(4 if n_cameras is None else n_cameras)
    if n_cameras is not None:
        raise InputError("both --cameras and --calibration were given", remedy="Give one of them")
    return read_calibration(calibration).rig


def _noise(model: Noise, sigma_px: float, outliers: float, missing: float) -> NoiseModel:
    from pipelines.synthetic.noise import NoiseKind, NoiseModel

    return NoiseModel(kind=NoiseKind(model.value), sigma_px=sigma_px, outliers=outliers, missing=missing)
