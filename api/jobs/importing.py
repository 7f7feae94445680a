"""The job that makes a trial of uploaded files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from api.indexing.index import index_subject
from api.jobs.pausing import HOLDING_DATABASE
from api.moments import parse_moment, show_moment
from api.uploads import find_upload, naming_uploads
from calibration.align import WorldAxes
from labsys.core.errors import InputError
from labsys.core.progress import Progress
from labsys.core.session import Conditions, Surface, TrialKind, TrialName
from labsys.storage.lab import Lab
from labsys.storage.takes import has_take, load_take
from pipelines.importing.request import ImportRequest
from pipelines.importing.trial import ImportReport, import_trial
from pipelines.stale import retire_stale_runs


def import_once(lab: Lab, name: TrialName, job: Mapping[str, Any], progress: Progress) -> list[str]:
    """Import what a RecordingNew says, unless an earlier attempt of this very job did, and index it; the remarks.

    Raises:
        InputError: the trial has a take of someone else, an upload is gone, or as `import_trial`.
    """
    mark = f"import job {job['id']}" if "id" in job else ""
    remarks: tuple[str, ...] = ()
    # Written whole or not at all; but its attempt may have ended before anything else was done.
    if not (mark and has_take(lab, name) and mark in load_take(lab, name).notes):
        remarks = _import_uploads(lab, name, job["parameters"], mark, progress).remarks
    retire_stale_runs(lab, name.subject, name.session)
    with HOLDING_DATABASE:
        index_subject(lab, name.subject)
    return list(remarks)


def _import_uploads(lab: Lab, name: TrialName, said: Mapping[str, Any], mark: str, progress: Progress) -> ImportReport:
    with naming_uploads(lab) as folder:
        request = replace(_request(lab, name, said, folder), asked_by=mark)
        return import_trial(lab, request, progress=progress)


def _request(lab: Lab, name: TrialName, said: Mapping[str, Any], folder: Path) -> ImportRequest:
    under = said["conditions"]
    surface = under["surface"]

    def single(kind: str) -> Path | None:
        return _place(lab, said[kind], folder, kind) if said[kind] else None

    def cameras(kind: str) -> dict[str, Path]:
        return {camera: _place(lab, file, folder, f"{kind}-{camera}") for camera, file in said[kind].items()}

    return ImportRequest(
        name=name,
        kind=TrialKind(said["kind"]),
        conditions=Conditions(**{**under, "surface": None if surface is None else Surface(surface)}),
        static=said["static"] or "",
        recorded_at=show_moment(parse_moment(said["recorded_at"])) if said["recorded_at"] else "",
        notes=said["notes"],
        rate_hz=said["rate_hz"],
        videos=cameras("videos"),
        landmarks2d=cameras("landmarks2d"),
        timestamps=single("timestamps"),
        calibration=single("calibration"),
        world_axes=WorldAxes.parse(said["world_axes"]) if said["world_axes"] else None,
        markers=single("markers"),
        marker_map=single("marker_map"),
    )


def _place(lab: Lab, file: Mapping[str, Any], folder: Path, name: str) -> Path:
    """The uploaded file under a name of ours, with the ending that its reader expects."""
    found = find_upload(lab, file["sha256"])
    if found is None:
        raise InputError(f"the upload of {file['name']} was removed", remedy="Upload it and send the recording again")
    path = folder / f"{name}{PurePosixPath(file['name']).suffix}"
    os.link(found.path, path)
    return path
