"""The checks of the long studies can fail."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from labsys.core.errors import InputError, LabsysError, MissingPartError
from tests.accept import filmed_study
from tests.accept.filmed_report import errors_deg, filmed_lines
from tests.accept.filmed_study import CHANGES, FilmedSeed, film_missing, film_seed, read_kept
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


def _filmed(seed: int, code: str, *, error: float, held: bool) -> FilmedSeed:
    changes = [
        {"id": metric, "side": side.value, "truth": 6.0, "measured": 6.0 + error, "ci95": [5.0, 7.0 if held else 5.5]}
        for metric, sides in CHANGES.values()
        for side in sides
    ]
    strides = [{"id": filmed_study.COUNTED, "n": 27, "ci95": None, "truth": 40.0}]
    return FilmedSeed(seed, code, f"c{code}", "2026-01-01", "m", False, 4.0, 0.6, 600.0, strides, changes)


def test_filmed_seeds_are_kept_and_those_of_other_code_are_filmed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def film(seed: int, *, quick: bool) -> FilmedSeed:
        if seed == 102 and 102 not in made:
            made.append(seed)
            raise KeyboardInterrupt  # a session ends in the middle
        made.append(seed)
        return _filmed(seed, filmed_study.studied_code(), error=0.5, held=True)

    monkeypatch.setattr(filmed_study, "film_seed", film)
    path = tmp_path / "kept.jsonl"
    monkeypatch.setattr(filmed_study, "studied_code", lambda: "old")
    film_missing([101], path=path)
    monkeypatch.setattr(filmed_study, "studied_code", lambda: "new")
    with pytest.raises(KeyboardInterrupt):
        film_missing([100, 101, 102], path=path)
    answers = film_missing([100, 101, 102], path=path)
    assert made == [101, 100, 101, 102, 102]
    assert [(a.seed, a.code) for a in answers] == [(100, "new"), (101, "new"), (102, "new")]
    assert [(a.seed, a.code) for a in read_kept(path)] == [(100, "new"), (101, "new"), (101, "old"), (102, "new")]


def test_filmed_seeds_of_other_code_stand_marked_in_the_table() -> None:
    answers = [_filmed(100, "new", error=-0.5, held=True), _filmed(101, "old", error=2.0, held=False)]
    text = "\n".join(filmed_lines(answers, "new"))
    assert "| 101 | 4.0° | +2.0, +2.0 | +2.0 | +2.0, +2.0 | 10 | cold * |" in text
    assert "| 100 | 4.0° | -0.5, -0.5 | -0.5 | -0.5, -0.5 | 10 | cnew |" in text
    assert "Of other code than the document's: those of cold" in text
    assert "| hip-extension excursion | 4 | +6.0 to +6.0 | +0.75 | 1.25 | 2.00 | 2 of 4 |" in text
    assert errors_deg(answers, "pelvic rotation range").tolist() == [-0.5, 2.0]
    assert "Of other code" not in "\n".join(filmed_lines(answers[:1], "new"))


def test_a_filmed_seed_that_measured_nothing_is_told_as_such() -> None:
    answer = _filmed(100, "new", error=0.0, held=True)
    nothing = replace(answer, changes=[{**row, "measured": None, "ci95": None} for row in answer.changes])
    text = "\n".join(filmed_lines([nothing], "new"))
    assert "| hip-extension excursion | 0 | +6.0 to +6.0 | none measured | | | 0 of 0 |" in text
    assert "| 100 | 4.0° | +nan, +nan | +nan | +nan, +nan | 10 | cnew |" in text


def test_a_filmed_seed_that_is_refused_is_kept_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("the static trial is of another body", where="D01")

    monkeypatch.setattr(filmed_study, "check_film", lambda _: SimpleNamespace(identity="m"))
    monkeypatch.setattr(filmed_study, "film_demo", refuse)
    monkeypatch.setattr(filmed_study, "studied_code", lambda: "new")
    refused = film_seed(104, quick=True)
    assert (refused.visits, refused.changes) == ([], [])
    assert "of another body" in refused.refused
    text = "\n".join(filmed_lines([replace(_filmed(100, "new", error=0.5, held=True), quick=True), refused], "new"))
    assert "2 seeds, 27 to 27 valid strides a side. **1 of them refused**" in text
    assert "| 104 | " in text
    assert "refused: " in text.splitlines()[-1]
    assert "none measured" in "\n".join(filmed_lines([refused], "new"))


@pytest.mark.parametrize("error", [MissingPartError("no DeepLabCut"), LabsysError("the network's process was killed")])
def test_a_machine_that_fails_is_no_refusal_of_the_seed(
    error: LabsysError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(filmed_study, "check_film", lambda _: SimpleNamespace(identity="m"))
    monkeypatch.setattr(filmed_study, "film_demo", fail)
    monkeypatch.setattr(filmed_study, "studied_code", lambda: "new")
    with pytest.raises(type(error)):
        film_missing([104], quick=True, path=tmp_path / "kept.jsonl")
    assert not (tmp_path / "kept.jsonl").exists()
