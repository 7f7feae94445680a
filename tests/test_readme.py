"""The README's own example, typed as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.test_api.cli_answer import make_runner

ROOT = Path(__file__).parent.parent


def blocks(heading: str) -> list[str]:
    """The shell examples of a section."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## )", text, re.M | re.S)
    assert section, heading
    return re.findall(r"```bash\n(.*?)```", section[1], re.S)


@pytest.mark.slow
def test_a_lab_of_your_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line, in this process and with recordings of 24 s for 40; `make accept` runs them in a shell, whole."""
    monkeypatch.chdir(tmp_path)
    run, said = make_runner(capsys), ""
    lines = "".join(blocks("A lab of your own")).splitlines()
    assert sum("--seconds 40" in line for line in lines) == 2
    for line in lines:
        program, *words = shlex.split(line.replace("--seconds 40", "--seconds 24"))
        if program == "cd":
            monkeypatch.chdir(*words)
            continue
        assert program == "labsys", line
        answer = run(*words)
        assert answer.code == 0, f"{line}\n{answer.err}"
        said += answer.out
    assert "hip_ext_pelvis_peak" in said
    assert (tmp_path / "run1-csv/metrics.csv").is_file()
    assert (tmp_path / "why.html").is_file()

    rows = run("compare", "S01/2026-01-10", "S01/2026-04-12", "--json").json["rows"]
    (goal,) = (r for r in rows if r["family"] == "goal")
    assert (goal["id"], goal["side"], goal["verdict"]) == ("hip_ext_pelvis_peak", "left", "larger_than_error")


def test_the_readme_says_how_many_strides_and_what_is_alike() -> None:
    from labsys.longitudinal.compare import MIN_STRIDES_FOR_VERDICT
    from labsys.longitudinal.pairing import INCLINE_TOLERANCE_PCT, SPEED_TOLERANCE

    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"At least {MIN_STRIDES_FOR_VERDICT} strides per side" in text
    assert f"speed within {SPEED_TOLERANCE * 100:g} %, incline within {INCLINE_TOLERANCE_PCT:g} %" in text
