"""Making a run: stages one after the other, resumed after a crash, visible only when whole.

Below runs/.work/<run>/ there are `run/` (what becomes the run), `stages/` (one completion marker per stage, with the
SHA-256 of its files) and `lock`. On resuming, every marker is verified; the first stage that is torn and all after it
are thrown away, with every file that no marker owns.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from labsys.core.clock import utc_now
from labsys.core.errors import ConcurrencyError, InputError, NewerSchemaError, UnknownNameError
from labsys.core.session import TrialName, check_code
from labsys.storage.atomic import hash_file, is_there, make_folder, sync_file, sync_folder, sync_tree, write_text_atomic
from labsys.storage.current_runs import set_current_run
from labsys.storage.documents import load_document, save_document
from labsys.storage.finished_runs import (
    PENDING,
    RUN_FILE,
    WORK,
    RunRecord,
    is_complete,
    load_run,
    run_file,
)
from labsys.storage.lab import Lab, runs_folder
from labsys.storage.locks import hold_lock, is_held
from labsys.storage.nouns import list_folder
from labsys.storage.trials import require_trial


@dataclass(frozen=True)
class _StageMarker:
    """Completion of one stage.

    Attributes:
        files: path -> SHA-256. inherited: path -> run that holds the file.
        started_at: when the process that made the stage began. seconds: step -> wall time.
    """

    stage: str
    position: int
    files: Mapping[str, str]
    inherited: Mapping[str, str] = field(default_factory=dict)
    started_at: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


class StagedRun:
    """A run in the making, held by one process. Made by `open_run`."""

    def __init__(self, lab: Lab, name: TrialName, run_id: str) -> None:
        self._lab, self._name, self._run_id = lab, name, run_id
        self._opened_at = utc_now()
        self._work = _work_folder(lab, name, run_id)
        make_folder(self.folder)
        make_folder(self._work / "stages")
        self._markers = self._recover()

    @property
    def folder(self) -> Path:
        """Where stages write their files (hidden until `finish`)."""
        return self._work / "run"

    @property
    def stages(self) -> tuple[str, ...]:
        """Completed stages in order."""
        return tuple(self._markers)

    @property
    def started_at(self) -> str:
        """When the first of the processes that made this run began; earlier than now where the run was resumed."""
        return next((m.started_at for m in self._markers.values() if m.started_at), self._opened_at)

    @property
    def seconds(self) -> dict[str, float]:
        """Step -> wall time of all completed stages, whichever process made them."""
        return {step: s for marker in self._markers.values() for step, s in marker.seconds.items()}

    def has(self, stage: str) -> bool:
        """Whether the stage is complete; its files were verified against their hashes when the run was opened."""
        return stage in self._markers

    def file(self, path: str) -> Path:
        """Where a completed file of this run is to be read: here, or in the run that holds it (UnknownNameError)."""
        for marker in self._markers.values():
            if path in marker.files:
                return self._locate(path, marker.inherited)
        known = [p for m in self._markers.values() for p in m.files]
        raise UnknownNameError("file", path, valid=known, where=f"run {self._run_id} of {self._name}")

    def complete(self, stage: str, files: Sequence[str], *, seconds: Mapping[str, float] | None = None) -> None:
        """Mark a stage as complete: flush and hash its files (paths relative to `folder`, "/" between parts).

        seconds: step -> wall time of what the stage did.

        Raises:
            InputError: a file is missing, outside the folder, or belongs to another stage.
        """
        for path in files:
            self._check_path(path)
            if not is_there(self.folder / path):
                raise InputError(f"stage {stage} did not write '{path}'", where=str(self.folder))
            sync_file(self.folder / path)
        for folder in {(self.folder / path).parent for path in files}:
            sync_folder(folder)
        self._mark(stage, {path: hash_file(self.folder / path) for path in files}, {}, seconds or {})

    def inherit(self, stage: str, parent: str, files: Sequence[str]) -> None:
        """Mark a stage as taken over from a complete run of the same trial, whose files are referred to.

        Raises:
            UnknownNameError: no such run, or it has no such file. InputError: a file belongs to another stage.
        """
        record = load_run(self._lab, self._name, parent)
        for path in files:
            self._check_path(path)
            if path not in record.files:
                raise UnknownNameError("file", path, valid=record.files, where=f"run {parent} of {self._name}")
        hashes = {path: record.files[path] for path in files}
        self._mark(stage, hashes, {path: record.inherited.get(path, parent) for path in files}, {})

    def finish(self, record: RunRecord, *, beside: bool = False) -> Path:
        """Write run.json, make the run visible and, unless it is made beside what counts, current; returns its folder.

        Raises:
            InputError: the record names another run, or the folder holds a file that no stage completed.
        """
        if record.run != self._run_id:
            raise InputError(f"the record is of run {record.run}", where=f"run {self._run_id} of {self._name}")
        owned = {p: h for m in self._markers.values() for p, h in m.files.items()}
        inherited = {p: r for m in self._markers.values() for p, r in m.inherited.items()}
        strangers = sorted(self._present() - (owned.keys() - inherited.keys()) - {RUN_FILE})
        if strangers:
            raise InputError(f"no stage completed '{strangers[0]}'", where=str(self.folder))
        save_document(self.folder / RUN_FILE, replace(record, files=owned, inherited=inherited))
        sync_tree(self.folder)
        return self._publish(beside)

    def _publish(self, beside: bool) -> Path:
        target = runs_folder(self._lab, self._name) / self._run_id
        if beside:
            # An earlier attempt may have been meant to count.
            (self._work / PENDING).unlink(missing_ok=True)
        else:
            write_text_atomic(self._work / PENDING, self._run_id + "\n")
        self.folder.rename(target)
        sync_folder(target.parent)
        sync_folder(self._work)
        if not beside:
            set_current_run(self._lab, self._name, self._run_id)
        return target

    def _locate(self, path: str, inherited: Mapping[str, str]) -> Path:
        if path in inherited:
            return run_file(self._lab, self._name, inherited[path], path)
        return self.folder / path

    def _check_path(self, path: str) -> None:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or str(parts) != path or path == RUN_FILE:
            raise InputError(f"'{path}' is no path inside a run", where=f"run {self._run_id} of {self._name}")
        owner = next((s for s, m in self._markers.items() if path in m.files), None)
        if owner is not None:
            raise InputError(f"'{path}' belongs to stage {owner}", where=f"run {self._run_id} of {self._name}")

    def _mark(
        self, stage: str, files: Mapping[str, str], inherited: Mapping[str, str], seconds: Mapping[str, float]
    ) -> None:
        check_code("stage", stage)
        if stage in self._markers:
            raise InputError(f"stage {stage} is complete already", where=f"run {self._run_id} of {self._name}")
        marker = _StageMarker(stage, len(self._markers), files, inherited, self._opened_at, seconds)
        save_document(self._marker_path(stage), marker)
        self._markers[stage] = marker

    def _marker_path(self, stage: str) -> Path:
        return self._work / "stages" / f"{stage}.json"

    def _present(self) -> set[str]:
        return {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}

    def _recover(self) -> dict[str, _StageMarker]:
        found = [m for m in map(_read_marker, list_folder(self._work / "stages")) if m is not None]
        whole: dict[str, _StageMarker] = {}
        for position, marker in enumerate(sorted(found, key=lambda m: m.position)):
            if marker.position != position or not self._is_whole(marker):
                break
            whole[marker.stage] = marker
        for path in list_folder(self._work / "stages"):
            if path.stem not in whole:
                path.unlink()
        owned = {p for m in whole.values() for p in m.files if p not in m.inherited}
        for stranger in self._present() - owned:
            (self.folder / stranger).unlink()
        return whole

    def _is_whole(self, marker: _StageMarker) -> bool:
        for path, expected in marker.files.items():
            file = self._locate(path, marker.inherited)
            if not is_there(file) or hash_file(file) != expected:
                return False
        return True


def _read_marker(path: Path) -> _StageMarker | None:
    try:
        return load_document(path, _StageMarker)
    except NewerSchemaError:
        raise
    except InputError:
        return None  # a marker that cannot be read vouches for nothing: its stage is done again


@contextmanager
def open_run(lab: Lab, name: TrialName, run_id: str) -> Iterator[StagedRun]:
    """Begin or resume a run. Leaving without `finish` keeps what is complete for the next time.

    Raises:
        ConcurrencyError: another process holds this run. InputError: the run is complete already.
        UnknownNameError: no such trial.
    """
    check_code("run", run_id)
    require_trial(lab, name)
    work = _work_folder(lab, name, run_id)
    try:
        with hold_lock(work / "lock", what=f"run {run_id} of {name}"):
            if is_complete(lab, name, run_id):
                _settle(lab, name, run_id)
                raise InputError(f"run {run_id} of {name} is complete", remedy="Nothing is left to do")
            yield StagedRun(lab, name, run_id)
            _settle(lab, name, run_id)
    finally:
        _remove_if_empty(work)


def refuse_while_running(lab: Lab, name: TrialName) -> None:
    """ConcurrencyError while a run of the trial is being made."""
    for lock in (runs_folder(lab, name) / WORK).glob("*/lock"):
        if is_held(lock):
            raise ConcurrencyError(
                f"run {lock.parent.name} of {name} is being made", where=str(lock), remedy="Wait until it is done"
            )


def settle_run(lab: Lab, name: TrialName, run_id: str) -> None:
    """Finish what a crash between "visible" and "current" left of a complete run; otherwise do nothing.

    Raises:
        ConcurrencyError: another process is just finishing this run.
    """
    work = _work_folder(lab, name, run_id)
    if not is_complete(lab, name, run_id) or not is_there(work):
        return
    with hold_lock(work / "lock", what=f"run {run_id} of {name}"):
        _settle(lab, name, run_id)
    _remove_if_empty(work)


def _settle(lab: Lab, name: TrialName, run_id: str) -> None:
    if not is_complete(lab, name, run_id):
        return
    work = _work_folder(lab, name, run_id)
    if is_there(work / PENDING):
        set_current_run(lab, name, run_id)
    shutil.rmtree(work / "stages", ignore_errors=True)
    for path in work.iterdir():
        if path.name != "lock":
            path.unlink()  # temporary files of writes that a crash cut short
    sync_folder(work)


def _work_folder(lab: Lab, name: TrialName, run_id: str) -> Path:
    return runs_folder(lab, name) / WORK / run_id


def _remove_if_empty(work: Path) -> None:
    # Another process may be making its own run beside this one: then the folder stays.
    for folder in (work, work.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()
