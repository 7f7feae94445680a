"""The house stands as docs/architecture.md draws it: imports, start-up time, packaging, CI's own rules."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = (
    "cv2", "av", "aniposelib", "anipose", "pandas", "pyarrow", "tables", "fastapi", "sqlalchemy", "pydantic", "yaml",
    "torch", "deeplabcut", "typer", "rich", "numba", "jax", "matplotlib",
)  # fmt: skip
PACKAGES = ("labsys", "calibration", "pipelines", "api")
START_UP_LIMIT_S = 1.0
# A table of mounts in a test needs a place that looks real.
ALLOWED_PLACES = {"tests/test_api/test_database_filesystem.py: /" + "home/"}
# As if not installed. (None in sys.modules would trip scipy, which asks an imported torch for its types.)
BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "deeplabcut", "aniposelib", "anipose"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import importlib
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def _quickest_s(command: list[str], *, most_runs: int = 12) -> float:
    """Least processor time of several runs, since other work runs beside; stops at the first that is quick enough."""
    best = float("inf")
    for _ in range(most_runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, capture_output=True, cwd=ROOT, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if best < START_UP_LIMIT_S:
            break
    return best


def _tracked_text_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=ROOT, check=False)
    if listed.returncode:
        pytest.fail(f"git ls-files: {listed.stderr}")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.slow
def test_import_contracts_hold() -> None:
    tool = Path(sys.executable).parent / "lint-imports"
    outcome = subprocess.run([str(tool), "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert " 0 broken" in outcome.stdout


@pytest.mark.slow
def test_import_contracts_notice_a_breach(tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "labsys/core/units.py").open("a") as file:
        file.write("\n\ndef late() -> object:\n    import labsys.storage\n\n    return labsys.storage\n")
    tool = Path(sys.executable).parent / "lint-imports"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    outcome = subprocess.run(
        [str(tool), "--no-cache"], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert outcome.returncode != 0
    assert "labsys.core.units -> labsys.storage" in outcome.stdout


def test_core_imports_nothing_heavy() -> None:
    modules = sorted(f"labsys.core.{p.stem}" for p in (ROOT / "labsys/core").glob("*.py") if p.stem != "__init__")
    assert modules
    outcome = _python(f"import {', '.join(modules)}, sys; print([m for m in {HEAVY!r} if m in sys.modules])")
    assert outcome.stdout.strip() == "[]", outcome.stdout + outcome.stderr


def test_science_imports_no_files_and_no_doors() -> None:
    forbidden = ("labsys.storage", "api", "pipelines", "cv2", "av", "sqlalchemy", "fastapi", "torch", "pandas")
    outcome = _python(
        f"import labsys.biomechanics, labsys.longitudinal, sys;print([m for m in {forbidden!r} if m in sys.modules])"
    )
    assert outcome.stdout.strip() == "[]", outcome.stdout + outcome.stderr


@pytest.mark.slow
def test_every_module_imports_without_the_pose_extra() -> None:
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for k in PACKAGES for p in (ROOT / k).rglob("*.py")]
    names = [n.removesuffix(".__init__") for n in names if "migrations" not in n]
    outcome = _python(BLOCK + f"for n in {names!r}: importlib.import_module(n)")
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.slow
def test_the_service_starts_without_what_only_jobs_need() -> None:
    rarely = (
        *("pandas", "tables", "numba", "jax", "matplotlib", "aniposelib", "anipose", "torch", "deeplabcut"),
        *("scipy", "av", "cv2"),
    )
    outcome = _python(f"import api.app, sys; print([m for m in {rarely!r} if m in sys.modules])")
    assert outcome.stdout.strip() == "[]", outcome.stdout + outcome.stderr


def test_import_labsys_is_quick() -> None:
    assert _quickest_s([sys.executable, "-c", "import labsys"]) < START_UP_LIMIT_S


def test_help_loads_nothing_heavy() -> None:
    outcome = _python(f"import api.cli, sys; print([m for m in {('numpy', 'scipy', *HEAVY)!r} if m in sys.modules])")
    assert outcome.stdout.strip() == "['typer']", outcome.stdout + outcome.stderr


def test_help_is_quick() -> None:
    command = str(Path(sys.executable).parent / "labsys")
    assert _quickest_s([command, "--help"]) < START_UP_LIMIT_S


def test_packages_are_listed_explicitly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert tuple(wheel["packages"]) == (*PACKAGES, "hardware_configs")
    assert "force-include" not in wheel  # an editable installation would hold a copy, which grows old
    assert set(project["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)
    assert project["project"]["license"] == "BSD-3-Clause"
    assert set(project["project"]["optional-dependencies"]) >= {"pose", "cluster", "dev"}


def test_constraints_pin_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    pinned = {
        re.split(r"==", line)[0].strip().lower()
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line and not line.lstrip().startswith("#")
    }
    names = {re.split(r"[\[<>=!~; ]", d)[0].lower().replace("_", "-") for d in wanted}
    assert names - pinned == set()


def test_both_opencv_wheels_have_one_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = {line.split("==")[1].split(";")[0].strip() for line in lines if line.startswith("opencv-")}
    assert len(versions) == 1


def test_the_opencv_in_use_is_the_headless_one() -> None:
    outcome = _python("import cv2; print([l for l in cv2.getBuildInformation().splitlines() if 'GUI:' in l])")
    assert "NONE" in outcome.stdout, outcome.stdout + outcome.stderr


@pytest.mark.slow
def test_no_file_names_a_package_host_or_a_place_on_one_machine() -> None:
    # Joined here so that this file does not name them either.
    hosts = [
        "pypi" + ".org",
        "python" + "hosted.org",
        "download." + "pytorch",
        "anaconda" + ".org",
        "registry." + "npmjs",
    ]
    places = ["/" + "home/", "/" + "Users/", "/" + "work/", "/" + "root/", "/tmp/" + "plan"]
    found = []
    for path in _tracked_text_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        pattern = "|".join([re.escape(h) for h in hosts] + [rf"(?<![\w.}}]){re.escape(p)}" for p in places])
        found += [f"{path.relative_to(ROOT)}: {m.group(0)}" for m in re.finditer(pattern, text)]
    assert set(found) - ALLOWED_PLACES == set()


def test_modules_keep_their_size() -> None:
    long = [
        f"{p.relative_to(ROOT)}: {n} lines"
        for package in PACKAGES
        for p in (ROOT / package).rglob("*.py")
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert long == []


def test_children_import_nothing_from_the_folder_they_are_started_in() -> None:
    """Python puts that folder first (-m, -c) unless it is told not to: whoever can write there would be run."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for started in re.findall(r"[\[(]sys\.executable,? *([^\s,\])]*)", path.read_text(encoding="utf-8")):
                assert started == '"-P"', path


