"""The checks of the long studies can fail."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.accept.pieces import read_pieces
from tests.accept.uncertainty import Held, NotReached, judge_share, share
from tests.accept.uncertainty_report import by_case, pooled, report_lines
from tests.accept.uncertainty_study import CALIBRATED, EXACT, NOISES

MISSED = NotReached((0.85, 0.93), "a reason")


@pytest.mark.parametrize(
    ("mean", "expected", "said"),
    [
        (0.95, None, ""),
        (0.918, None, ""),
        (0.90, None, "not 0.93 to 0.97"),
        (0.995, None, "not 0.93 to 0.97"),
        (0.88, MISSED, ""),
        (0.82, MISSED, "not 0.85 to 0.93"),
        (0.99, MISSED, "not 0.85 to 0.93"),
        (0.94, MISSED, "take it off the list"),
        (math.nan, None, "not 0.93"),
        (math.nan, MISSED, "not 0.85"),
    ],
)
def test_a_share_is_judged_by_what_is_asked_for_or_known_to_be_missed(
    mean: float, expected: NotReached | None, said: str
) -> None:
    found = judge_share(mean, 0.01, expected)
    assert said in found
    assert bool(found) == bool(said)


def test_captures_of_one_runner_count_as_alike() -> None:
    values = [0.9, 0.9, 0.9, 1.0, 1.0, 1.0]
    apart, alike = share(values, range(6)), share(values, [1, 1, 1, 2, 2, 2])
    assert apart[0] == alike[0] == pytest.approx(0.95)
    assert apart[1] == pytest.approx(0.05 / math.sqrt(5))
    assert alike[1] == pytest.approx(0.05)
    assert math.isnan(share(values, [7] * 6)[1])


def test_every_capture_is_in_the_study_once_and_the_first_of_all_runners_come_first() -> None:
    assert len(set(CALIBRATED)) == len(CALIBRATED) == 64
    assert {runner for runner, _ in CALIBRATED[:32]} == {runner for runner, _ in EXACT} == set(range(41, 49))


def test_pieces_of_the_study_of_intervals_come_back_and_make_its_section(tmp_path: Path) -> None:
    def held(noise: str, capture: int, inside: bool) -> Held:
        angle, metrics = "pelvis_tilt, both", ("cadence, both", "pelvis_rot_rom, both", "speed, both")
        return Held(
            noise=noise,
            calibrated=True,
            capture=capture,
            points=[0.9, 1.0],
            angles={angle: 0.94},
            angle_rms_deg={angle: (0.3, 0.4)},
            metrics={**dict.fromkeys(metrics, inside), "knee_flex_at_fs, left": True},
            metric_errors=dict.fromkeys((*metrics, "knee_flex_at_fs, left"), 0.5),
        )

    rows = [held(noise, capture, capture != 4100) for noise in NOISES for capture in (4100, 4101, 4200)]
    path = tmp_path / "a.jsonl"
    # What an interrupted piece measured twice counts once.
    path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in [*rows, rows[0]]))
    found = read_pieces([path], Held, lambda h: (h.noise, h.capture))
    assert len(found) == len(rows)
    shares = pooled(by_case(found)["dlc_like", True])
    assert shares["3D points"] == (pytest.approx(0.95), pytest.approx(0.0, abs=1e-12))
    assert shares["ranges over the stride"][0] == pytest.approx(2 / 3)
    text = "\n".join(report_lines(by_case(found)))
    assert "2 runners, captures of 14 s" in text
    assert "| angles | dlc_like | yes | 3 | 111 | 94.0 ± 0.0 % |" in text
    assert "| `pelvis_tilt` both | 94 % | 0.30 | 0.40 | 94 % | 0.30 | 0.40 |" in text
