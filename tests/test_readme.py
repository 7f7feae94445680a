"""The README's own example, typed as it stands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _blocks(heading: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## )", text, re.M | re.S)
    assert section, heading
    return re.findall(r"```bash\n(.*?)```", section[1], re.S)


@pytest.mark.slow
def test_a_lab_of_your_own(tmp_path: Path) -> None:
    script = "set -eu\n" + "\n".join(_blocks("A lab of your own"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outcome = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "hip_ext_pelvis_peak" in outcome.stdout
    assert (tmp_path / "run1-csv/metrics.csv").is_file()

    compare = subprocess.run(
        ["labsys", "compare", "S01/2026-01-10", "S01/2026-04-12", "--json"],
        cwd=tmp_path / "mylab", env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = json.loads(compare.stdout)["rows"]
    (goal,) = (r for r in rows if r["family"] == "goal")
    assert (goal["id"], goal["side"], goal["verdict"]) == ("hip_ext_pelvis_peak", "left", "larger_than_error")


def test_the_readme_says_how_many_strides_and_what_is_alike() -> None:
    from labsys.longitudinal.compare import MIN_STRIDES_FOR_VERDICT
    from labsys.longitudinal.pairing import INCLINE_TOLERANCE_PCT, SPEED_TOLERANCE

    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"At least {MIN_STRIDES_FOR_VERDICT} strides per side" in text
    assert f"speed within {SPEED_TOLERANCE * 100:g} %, incline within {INCLINE_TOLERANCE_PCT:g} %" in text