def test_no_room_for_odds_and_ends() -> None:
    names = {"utils", "helpers", "common", "manager", "misc"}
    assert [p for package in PACKAGES for p in (ROOT / package).rglob("*.py") if p.stem in names] == []


@pytest.mark.parametrize("script", [".ci/run", ".ci/uv"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    outcome = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


def test_ci_fails_when_make_test_fails(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "Makefile").write_text("test:\n\t@echo '3 failed, 1 passed'; exit 7\n")
    outcome = subprocess.run([str(tmp_path / ".ci/run")], capture_output=True, text=True, check=False)
    assert outcome.returncode != 0
    assert outcome.stdout.rstrip().count("3 failed, 1 passed") == 2

    (tmp_path / "Makefile").write_text("test:\n\t@echo '4 passed'\n")
    outcome = subprocess.run([str(tmp_path / ".ci/run")], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr


SKIPPING = """
import pytest

def test_runs():
    pass

def test_skips():
    pytest.skip({reason!r})
"""


# A plugin that takes a second to load is left out here, too.
PYTEST_ELSEWHERE = (
    sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-c", os.devnull,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "ci", "data_here", "workers", "passes"),
    [
        ("DeepLabCut is not installed (make pose)", True, True, 0, True),
        ("PostgreSQL binaries are not here", True, True, 0, False),
        ("somebody forgot to install something", True, True, 0, False),
        ("somebody forgot to install something", True, True, 1, False),
        ("somebody forgot to install something", False, True, 0, True),
        ("LABSYS_DATA is not set: the public recordings are not here", True, False, 0, True),
    ],
)
def test_ci_fails_on_a_skip_that_it_did_not_expect(
    tmp_path: Path, reason: str, ci: bool, data_here: bool, workers: int, passes: bool
) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_it.py").write_text(SKIPPING.format(reason=reason))
    environment = {k: v for k, v in os.environ.items() if k not in {"CI", "LABSYS_DATA"} and "PYTEST" not in k}
    environment |= {"CI": "true"} if ci else {}
    environment |= {"LABSYS_DATA": str(tmp_path)} if data_here else {}
    command = [*PYTEST_ELSEWHERE, "--rootdir", str(tmp_path)]
    outcome = subprocess.run(
        [*command, "-n", str(workers), str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert (outcome.returncode == 0) is passes, outcome.stdout + outcome.stderr
    assert ("UNEXPECTED SKIP" in outcome.stdout) is not passes


@pytest.mark.slow
def test_the_acceptance_suite_runs_only_when_named(tmp_path: Path) -> None:
    (tmp_path / "accept").mkdir()
    shutil.copy(ROOT / "tests/conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_short.py").write_text("def test_short():\n    pass\n")
    (tmp_path / "accept/test_long.py").write_text("def test_long():\n    pass\n")
    command = [*PYTEST_ELSEWHERE, "-q", "--rootdir", str(tmp_path)]
    short = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "1 passed" in short.stdout, short.stdout + short.stderr
    long = subprocess.run([*command, str(tmp_path / "accept")], capture_output=True, text=True, check=False)
    assert "1 passed" in long.stdout, long.stdout + long.stderr
