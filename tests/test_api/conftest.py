"""A lab made by hand through labsys.storage, so that the service is tested without other stages; and a PostgreSQL."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from api.access import passwords
from api.app import create_app
from api.indexing.index import index_lab
from calibration.formats import format_anipose
from labsys.core.cameras import Calibration, Camera, CameraRig, Intrinsics
from labsys.core.motion import (
    MotionResult,
)
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
from labsys.storage.calibrations import save_calibration_folder
from labsys.storage.episodes import save_episode
from labsys.storage.lab import Lab, create_lab, open_lab
from labsys.storage.sessions import save_session
from labsys.storage.subjects import save_subject
from labsys.storage.takes import stage_take
from labsys.storage.trials import save_trial
from tests.test_api.cli_answer import Run, make_runner
from tests.test_api.import_scene import Scene, make_empty_lab, make_scene
from tests.test_api.made_results import make_motion, make_static, save_run
from tests.test_api.postgresql import postgresql_server, postgresql_url  # noqa: F401 - fixtures

BASE = "http://127.0.0.1:8000"
# As the service sees a caller on its own machine.
HERE = ("127.0.0.1", 50_000)


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
