"""The terminal itself: help, exit codes, JSON, and the nouns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from api.cli import app, spread_values
from tests.test_api.cli_answer import Answer, Run


def refused(answer: Answer, *names: str, code: int = 2) -> None:
    assert answer.code == code, answer
    assert answer.out == ""
    assert "Traceback" not in answer.err
    for name in names:
        assert name in answer.err, answer.err


def _commands() -> list[tuple[str, ...]]:
    """Every command that is offered, with its group."""
    named = [(c.name or str(getattr(c.callback, "__name__", "")),) for c in app.registered_commands]
    groups = [(g.name, g.typer_instance) for g in app.registered_groups]
    while groups:
        name, inner = groups.pop()
        assert name is not None
        assert inner is not None
        named += [(*name.split(" "), str(c.name)) for c in inner.registered_commands]
        groups += [(f"{name} {g.name}", g.typer_instance) for g in inner.registered_groups]
    return named


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_help_shows_an_example(command: tuple[str, ...], labsys: Run) -> None:
    answer = labsys(*command, "--help")
    assert answer.code == 0
    assert f"Example: labsys {' '.join(command)}" in " ".join(answer.out.split())


def test_commands_of_the_first_round_are_there() -> None:
    offered = {" ".join(c) for c in _commands()}
    wanted = {
        "demo", "init", "doctor", "import", "process", "show", "compare", "trend", "metrics", "export", "synth",
        "serve", "index", "db upgrade", "db backup", "trial exclude", "trial include", "trial move", "episode goal add",
        *(f"{noun} {verb}" for noun in ("subject", "episode", "session", "trial")
          for verb in ("add", "list", "show", "edit")),
    }  # fmt: skip
    assert wanted <= offered


@pytest.mark.slow
def test_options_spread_over_the_values_that_follow() -> None:
    words = ["import", "--videos", "a=1", "b=2", "--trial", "t", "--accept-size", "a=1x1", "--set", "x=1", "y"]
    assert spread_values(words) == [
        "import", "--videos", "a=1", "--videos", "b=2", "--trial", "t", "--accept-size", "a=1x1", "--set", "x=1", "y",
    ]  # fmt: skip


@pytest.mark.parametrize("words", [["calibrate", "--videos", "--board", "b.yaml"], ["import", "t", "--landmarks2d"]])
def test_an_option_that_lost_its_values_is_refused(labsys: Run, words: list[str]) -> None:
    answer = labsys(*words)
    assert answer.code == 2
    assert f"{words[-1] if words[0] == 'import' else '--videos'} has no value" in answer.err


def test_usage_errors_are_input_errors(labsys: Run) -> None:
    for words in (["nonsense"], ["show"], ["show", "--nonsense"], ["process", "--engine"]):
        answer = labsys(*words)
        assert answer.code == 2, words
        assert answer.out == ""


@pytest.mark.slow
def test_unexpected_error_is_one_line_with_the_place_of_its_traceback(tmp_path: Path) -> None:
    script = (
        "import api.cli, api.commands.showing as s, sys\n"
        "import api.views.catalog\n"
        "def broken(*_): raise KeyError('left foot')\n"
        "api.views.catalog.list_metrics = broken\n"
        "sys.argv = ['labsys', *sys.argv[1:]]\n"
        "api.cli.main()\n"
    )
    plain = {"PATH": "/usr/bin", "TMPDIR": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", script, "metrics"], capture_output=True, text=True, check=False, env=plain,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    log = next(tmp_path.glob("labsys-*.log"))
    assert str(log) in answer.stderr
    assert "left foot" in log.read_text()
    debugged = subprocess.run(
        [sys.executable, "-c", script, "--debug", "metrics"], capture_output=True, text=True, check=False, env=plain,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert debugged.returncode == 1
    assert "Traceback" in debugged.stderr


def test_lab_is_named_found_upwards_or_asked_for(labsys: Run, new_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert labsys("subject", "add", "S01").code == 0
    monkeypatch.chdir(new_lab / "subjects")
    assert labsys("subject", "list", "--json").json["subjects"]
    monkeypatch.chdir(new_lab.parent)
    refused(labsys("subject", "list"), "labsys.toml", "--lab")
    assert labsys("subject", "list", "--lab", new_lab).code == 0
    assert labsys("--lab", new_lab, "subject", "list").code == 0
    monkeypatch.setenv("LABSYS_LAB", str(new_lab))
    assert labsys("subject", "list").code == 0


def test_init_refuses_what_is_there(labsys: Run, new_lab: Path, tmp_path: Path) -> None:
    refused(labsys("init", new_lab), str(new_lab))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    refused(labsys("init", tmp_path / "full"), "full")


def test_doctor_names_every_gap_with_a_fix(labsys: Run) -> None:
    answer = labsys("doctor", "--json")
    assert answer.code == 0, answer.err
    checks = answer.json["checks"]
    assert isinstance(checks, list)
    named = {c["name"]: c for c in checks}
    assert named["OpenCV"]["ok"]
    assert named["lab"]["ok"]
    assert all(c["fix"] for c in checks if not c["ok"])


def test_metrics_lists_the_catalogue(labsys: Run) -> None:
    from labsys.core.catalogue import ANGLES, METRICS

    document = labsys("metrics", "--json").json
    assert [m["id"] for m in document["metrics"]] == [m.id for m in METRICS]
    assert [a["id"] for a in document["angles"]] == [a.id for a in ANGLES]
    text = labsys("metrics").out
    assert "hip_ext_excursion_stance" in text


def test_subject(labsys: Run) -> None:
    assert labsys("subject", "add", "S01", "--sex", "female", "--birth-year", 1990).out == "S01\n"
    refused(labsys("subject", "add", "S01"), "S01", "exists")
    refused(labsys("subject", "add", "Jane Doe"), "Jane Doe")
    assert labsys("subject", "edit", "S01", "--leg-dominance", "left", "--consent", "research").code == 0
    shown = labsys("subject", "show", "S01", "--json").json
    assert (shown["sex"], shown["birth_year"], shown["leg_dominance"]) == ("female", 1990, "left")
    assert shown["consent"] == ["research"]
    refused(labsys("subject", "show", "S0l"), "S0l", "S01")
    assert "S01" in labsys("subject", "list").out


@pytest.mark.slow
def test_episode_and_goals(labsys: Run) -> None:
    labsys("subject", "add", "S01")
    refused(labsys("episode", "add", "S01/knee"), "--index-date")
    refused(labsys("episode", "add", "S01/knee", "--index-date", "yesterday"), "yesterday")
    assert labsys("episode", "add", "S01/knee", "--index-date", "2026-03-01").code == 0
    goal = ["episode", "goal", "add", "S01/knee", "hip_ext_excursion_stance", "--direction", "toward_higher"]
    refused(labsys(*goal), "hip_ext_excursion_stance", "left or right")
    refused(labsys("episode", "goal", "add", "S01/knee", "hip_ext_excursion_stanse", "--side", "left",
                   "--direction", "toward_higher"), "hip_ext_excursion_stance")  # fmt: skip
    refused(labsys(*goal[:-2], "--side", "left"), "--direction")
    assert labsys(*goal, "--side", "left", "--date", "2026-03-02").code == 0
    refused(labsys(*goal, "--side", "left"), "already")
    assert labsys(*goal, "--side", "right").code == 0
    assert labsys("episode", "goal", "add", "S01/knee", "cadence", "--direction", "toward_higher").code == 0
    refused(labsys("episode", "goal", "add", "S01/knee", "pelvis_rot_rom", "--direction", "toward_lower"), "three")
    shown = labsys("episode", "show", "S01/knee", "--json").json
    assert len(shown["goals"]) == 3
    assert "toward_higher" in labsys("episode", "show", "S01/knee").out
    assert labsys("episode", "edit", "S01/knee", "--notes", "left knee").code == 0
    assert "left knee" in labsys("episode", "list", "S01").out


def test_session_with_conditions_scores_and_clearing(labsys: Run) -> None:
    labsys("subject", "add", "S01")
    words = ["session", "add", "S01/2026-11-22", "--phase", "pre", "--mass-kg", 62, "--score", "VISA-H=72"]
    assert labsys(*words).out == "S01/2026-11-22\n"
    refused(labsys(*words), "exists")
    refused(labsys("session", "edit", "S01/2026-11-22", "--leg-length-m", 86), "leg length 86 m")
    refused(labsys("session", "edit", "S01/2026-11-22", "--score", "VISA-H=good"), "VISA-H")
    refused(labsys("session", "edit", "S01/2026-11-22", "--episode", "knee"), "knee")
    assert (
        labsys("session", "edit", "S01/2026-11-22", "--leg-length-m", 0.86, "--captured-at", "2026-11-22T09:30Z").code
        == 0
    )
    shown = labsys("session", "show", "S01/2026-11-22", "--json").json
    assert shown["scores"] == {"VISA-H": 72.0}
    assert shown["anthropometry"]["leg_length_m"] == 0.86
    assert shown["captured_at"] == "2026-11-22T09:30:00.000Z"
    assert labsys("session", "edit", "S01/2026-11-22", "--clear", "leg_length_m", "--clear", "phase").code == 0
    cleared = labsys("session", "show", "S01/2026-11-22", "--json").json
    assert cleared["anthropometry"]["leg_length_m"] is None
    assert cleared["phase"] is None
    refused(labsys("session", "edit", "S01/2026-11-22", "--clear", "weight"), "weight")
    assert "2026-11-22" in labsys("session", "list", "S01").out
    assert "2026-11-22" in labsys("session", "list").out


@pytest.mark.slow
def test_trial_from_plan_to_exclusion(labsys: Run) -> None:
    labsys("subject", "add", "S01")
    labsys("session", "add", "S01/2026-11-22")
    refused(labsys("trial", "add", "S01/2026-11-22/run1"), "--kind")
    refused(labsys("trial", "add", "S01/run1", "--kind", "run"), "S01/run1")
    words = ["trial", "add", "S01/2026-11-22/run1", "--kind", "run", "--surface", "treadmill", "--speed-mps", 3]
    assert labsys(*words).code == 0
    refused(labsys(*words), "exists")
    refused(labsys("trial", "edit", "S01/2026-11-22/run1", "--static", "static1"), "static1")
    refused(labsys("process", "S01/2026-11-22/run1"), "no recording")
    assert labsys("trial", "edit", "S01/2026-11-22/run1", "--footwear", "blue", "--clear", "speed_mps").code == 0
    shown = labsys("trial", "show", "S01/2026-11-22/run1", "--json").json
    assert shown["conditions"]["footwear"] == "blue"
    assert shown["conditions"]["speed_mps"] is None
    refused(labsys("trial", "exclude", "S01/2026-11-22/run1", "--reason", "  "), "reason")
    assert labsys("trial", "exclude", "S01/2026-11-22/run1").code == 2
    assert labsys("trial", "exclude", "S01/2026-11-22/run1", "--reason", "shoe came off").code == 0
    assert "shoe came off" in labsys("trial", "list", "S01/2026-11-22").out
    assert labsys("trial", "include", "S01/2026-11-22/run1").code == 0
    assert not labsys("trial", "show", "S01/2026-11-22/run1", "--json").json["excluded"]


def test_trial_moves_with_its_uuid(labsys: Run) -> None:
    for code in ("S01", "S02"):
        labsys("subject", "add", code)
        labsys("session", "add", f"{code}/2026-11-22")
    labsys("trial", "add", "S01/2026-11-22/run1", "--kind", "run")
    before = labsys("trial", "show", "S01/2026-11-22/run1", "--json").json["uuid"]
    refused(labsys("trial", "move", "S01/2026-11-22/run1", "S03/2026-11-22/run1"), "S03")
    answer = labsys("trial", "move", "S01/2026-11-22/run1", "S02/2026-11-22/run7")
    assert answer.out.strip() == "S02/2026-11-22/run7"
    assert labsys("trial", "show", "S02/2026-11-22/run7", "--json").json["uuid"] == before
    refused(labsys("trial", "show", "S01/2026-11-22/run1"), "run1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["process", "S01/2026-11-22/run1", "--set", "reconstruct.min_likelyhood=0.3"], "reconstruct.min_likelihood"),
        (["process", "S01/2026-11-22/run1", "--profile", "pose2sin"], "pose2sim"),
        (["process", "S01/2026-11-22/run1", "--from", "analyze"], "analyse"),
        (["process"], "--all"),
        (["process", "S01/2026-11-22/run1", "--all"], "what to process"),
        (["process", "--session", "S01/2026-11-23"], "2026-11-22"),
        (["show", "S01/2026-11-22/run1"], "process"),
        (["show", "S01/2026-11-22/run2"], "run1"),
        (["compare", "S01/2026-11-22", "S02/2026-11-22"], "two subjects"),
        (["compare", "S01/2026-11-22", "S01/2026-11-22"], "itself"),
        (["trend", "S01", "cadance"], "cadence"),
        (["trend", "S01", "cadence", "--side", "left"], "left"),
        (["export", "S01/2026-11-22/run1", "--format", "trc", "--out", "x.trc"], "process"),
        (["synth", "--out", "here", "--speed-mps", "30"], "30"),
        (["demo", "--dataset", "pose2sym", "--out", "there"], "pose2sim"),
        (["demo", "--model", "pack", "--out", "there"], "--film"),
        *(
            (["demo", "--dataset", "pose2sim", *given, "--out", "there"], given[0])
            for given in (
                ["--film"],
                ["--model", "pack"],
                ["--quick"],
                ["--seed", "1"],
                ["--hip-extension-cap-deg", "4"],
                ["--lumbar-gain", "0.6"],
            )
        ),
        (["serve", "--host", "0.0.0.0"], "0.0.0.0"),
        (["db", "backup", "--out", "labsys.toml"], "overwritten"),
    ],
)
def test_wrong_words_are_refused_by_name(labsys: Run, words: list[str], named: str) -> None:
    labsys("subject", "add", "S01")
    labsys("session", "add", "S01/2026-11-22")
    labsys("trial", "add", "S01/2026-11-22/run1", "--kind", "run")
    refused(labsys(*words), named)


def test_nothing_comparable_is_a_gate(labsys: Run) -> None:
    """Valid input that cannot be compared: exit code 3, and the document all the same."""
    labsys("subject", "add", "S01")
    labsys("session", "add", "S01/a")
    labsys("session", "add", "S01/b")
    answer = labsys("compare", "S01/a", "S01/b", "--json")
    assert answer.code == 3
    assert answer.json["comparable"] is False
    assert "cannot be compared" in answer.err


@pytest.mark.slow
def test_database_is_rebuilt_upgraded_and_copied(labsys: Run, new_lab: Path, tmp_path: Path) -> None:
    labsys("subject", "add", "S01")
    assert labsys("index", "--json").json["subjects"] == 1
    assert labsys("db", "upgrade", "--json").json["revision"]
    assert labsys("db", "backup", "--out", tmp_path / "copy").code == 0
    assert (tmp_path / "copy" / "database.sqlite").read_bytes().startswith(b"SQLite format 3")
