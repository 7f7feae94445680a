"""The container files, read but not built: pinned bases, existing paths, no root, health checks, where torch is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FILES = ("api.Dockerfile", "worker.Dockerfile")
KEYWORDS = {
    "FROM",
    "ENV",
    "WORKDIR",
    "COPY",
    "RUN",
    "USER",
    "VOLUME",
    "HEALTHCHECK",
    "CMD",
    "EXPOSE",
    "ARG",
    "ENTRYPOINT",
}


def _instructions(name: str) -> list[tuple[str, str]]:
    text = (ROOT / "docker" / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(k, rest.strip()) for k, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def _all(name: str, keyword: str) -> list[str]:
    return [rest for k, rest in _instructions(name) if k == keyword]


def _compose() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "docker/compose.yml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("name", FILES)
def test_only_known_instructions_and_a_pinned_base_first(name: str) -> None:
    instructions = _instructions(name)
    assert {k for k, _ in instructions} <= KEYWORDS
    assert instructions[0][0] == "FROM"
    for base in _all(name, "FROM"):
        assert re.search(r":[\w.-]*\d", base), f"{base} names no version"
        assert not base.endswith(":latest")


@pytest.mark.parametrize("name", FILES)
def test_every_copied_path_exists_and_none_is_kept_out(name: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for paths in _all(name, "COPY"):
        *sources, _ = paths.split()
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source not in ignored
    copied = {source for paths in _all(name, "COPY") for source in paths.split()[:-1]}
    assert copied >= {
        "pyproject.toml",
        "constraints.txt",
        "labsys",
        "calibration",
        "pipelines",
        "api",
        "hardware_configs",
    }


@pytest.mark.parametrize("name", FILES)
def test_it_does_not_run_as_root_and_says_whether_it_is_well(name: str) -> None:
    keywords = [k for k, _ in _instructions(name)]
    (user,) = _all(name, "USER")
    assert user not in {"root", "0"}
    assert any(f" {user}" in run and "useradd" in run for run in _all(name, "RUN"))
    last_run = len(keywords) - 1 - keywords[::-1].index("RUN")
    assert last_run < keywords.index("USER") < keywords.index("CMD")
    (health,) = _all(name, "HEALTHCHECK")
    assert "CMD" in health
    assert "--timeout" in health


@pytest.mark.parametrize("name", FILES)
def test_headless_opencv_is_the_last_thing_installed(name: str) -> None:
    installs = re.findall(r"pip install [^&]+", " && ".join(_all(name, "RUN")))
    assert "opencv-python-headless" in installs[-1]
    assert "--no-deps" in installs[-1]
    assert all("-c constraints.txt" in i for i in installs[:-1])


def test_the_service_has_no_torch_and_the_worker_has() -> None:
    assert "pose" not in " ".join(_all("api.Dockerfile", "RUN"))
    assert ".[pose]" in " ".join(_all("worker.Dockerfile", "RUN"))


@pytest.mark.parametrize("name", FILES)
def test_commands_are_lists_that_the_terminal_knows(name: str) -> None:
    commands = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    health = _all(name, "HEALTHCHECK")[0].partition("CMD ")[2]
    for text in (*_all(name, "CMD"), health):
        words = json.loads(text)
        if words[0] == "labsys":
            row = re.search(rf"^\| `labsys {words[1]}[ `].*$", commands, re.M)
            assert row, text
            for option in (w for w in words if w.startswith("--") and w != "--json"):
                assert f"`{option}`" in row[0], text
        else:
            assert words[0] == "python"
            compile(words[2], name, "exec")


def test_the_health_of_the_service_is_asked_where_it_answers() -> None:
    from api.app import API
    from api.settings import ServiceSettings

    health = _all("api.Dockerfile", "HEALTHCHECK")[0]
    assert f"{API}/metrics" in health
    assert f"'{ServiceSettings.model_fields['port'].default}'" in health


def test_compose_pins_images_and_opens_nothing_to_other_machines() -> None:
    services = _compose()["services"]
    assert set(services) == {"database", "api", "worker"}
    for name, service in services.items():
        assert re.search(r":[\w.-]*\d", service["image"]), name
        assert "privileged" not in service
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), port
    assert services["database"]["healthcheck"]["test"]
    assert services["database"]["user"] != "root"
    for name in ("api", "worker"):
        assert (ROOT / "docker" / services[name]["build"]["context"] / services[name]["build"]["dockerfile"]).exists()
        assert services[name]["depends_on"]["database"]["condition"] == "service_healthy"


def test_no_password_is_written_down() -> None:
    text = (ROOT / "docker/compose.yml").read_text(encoding="utf-8")
    for value in re.findall(r"PASSWORD: (.+)", text):
        assert value.startswith("${"), value


def test_versions_of_the_images_are_the_projects() -> None:
    from labsys import __version__

    for name in ("api", "worker"):
        assert _compose()["services"][name]["image"] == f"labsys-{name}:{__version__}"


def test_the_readme_says_that_they_were_not_built() -> None:
    assert "not been built" in (ROOT / "docker/README.md").read_text(encoding="utf-8")
    assert re.search(r"not been\s+built", (ROOT / "README.md").read_text(encoding="utf-8"))
