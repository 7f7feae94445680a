"""One run of a trial, read into rows: what made it, its files, and its metrics with the conditions they belong to."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from api.database.tables import RunRow, SessionRow, TrialRow
from api.indexing.gather_files import file_row
from api.moments import parse_moment
from labsys.core.arrays import FloatArray
from labsys.core.catalogue import find_metric
from labsys.core.motion import Metric, Quality
from labsys.core.session import TrialName
from labsys.core.skeleton import Side, Tier
from labsys.storage.atomic import read_json
from labsys.storage.calibrations import calibration_folder
from labsys.storage.finished_runs import RUN_FILE
from labsys.storage.lab import Lab
from labsys.storage.motion_tables import read_metrics
from labsys.storage.runs import RunRecord, current_run, run_folder
from labsys.storage.stride_tables import read_stride_values, read_strides
from labsys.storage.takes import has_take
from labsys.storage.trials import load_trial
from pipelines.trial_inputs import calibrated_take

_HASH = re.compile(r"\b[0-9a-f]{12,64}\b")


@dataclass(frozen=True)
class RunRows:
    """A run's row, its files and its numbers (column -> value, per metric and side). written_at: when it became whole,
    which a crash may have put off for longer than its stages took."""

    run: RunRow
    written_at: datetime
    files: list[dict[str, Any]]
    numbers: list[dict[str, Any]]

    def metric_rows(self, trial: TrialRow, current: RunRows | None, changed_at: str | None) -> list[dict[str, Any]]:
        """The numbers with their conditions. `current` is the run that counts: its coming changed the others;
        changed_at: when another run was chosen, or none, or the trial came back."""
        shared = _conditions(trial) | _made_by(self.run)
        moments = [trial.updated_at, trial.session.updated_at, self.run.finished_at, self.written_at]
        moments += [trial.session.episode.updated_at] if trial.session.episode else []
        moments += [current.run.finished_at, current.written_at] if current else []
        moments += [parse_moment(changed_at)] if changed_at else []
        excluded = {"quality": Quality.EXCLUDED} if trial.excluded else {}
        return [shared | numbers | excluded | {"updated_at": max(moments)} for numbers in self.numbers]


def gather_run(lab: Lab, name: TrialName, trial: TrialRow, record: RunRecord) -> RunRows:
    """Read one complete run (InputError, UnknownNameError)."""
    folder = run_folder(lab, name, record.run)
    strides = [s.side for s in read_strides(folder / "strides.parquet") if s.valid]
    tier = read_json(folder / "findings.json")["tier"]
    made = record.provenance
    started = parse_moment(made.started_at)
    run = RunRow(
        trial_id=trial.id,
        trial=trial,
        run=record.run,
        is_current=record.run == current_run(lab, name),
        started_at=started,
        finished_at=started + timedelta(seconds=sum(s for s in made.seconds.values() if math.isfinite(s))),
        pipeline_version=made.version,
        definition_version=made.definition_version,
        model=made.model,
        calibration=made.calibration,
        heading_known=record.heading_known,
        static=made.static,
        static_shares_calibration=_shares_calibration(lab, name, made.static, made.calibration),
        not_for_comparison=record.not_for_comparison,
        tier=None if tier is None else int(Tier[tier]),
        n_strides_left=strides.count(Side.LEFT),
        n_strides_right=strides.count(Side.RIGHT),
        inputs=dict(sorted(made.inputs.items())),
        parameters=dict(sorted(made.parameters.items())),
        seconds=dict(sorted(made.seconds.items())),
        **_calibration_columns(lab, made.calibration),
    )
    written_at = datetime.fromtimestamp((folder / RUN_FILE).stat().st_mtime, UTC)
    return RunRows(run, written_at, _run_files(lab, name, trial, record), _numbers(folder))


def _calibration_columns(lab: Lab, name: str) -> dict[str, Any]:
    if not name:
        return {"calibration_grade": None, "up_sd_rad": None, "heading_sd_rad": None, "camera_turns": {}}
    # Here, because tables use what else is in this file, and the service must start without OpenCV and scipy.
    from calibration.formats import read_calibration

    calibration = read_calibration(calibration_folder(lab, name) / "calibration.toml")
    return {
        "calibration_grade": calibration.grade,
        "up_sd_rad": finite_or_none(calibration.up_sd_rad),
        "heading_sd_rad": finite_or_none(calibration.heading_sd_rad),
        "camera_turns": {c.name: [float(v) for v in c.T_cam_lab.as_rotvec()] for c in calibration.rig.cameras},
    }


def _shares_calibration(lab: Lab, name: TrialName, static: str, calibration: str) -> bool:
    if not static or not calibration:
        return False
    of_static = TrialName(name.subject, name.session, static.rsplit("/", 1)[-1])
    if not has_take(lab, of_static):
        return False
    return calibrated_take(lab, load_trial(lab, of_static)).calibration == calibration


def _run_files(lab: Lab, name: TrialName, trial: TrialRow, record: RunRecord) -> list[dict[str, Any]]:
    folder = run_folder(lab, name, record.run).relative_to(lab.root).as_posix()
    own = sorted(path for path in record.files if path not in record.inherited)
    hashes = {path: record.files[path] for path in own}
    return [file_row(lab, trial, f"{folder}/{p}", kind="result", sha256=h, run=record.run) for p, h in hashes.items()]


def _numbers(folder: Path) -> list[dict[str, Any]]:
    strides = {(v.id, v.side): v.values for v in read_stride_values(folder / "stride_values.parquet")}
    metrics = read_metrics(folder / "metrics.parquet")
    return [_metric_numbers(m, strides.get((m.id, m.side), np.empty(0))) for m in metrics]


def _metric_numbers(metric: Metric, values: FloatArray) -> dict[str, Any]:
    find_metric(metric.id)  # a metric that the catalogue does not know has no unit and cannot be shown
    median, p05, p95 = _percentiles(values)
    return {
        "metric": metric.id,
        "side": metric.side,
        "n": metric.n,
        "mean": finite_or_none(metric.mean),
        "sd": finite_or_none(metric.sd),
        "median": median,
        "p05": p05,
        "p95": p95,
        "lag1": finite_or_none(metric.lag1),
        "ci95_low": finite_or_none(metric.ci95[0]),
        "ci95_high": finite_or_none(metric.ci95[1]),
        "ci95_strides_low": finite_or_none(metric.ci95_strides[0]),
        "ci95_strides_high": finite_or_none(metric.ci95_strides[1]),
        "se_reconstruction": finite_or_none(metric.se_reconstruction),
        "sem_measurement": finite_or_none(metric.sem_measurement),
        "sem_source": metric.sem_source,
        "provisional": metric.provisional,
        "quality": metric.quality,
        "interpolated_share": finite_or_none(metric.interpolated_share),
        "reason": metric.reason,
    }


def _percentiles(values: FloatArray) -> tuple[float | None, float | None, float | None]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return None, None, None
    median, p05, p95 = (float(v) for v in np.percentile(finite, (50.0, 5.0, 95.0)))
    return median, p05, p95


def finite_or_none(value: float) -> float | None:
    """NaN and infinity are NULL: SQLite cannot keep them apart."""
    return float(value) if math.isfinite(value) else None


def _conditions(trial: TrialRow) -> dict[str, Any]:
    session: SessionRow = trial.session
    episode = session.episode
    return {
        "trial_id": trial.id,
        "subject": session.subject.code,
        "episode": episode.label if episode else None,
        "phase": session.phase,
        "weeks_from_index": weeks_between(session.captured_at, episode.index_date) if episode else None,
        "session": session.code,
        "captured_at": session.captured_at,
        "trial": trial.code,
        "kind": trial.kind,
        "surface": trial.surface,
        "speed_mps": trial.speed_mps,
        "incline_pct": trial.incline_pct,
        "footwear": trial.footwear,
    }


def weeks_between(captured_at: datetime, index_date: date) -> float:
    """Weeks from an episode's index date to a visit; negative before."""
    return (captured_at.date() - index_date).days / 7.0


def _made_by(run: RunRow) -> dict[str, Any]:
    found = _HASH.search(run.model)
    return {
        "run": run.run,
        "tier": run.tier,
        "definition_version": run.definition_version,
        "not_for_comparison": run.not_for_comparison,
        "calibration_grade": run.calibration_grade,
        "is_current": run.is_current,
        "pipeline_version": run.pipeline_version,
        "model_hash": found[0] if found else None,
    }
