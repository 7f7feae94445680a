"""One run of one trial from the lab's files, as the terminal, HTTP and the report show it."""

from __future__ import annotations

from typing import Any

from api.views.results import trial_document
from labsys.core.references import sex_word
from labsys.core.session import TrialName
from labsys.storage.lab import Lab
from labsys.storage.results import load_trial_result
from labsys.storage.subjects import load_subject
from pipelines.screening import lab_references


def load_trial_document(lab: Lab, name: TrialName, run: str | None = None) -> dict[str, Any]:
    """One run, as `labsys show TRIAL --json` prints it; without `run` the one that counts.

    Raises:
        UnknownNameError: no such trial or run. InputError: nothing was processed yet, or a file cannot be read.
    """
    result = load_trial_result(lab, name, run)
    sex = sex_word(load_subject(lab, name.subject).sex)
    return trial_document(result, references=lab_references(lab), sex=sex)
