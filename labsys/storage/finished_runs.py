"""Finished runs: reading run.json. Which of them counts is in current_runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labsys.core.errors import InputError, UnknownNameError
from labsys.core.provenance import Provenance
from labsys.core.session import TrialName, check_code
from labsys.storage.atomic import hash_file, is_there
from labsys.storage.documents import load_document
from labsys.storage.lab import Lab, runs_folder
from labsys.storage.nouns import check_place, list_codes, require_known
from labsys.storage.trials import require_trial

RUN_FILE = "run.json"
WORK = ".work"
# In the work folder of a run that is whole but whose name may not have reached `current` yet.
PENDING = "pending"


@dataclass(frozen=True)
class RunRecord:
    """run.json.

    Attributes:
        run: name of the run.
        provenance: what produced it.
        not_for_comparison: why the results must not be compared, or None.
        heading_known: whether LAB's X is the run direction.
        parent: run whose files are referred to, "" if none.
        files: path in the run -> SHA-256. Filled in by `StagedRun.finish`.
        inherited: path -> run that holds the file, for files that this run refers to. Filled in by `finish`.
    """

    run: str
    provenance: Provenance
    not_for_comparison: str | None = None
    heading_known: bool = True
    parent: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    inherited: Mapping[str, str] = field(default_factory=dict)


def run_identity(inputs: Mapping[str, str], parameters: Mapping[str, str], version: str) -> str:
    """Name of the run of these inputs (path -> hash), parameters and version: "r" and 12 hexadecimal digits."""
    identity = {"inputs": dict(inputs), "parameters": dict(parameters), "version": version}
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "r" + hashlib.sha256(text.encode("ascii")).hexdigest()[:12]


def list_runs(lab: Lab, name: TrialName) -> tuple[RunRecord, ...]:
    """All complete runs of a trial, by start time (UnknownNameError: no such trial)."""
    require_trial(lab, name)
    records = (load_run(lab, name, run) for run in run_names(lab, name))
    return tuple(sorted(records, key=lambda r: (r.provenance.started_at, r.run)))


def run_names(lab: Lab, name: TrialName) -> tuple[str, ...]:
    """Names of all complete runs, without reading them."""
    return list_codes(runs_folder(lab, name), RUN_FILE)


def load_run(lab: Lab, name: TrialName, run_id: str) -> RunRecord:
    """Read run.json (UnknownNameError names the nearest run; NewerSchemaError; InputError)."""
    path = run_folder(lab, name, run_id) / RUN_FILE
    record = load_document(path, RunRecord)
    check_place(record.run, run_id, path)
    return record


def is_complete(lab: Lab, name: TrialName, run_id: str) -> bool:
    """Whether this run is there and whole."""
    return is_there(runs_folder(lab, name) / check_code("run", run_id) / RUN_FILE)


def run_folder(lab: Lab, name: TrialName, run_id: str) -> Path:
    """Folder of a complete run (UnknownNameError names the nearest)."""
    if not is_complete(lab, name, run_id):
        require_trial(lab, name)
        require_known("run", run_id, run_names(lab, name), where=f"trial {name}")
    return runs_folder(lab, name) / run_id


def run_file(lab: Lab, name: TrialName, run_id: str, path: str) -> Path:
    """Where a file of a run is: in its folder or in the run's that it refers to.

    Raises:
        UnknownNameError: no such run, or the run has no such file.
    """
    record = load_run(lab, name, run_id)
    if path not in record.files:
        raise UnknownNameError("file", path, valid=record.files, where=f"run {run_id} of {name}")
    return run_folder(lab, name, record.inherited.get(path, run_id)) / path


def verify_run(lab: Lab, name: TrialName, run_id: str) -> None:
    """Compare every file of a run with its hash (InputError names the first that differs or is gone)."""
    record = load_run(lab, name, run_id)
    for path, expected in record.files.items():
        file = run_file(lab, name, run_id, path)
        if hash_file(file) != expected:
            raise InputError("differs from what the run wrote", where=str(file), remedy="Restore it from a backup")
