"""Runs: one processing of a trial, written once, in runs/<run>/; `current` names the run that counts.

A run is made in the hidden runs/.work/<run>/, under an exclusive lock that the system releases when its holder dies.
Each stage's files are hashed into a completion marker, so that a resumed run knows what is whole and throws the rest
away. Finishing renames the folder into place and then writes `current`; a reader never sees half a run.
"""

from labsys.storage.atomic import hash_file
from labsys.storage.current_runs import clear_current_run, current_run, set_current_run
from labsys.storage.finished_runs import (
    RunRecord,
    is_complete,
    list_runs,
    load_run,
    run_file,
    run_folder,
    run_identity,
    verify_run,
)
from labsys.storage.staged_runs import StagedRun, open_run, settle_run

__all__ = [
    "RunRecord",
    "StagedRun",
    "clear_current_run",
    "current_run",
    "hash_file",
    "is_complete",
    "list_runs",
    "load_run",
    "open_run",
    "run_file",
    "run_folder",
    "run_identity",
    "set_current_run",
    "settle_run",
    "verify_run",
]
