"""The documents are true: tables follow the code, links and files exist, one word per idea."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.report import BY_HAND

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGES = ("labsys", "calibration", "pipelines", "api")
DOCUMENTS = sorted(
    [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "hardware_configs/README.md"]
)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _tables() -> ModuleType:
    return _script("tables")


def _script(name: str) -> ModuleType:
    """A script of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _section(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def _glossary() -> list[tuple[str, str, list[str]]]:
    """(word, place in code, words not used) of every row."""
    rows = re.findall(
        r"^\| ([a-z]+) \| .+ \| `([\w.]+)` \| (.*)\|$", _section(_read(DOCS / "conventions.md"), "Glossary"), re.M
    )
    return [(word, place, [w.strip() for w in avoided.split(",") if w.strip()]) for word, place, avoided in rows]


# ---- tables


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_no_chapter_and_no_table_stands_twice(path: Path) -> None:
    text = _read(path)
    headings = re.findall(r"^## .+$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    opened = re.findall(r"^<!-- (?:table|measured): .+ -->$", text, flags=re.M)
    if path.name != "CHANGELOG.md":
        assert len(headings) == len(set(headings)), headings
    assert len(opened) == len(set(opened)) == len(re.findall(r"^<!-- end.* -->$", text, flags=re.M))


@pytest.mark.parametrize("name", ["conventions.md", "commands.md", "settings.md", "biomechanics.md"])
def test_tables_are_what_the_code_says(name: str) -> None:
    text = _read(DOCS / name)
    assert "<!-- table:" in text
    assert _tables().render(text) == text, "run: make docs"


def test_every_table_has_a_place() -> None:
    wanted = set(_tables().TABLES)
    placed = {n for path in DOCS.glob("*.md") for n in re.findall(r"<!-- table: ([\w ]+) -->", _read(path))}
    assert placed == wanted


def test_what_was_measured_by_hand_is_not_lost_when_the_page_is_written_again() -> None:
    page = _read(DOCS / "performance.md")
    for part in BY_HAND:
        assert _read(part).rstrip() in page, f"docs/performance.md was changed, {part.name} not"


def test_every_id_set_and_exit_code_is_documented() -> None:
    from labsys.core.catalogue import ANGLES, METRICS
    from labsys.core.skeleton import LANDMARK_SETS, Tier
    from labsys.longitudinal import Verdict

    text = _read(DOCS / "conventions.md")
    names = [a.id for a in ANGLES] + [m.id for m in METRICS] + list(LANDMARK_SETS) + [v.value for v in Verdict]
    assert [n for n in names if f"`{n}`" not in text] == []
    assert [t.name for t in Tier if not re.search(rf"^\| {t.name} \|", text, re.M)] == []
    commands = _read(DOCS / "commands.md")
    assert re.findall(r"^\| (\d) \|", commands, re.M) == ["0", "1", "2", "3"]


def test_every_environment_variable_is_documented() -> None:
    settings = _read(DOCS / "settings.md")
    used = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in re.findall(r"[\"'](LABSYS_[A-Z_]+[A-Z])[\"']", _read(path))
    }
    assert used
    assert [name for name in sorted(used) if f"`{name}`" not in settings] == []


def test_every_key_of_the_lab_file_is_documented(tmp_path: Path) -> None:
    from labsys.storage.lab import create_lab

    lab = create_lab(tmp_path / "lab")
    keys = tomllib.loads(_read(lab.root / "labsys.toml"))
    settings = _read(DOCS / "settings.md")
    assert [key for key in keys if f"| `labsys.toml` | `{key}` |" not in settings] == []


# ---- figures of the angles


@pytest.mark.slow
def test_every_angle_is_drawn_as_it_is_computed() -> None:
    from labsys.core.catalogue import ANGLES

    figures = _script("figures")
    text = _read(DOCS / "biomechanics.md")
    for angle in ANGLES:
        drawn = figures.draw_angle(angle.id)
        assert abs(abs(drawn.computed_rad) - abs(drawn.on_paper_rad)) < 1e-3, angle.id
        assert drawn.computed_rad > 0.1, f"{angle.id} is not drawn on its positive side"
        assert _read(DOCS / "figures" / f"{angle.id}.svg") == drawn.svg, f"{angle.id}: run make docs"
        assert f"(figures/{angle.id}.svg)" in text
        assert drawn.svg.count("<text") == 2
        ET.fromstring(drawn.svg)
    assert {p.stem for p in (DOCS / "figures").iterdir()} == {a.id for a in ANGLES}


# ---- architecture


def test_every_file_and_function_of_the_architecture_exists() -> None:
    text = _read(DOCS / "architecture.md")
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([\w/]+\.py)` \|", text, re.M)
    assert len(rows) >= 6
    for functions, file in rows:
        source = _read(ROOT / file)
        for function in re.findall(r"`(\w+)`", functions):
            assert re.search(rf"^def {function}\(|^from .* import .*\b{function}\b", source, re.M), (
                f"{function} in {file}"
            )


def test_every_package_of_the_architecture_exists_and_none_is_missing() -> None:
    text = _read(DOCS / "architecture.md")
    named = set(re.findall(r"^\| `([\w/]+)` \|", text, re.M))
    inside = {p.parent.relative_to(ROOT).as_posix() for p in (ROOT / "labsys").glob("*/__init__.py")}
    assert named == inside | {"calibration", "pipelines", "api"}


def test_the_picture_is_well_formed_and_names_every_package() -> None:
    picture = "".join(ET.parse(DOCS / "architecture.svg").getroot().itertext())
    for package in (*PACKAGES, "synthetic", "core", "capture", "biomechanics", "longitudinal", "storage"):
        assert package in picture


def test_the_lab_folder_is_as_drawn(tmp_path: Path) -> None:
    from labsys.storage.lab import create_lab

    lab = create_lab(tmp_path / "lab")
    drawn = re.search(r"^LAB/\n(.*?)^```", _read(DOCS / "architecture.md"), re.M | re.S)
    assert drawn
    for folder in (p.name for p in lab.root.iterdir() if p.is_dir()):
        assert re.search(rf"\b{folder}/", drawn[1]), folder


# ---- decisions, links, words


def test_decisions_are_numbered_without_gaps_and_say_what_and_why() -> None:
    files = sorted((DOCS / "adr").glob("*.md"))
    assert [int(f.name[:4]) for f in files] == list(range(1, len(files) + 1))
    for file in files:
        text = _read(file)
        assert text.startswith(f"# {file.name[:4]} ")
        assert "**Decided.**" in text, file.name
        assert "**Why.**" in text, file.name


def test_links_and_named_decisions_exist() -> None:
    broken = []
    for document in DOCUMENTS:
        text = _read(document)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    sources = [p for package in PACKAGES for p in (ROOT / package).rglob("*.py")]
    others = [
        *(ROOT / "docker").iterdir(),
        ROOT / ".ci/run",
        ROOT / ".ci/uv",
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
    ]
    for path in [*DOCUMENTS, *sources, *others]:
        for number in re.findall(r"docs/adr/(\d{4})", _read(path)):
            if not list((DOCS / "adr").glob(f"{number}-*.md")):
                broken.append(f"{path.relative_to(ROOT)}: docs/adr/{number}")
    assert broken == []


def test_glossary_words_stand_for_something_in_the_code() -> None:
    glossary = _glossary()
    assert len(glossary) >= 20
    for word, place, _ in glossary:
        module, _, name = place.rpartition(".")
        try:
            assert hasattr(importlib.import_module(module), name), f"{word}: {place}"
        except AssertionError:
            importlib.import_module(place)


@pytest.mark.slow
def test_words_that_the_glossary_rules_out_are_not_used() -> None:
    avoided = {w for _, _, words in _glossary() for w in words}
    assert {"patient", "athlete", "participant"} <= avoided
    found = []
    for path in (p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        # DeepLabCut's files name a column level so; its convention stops in these adapters.
        allowed = {"bodypart"} if path.name in ("dlc.py", "dlc_project.py", "trainer.py") else set()
        found += [f"{path.relative_to(ROOT)}: {w}" for w in avoided - allowed if w in _identifiers(path)]
    for document in DOCUMENTS:
        text = re.sub(r"^## Glossary\n.*?(?=^## |\Z)", "", _read(document), flags=re.M | re.S).lower()
        found += [f"{document.relative_to(ROOT)}: {w}" for w in avoided if re.search(rf"\b{w}s?\b", text)]
    assert found == []


def _identifiers(path: Path) -> set[str]:
    """Lower-case parts of every word in a source file (comments and texts too), plural s removed."""
    parts = set(re.findall(r"[A-Z]?[a-z]+", _read(path)))
    return {part.lower().removesuffix("s") for part in parts}


def test_pages_and_messages_never_praise_a_change() -> None:
    sources = [p for package in PACKAGES for p in (ROOT / package).rglob("*") if p.suffix in {".py", ".html", ".j2"}]
    found = []
    for path in sources:
        for line in _read(path).splitlines():
            if re.search(r"\b(improved|improvement|deteriorat\w+)\b", line, re.I):
                found.append(f"{path.relative_to(ROOT)}: {line.strip()}")
    assert found == []


# ---- README


def _readme_commands() -> list[str]:
    blocks = re.findall(r"```(?:bash|sh|console)\n(.*?)```", _read(ROOT / "README.md"), re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]


def test_the_readme_shows_commands_that_exist() -> None:
    documented = _read(DOCS / "commands.md")
    makefile = _read(ROOT / "Makefile")
    checked = 0
    for command in _readme_commands():
        words = command.removeprefix("$ ").removeprefix(".venv/bin/").split()
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.M), command
            checked += 1
        if words[0] == "labsys":
            row = next((r for r in documented.splitlines() if re.match(rf"\| `{_path_pattern(words)}[ `]", r)), None)
            assert row is not None, command
            for option in (w for w in words if w.startswith("--")):
                assert f"`{option}`" in row or option in {"--lab", "--json", "--quiet", "--help"}, (
                    f"{option} in {command}"
                )
            checked += 1
    assert checked >= 8


def _path_pattern(words: list[str]) -> str:
    """`labsys episode goal add …` -> `labsys episode goal add`: the longest known command that the words begin with."""
    commands = set(re.findall(r"^\| `(labsys [a-z0-9 ]+?)(?= [A-Z\[]|`)", _read(DOCS / "commands.md"), re.M))
    candidates = (" ".join(words[:n]) for n in (4, 3, 2))
    return next((c for c in candidates if c in commands), " ".join(words[:2]))


def test_scripts_of_the_repository_pass_shellcheck() -> None:
    tool = shutil.which("shellcheck")
    if tool is None:
        pytest.skip("This machine has no shellcheck")
    scripts = [str(ROOT / ".ci/run"), str(ROOT / ".ci/uv")]
    outcome = subprocess.run([tool, *scripts], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.slow
def test_stale_tables_are_rewritten_from_the_command_line(tmp_path: Path) -> None:
    copy = shutil.copytree(DOCS, tmp_path / "docs")
    fresh = _read(copy / "commands.md")
    (copy / "commands.md").write_text(fresh.replace("`labsys doctor`", "`labsys physician`"), encoding="utf-8")
    outcome = subprocess.run([sys.executable, str(copy / "tables.py")], cwd=ROOT, env=_environment(), check=False)
    assert outcome.returncode == 0
    assert _read(copy / "commands.md") == _tables().render(fresh)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
