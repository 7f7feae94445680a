"""The filmed demonstration over seeds and caps: what each seed measured beside its truth, kept seed by seed.

A seed takes many minutes, so that answers are kept in a file beside this one and a study goes on where it was left:

    python -m tests.accept.filmed_study 100 109       those of these seeds that this very code has not answered yet
    python -m tests.accept.filmed_study --write       the table in docs/accuracy.md, of all that are kept

Each answer names its commit and a digest of the code and the model that made it. Rows of other code are marked, and the
test (`test_filmed_demo.py`) judges those of the present code alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from api.commands.comparing import compare_visits_of
from api.database.connection import upgrade_database
from api.views.numbers import interval, outside
from labsys.core.catalogue import find_metric
from labsys.core.errors import GateRefusedError, InputError, MissingPartError
from labsys.core.progress import SilentProgress
from labsys.core.session import Phase
from labsys.core.skeleton import Side
from labsys.core.units import radians
from labsys.storage.lab import Lab, create_lab
from labsys.storage.models import StoredModel
from pipelines.code_version import code_version
from pipelines.demonstration.filmed import SHIPPED_MODEL, check_film, film_demo
from pipelines.demonstration.settings import SHOWN, SUBJECT, VISITS, DemoSettings, DemoVisit
from tests.accept.document import ROOT
from tests.accept.pieces import read_pieces

KEPT = Path(__file__).with_name("filmed_demo.jsonl")
# LABSYS_DEMO_MODEL names another model pack than the shipped one.
MODEL = Path(os.environ.get("LABSYS_DEMO_MODEL", "") or SHIPPED_MODEL)
CHANGES = {
    "hip-extension excursion": ("hip_ext_excursion_stance", (Side.LEFT, Side.RIGHT)),
    "pelvic rotation range": ("pelvis_rot_rom", (Side.BOTH,)),
    "lumbar angle at peak hip extension": ("lumbar_ext_at_peak_hip_ext", (Side.LEFT, Side.RIGHT)),
}
COUNTED = "hip_ext_excursion_stance"  # its strides are those of the trial


@dataclass(frozen=True)
class FilmedSeed:
    """What one seed came to; angles in degrees and all else in outside units.

    Attributes:
        code: digest of the sources and the model that made it; commit: where they stood, with "+" where files differed.
        visits: per visit and metric, `id, side, visit, truth, measured, ci95 (another day), n`.
        changes: per metric of `CHANGES`, `id, side, truth, measured, ci95`.
        refused: why labsys would not measure this seed; then there are neither visits nor changes.
    """

    seed: int
    code: str
    commit: str
    measured_on: str
    model: str
    quick: bool
    cap_deg: float
    lumbar_gain: float
    seconds: float
    visits: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    refused: str = ""

    @property
    def strides(self) -> list[int]:
        """Valid strides of each visit and side."""
        return [row["n"] for row in self.visits if row["id"] == COUNTED]


def cap_deg_of(seed: int) -> float:
    """The cap on hip extension of a seed's first visit, 2 to 9 degrees."""
    return float(np.random.default_rng(seed).uniform(2.0, 9.0))


def film_seed(seed: int, *, quick: bool = False) -> FilmedSeed:
    """Film, calibrate, process and compare one seed, from its first picture to its last number."""
    cap = cap_deg_of(seed)
    settings = DemoSettings(seed=seed, hip_extension_cap_rad=radians(cap)).filmed(quick=quick)
    pack, began = check_film(MODEL), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="labsys-filmed-") as place:
        lab = create_lab(Path(place) / "lab", name="demo")
        upgrade_database(lab)
        workplace = Path(place) / "work"
        workplace.mkdir()
        visits, changes, refused = _measure(lab, settings, pack, workplace)
    seconds = round(time.monotonic() - began, 1)
    return FilmedSeed(
        seed,
        studied_code(),
        _commit(),
        f"{datetime.now(UTC):%Y-%m-%d}",
        pack.identity,
        quick,
        round(cap, 2),
        settings.lumbar_gain,
        seconds,
        [row for visit in visits for row in _visit_rows(visit)],
        changes,
        refused,
    )


def _measure(
    lab: Lab, settings: DemoSettings, pack: StoredModel, workplace: Path
) -> tuple[Sequence[DemoVisit], list[dict[str, Any]], str]:
    """Visits, rows of their changes, and why there are none where labsys refuses what the seed films.

    Raises:
        LabsysError: this machine failed and not the seed (a part is missing, the network's process died): not kept,
            or the seed would never be filmed again.
    """
    try:
        visits = film_demo(lab, settings, pack, workplace=workplace, progress=SilentProgress())
    except MissingPartError:
        raise
    except (InputError, GateRefusedError) as error:
        return (), [], str(error)
    return visits, list(_change_rows(visits, compare_visits_of(lab, SUBJECT, *VISITS.values()))), ""


def _visit_rows(visit: DemoVisit) -> Iterator[dict[str, Any]]:
    for metric in visit.result.motion.metrics:
        truth = visit.truth.get((metric.id, metric.side))
        if metric.id in SHOWN and truth is not None:
            unit = find_metric(metric.id).unit
            yield {
                "id": metric.id,
                "side": metric.side.value,
                "visit": visit.phase.value,
                "truth": outside(truth, unit),
                "measured": outside(metric.mean, unit),
                "ci95": interval(metric.ci95, unit),
                "n": metric.n,
            }


def _change_rows(visits: Sequence[DemoVisit], compared: dict[str, Any]) -> Iterator[dict[str, Any]]:
    truth = {visit.phase: visit.truth for visit in visits}
    means = {v.phase: {(m.id, m.side): m.mean for m in v.result.motion.metrics} for v in visits}
    rows = {(row["id"], row["side"]): row for row in compared["rows"]}
    for metric, sides in CHANGES.values():
        for side in sides:
            key, unit = (metric, side), find_metric(metric).unit
            true, measured = (outside(of[Phase.POST][key] - of[Phase.PRE][key], unit) for of in (truth, means))
            ci95 = rows.get((metric, side.value), {}).get("ci95")
            yield {"id": metric, "side": side.value, "truth": true, "measured": measured, "ci95": ci95}


@cache
def studied_code() -> str:
    """Digest of all that decides an answer: what computes, the synthetic lab and the demonstration, and the model."""
    digest = hashlib.sha256(f"{code_version()}\0{check_film(MODEL).identity}".encode())
    for path in sorted((ROOT / "pipelines" / "synthetic").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--", "labsys", "calibration", "pipelines")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def read_kept(path: Path = KEPT) -> list[FilmedSeed]:
    """All answers that are kept, the latest of each seed, length and code."""
    if not path.is_file():
        return []
    return read_pieces([path], FilmedSeed, lambda a: (a.seed, a.quick, a.code))


def film_missing(seeds: Sequence[int], *, quick: bool = False, path: Path = KEPT) -> list[FilmedSeed]:
    """The answers of the present code to these seeds; those that are missing are filmed, and each is kept at once."""
    found = {a.seed: a for a in read_kept(path) if (a.code, a.quick) == (studied_code(), quick)}
    for seed in seeds:
        if seed not in found:
            found[seed] = film_seed(seed, quick=quick)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(found[seed])) + "\n")
    return [found[seed] for seed in seeds]


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    if arguments == ["--write"]:
        from tests.accept.filmed_report import write_report

        write_report(read_kept())
        return
    first, last = map(int, arguments[:2])
    for answer in film_missing(range(first, last + 1), quick="--quick" in arguments):
        told = {"seed": answer.seed, "seconds": answer.seconds, "changes": answer.changes}
        sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
