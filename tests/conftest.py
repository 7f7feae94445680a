"""Fixtures that all tests share, and the rule that CI fails on a skip it did not expect."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Reasons for which CI may skip a test although the public recordings are there. Anything else means that a test has
# silently stopped running, and CI fails. Each pattern must match the whole reason.
EXPECTED_SKIPS = (
    r"DeepLabCut .*",  # extra `pose`
    r"torch .*",  # extra `pose`
    r"This kernel has no .*",  # virtual camera modules
    r"This machine has no .*",  # tools that only check (shellcheck)
    r"Chromium .*",  # no browser on this machine
)

ACCEPTANCE = "accept"  # folder of the long suite; runs only when it is named (make accept)

settings.register_profile("labsys", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labsys")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What programs keep for later goes into a folder of this session, not into the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Folder of the public recordings (environment variable LABSYS_DATA)."""
    folder = os.environ.get("LABSYS_DATA", "")
    if not folder:
        pytest.skip("LABSYS_DATA is not set: the public recordings are not here")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"LABSYS_DATA names {path}, which is not a folder")
    return path


@pytest.fixture(autouse=True, scope="session")
def _no_lab_of_this_machine() -> Iterator[None]:
    """A LABSYS_LAB set by the person at the keyboard must not decide what the tests see."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LABSYS_LAB", raising=False)
        yield


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the acceptance suite out unless a path on the command line names it."""
    named = any(ACCEPTANCE in Path(argument.split("::")[0]).parts for argument in config.args)
    inside = collection_path.name == ACCEPTANCE and collection_path.parent == Path(__file__).parent
    return True if inside and not named else None


def _skips_are_judged() -> bool:
    return os.environ.get("CI") == "true" and Path(os.environ.get("LABSYS_DATA", "") or "absent").is_dir()


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # A skip's longrepr is (file, line, "Skipped: reason").
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return re.sub(r"^Skipped: ", "", text)


def _unexpected_skips(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or not _skips_are_judged():
        return []
    found = [(report.nodeid, _skip_reason(report)) for report in reporter.stats.get("skipped", [])]
    return [f"{where}: {why}" for where, why in found if not any(re.fullmatch(p, why) for p in EXPECTED_SKIPS)]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green session red when a test was skipped for a reason that nobody declared."""
    if session.exitstatus == pytest.ExitCode.OK and _unexpected_skips(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which skips made CI fail."""
    for line in _unexpected_skips(terminalreporter.config):
        terminalreporter.write_line(f"UNEXPECTED SKIP in CI: {line}", red=True)
