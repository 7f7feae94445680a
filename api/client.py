"""A thin client of the service for Python: documents as the service types them, tables as pandas.

    with LabClient.connect("http://127.0.0.1:8000", key="lab_…") as lab:
        frame = lab.trial_metrics(subject="S01", metric=["cadence"])

It keeps nothing and repeats nothing, except that a file that is there already is not sent again. httpx2 comes with the
extra `client`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import pandas as pd
from pydantic import BaseModel

from api.moments import show_moment
from api.schemas.jobs import JobDocument
from api.schemas.releases import ReprocessDocument
from api.schemas.results import MetricEntry, RunMetrics
from api.schemas.sessions import SessionDocument
from api.schemas.subjects import SubjectDocument
from api.schemas.trials import TrialDocument
from api.schemas.uploads import RecordingNew, UploadedFile
from labsys.core.errors import LabsysError
from labsys.storage.atomic import hash_file

Document = TypeVar("Document", bound=BaseModel)
# What makes a row of the flat table unique.
ROW_KEY = ["subject", "session", "trial", "run", "metric", "side"]
_VISIT, _RUN = ROW_KEY[:2], ROW_KEY[:4]
_MADE = ["kind", "surface", "speed_mps", "incline_pct", "footwear", "tier", "definition_version", "pipeline_version"]
# Of each table: what is replaced as a whole when anything in it changed, and what orders the rows within it.
_REFRESHED = {
    "trial_metrics": (ROW_KEY, []),
    "sessions": (_VISIT, []),
    "session_metrics": (_VISIT, ["metric", "side", *_MADE, "model_hash", "trials"]),
    "strides": (_RUN, ["metric", "side", "stride"]),
    "curves": (_RUN, ["angle", "side", "percent"]),
}
_API = "/api/v1"
# A result is stamped when it is written. Where the worker is killed before it is indexed, another one indexes it when
# the lease has ended, and after the jobs that go first; rows that come twice do no harm.
_OVERLAP = timedelta(hours=1)
_CHUNK = 1 << 20


class ServiceError(LabsysError):
    """The service refused. status: of HTTP; kind: the problem's type, the same for the same cause."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.kind = status, str(problem.get("type", ""))
        what = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        super().__init__(what, where=str(problem.get("instance", "")), remedy=str(problem.get("remedy", "")))


class LabClient:
    """One lab's service, spoken to through an HTTP client that knows its address and key."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    @classmethod
    def connect(cls, url: str, *, key: str | None = None, timeout_s: float = 30.0) -> Self:
        """A client of the service at `url`, with a key of `labsys key create` where the lab is closed."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return cls(httpx2.Client(base_url=url, headers=headers, timeout=timeout_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._http.close()

    def subjects(self) -> Iterator[SubjectDocument]:
        """Every subject."""
        return self._items("subjects", SubjectDocument, {})

    def sessions(self, **filters: str) -> Iterator[SessionDocument]:
        """Sessions by time; filters: subject, episode, phase."""
        return self._items("sessions", SessionDocument, filters)

    def trials(self, **filters: str) -> Iterator[TrialDocument]:
        """Trials by time; filters: subject, session, kind."""
        return self._items("trials", TrialDocument, filters)

    def metrics(self) -> Iterator[MetricEntry]:
        """The catalogue: unit, sign, zero and error of every metric."""
        return self._items("metrics", MetricEntry, {})

    def trial_result(self, trial: str) -> RunMetrics:
        """The metrics of the run that counts; trial is SUBJECT/SESSION/TRIAL."""
        return RunMetrics.model_validate(self._ask("GET", f"trials/{trial}/metrics").json())

    def compare(self, subject: str, pre: str, post: str, *, as_of: str | None = None) -> dict[str, Any]:
        """What changed between two sessions, now or as of a release, as `labsys compare --json` says it."""
        return self._document("compare", {"subject": subject, "pre": pre, "post": post, **_release(as_of)})

    def trend(self, subject: str, metric: str, side: str, *, as_of: str | None = None) -> dict[str, Any]:
        """One metric over all visits, now or as of a release, a series per condition."""
        return self._document("trend", {"subject": subject, "metric": metric, "side": side, **_release(as_of)})

    def trial_report(self, trial: str, *, format: str = "pdf", as_of: str | None = None) -> bytes:
        """The report of a trial, now or as of a release, as "pdf" or "html"."""
        return self._ask("GET", f"trials/{trial}/report", params={"format": format, **_release(as_of)}).content

    def comparison_report(
        self, subject: str, pre: str, post: str, *, format: str = "pdf", as_of: str | None = None
    ) -> bytes:
        """The report of two sessions, now or as of a release, as "pdf" or "html"."""
        asked = {"subject": subject, "pre": pre, "post": post, "format": format, **_release(as_of)}
        return self._ask("GET", "compare/report", params=asked).content

    def table(self, name: str, **filters: Any) -> pd.DataFrame:
        """A flat table: trial_metrics, sessions, session_metrics, strides or curves; filters are those of
        GET /tables/NAME, a list where one may be repeated."""
        return self._table(name, filters)[0]

    def trial_metrics(self, **filters: Any) -> pd.DataFrame:
        """The flat table; filters are those of GET /tables/trial_metrics, a list where one may be repeated."""
        return self.table("trial_metrics", **filters)

    def refresh_table(
        self, name: str, held: pd.DataFrame | None, since: datetime | None, **filters: Any
    ) -> tuple[pd.DataFrame, datetime]:
        """A flat table with all its columns brought up to date: only what changed is asked for.

        Args:
            held, since: what this returned before, under the same filters; None and None the first time.

        Returns:
            The rows as a full refresh would give them, in order of their key; and the time to give as `since` next.
        """
        unit, within = _REFRESHED[name]
        order = [*unit, *within]
        if held is None or since is None:
            frame, asked_at = self._table(name, filters)
            return frame.sort_values(order, ignore_index=True), asked_at
        changed, asked_at = self._table(name, {**filters, "updated_since": show_moment(since - _OVERLAP)})
        told = pd.MultiIndex.from_frame(changed[unit])
        kept = held[~pd.MultiIndex.from_frame(held[unit]).isin(told)]
        there = changed[~changed["deleted"]].astype(dict(held.dtypes))
        return pd.concat([kept, there]).sort_values(order, ignore_index=True), asked_at

    def refresh_trial_metrics(
        self, held: pd.DataFrame | None, since: datetime | None, **filters: Any
    ) -> tuple[pd.DataFrame, datetime]:
        """As `refresh_table` of `trial_metrics`."""
        return self.refresh_table("trial_metrics", held, since, **filters)

    def upload(self, path: Path) -> UploadedFile:
        """Send a file, unless it is there already."""
        file = UploadedFile(sha256=hash_file(path), name=path.name)
        if self._http.get(f"{_API}/uploads/{file.sha256}").status_code != 200:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
            self._ask("PUT", f"uploads/{file.sha256}", content=_blocks(path), headers=headers)
        return file

    def send_recording(self, recording: RecordingNew) -> JobDocument:
        """Make a trial of uploaded files and process it."""
        answer = self._ask("POST", "recordings", json=recording.model_dump(mode="json", exclude_unset=True))
        return JobDocument.model_validate(answer.json())

    def process(self, trial: str, **asked: Any) -> JobDocument:
        """Process a trial; `asked` are fields of POST /jobs (profile, settings, from_stage, gpu, priority)."""
        return JobDocument.model_validate(
            self._ask("POST", "jobs", json={"kind": "process", "target": trial, **asked}).json()
        )

    def reprocess(self, subject: str | None = None, **asked: Any) -> ReprocessDocument:
        """Process trials of a subject, or all, anew beside what counts; `asked`: fields of POST /releases/candidate."""
        answer = self._ask("POST", "releases/candidate", json={"subject": subject, **asked})
        return ReprocessDocument.model_validate(answer.json())

    def watch(self, job: str, *, every_s: float = 0.5) -> Iterator[JobDocument]:
        """A job now, at every change, and at its end."""
        said = None
        while True:
            document = JobDocument.model_validate(self._ask("GET", f"jobs/{job}").json())
            if document != said:
                yield document
                said = document
            if document.state.is_final:
                return
            time.sleep(every_s)

    def _items(self, path: str, kind: type[Document], filters: Mapping[str, str]) -> Iterator[Document]:
        asked = dict(filters)
        while True:
            page = self._ask("GET", path, params=asked).json()
            yield from (kind.model_validate(item) for item in page["items"])
            if page["next_cursor"] is None:
                return
            asked["cursor"] = page["next_cursor"]

    def _document(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("GET", path, params=params).json()
        return found

    def _table(self, name: str, filters: Mapping[str, Any]) -> tuple[pd.DataFrame, datetime]:
        answer = self._ask("GET", f"tables/{name}", params={**filters, "format": "parquet"})
        said = answer.headers.get("date")
        asked_at = parsedate_to_datetime(said) if said else datetime.now(UTC) - answer.elapsed
        return pd.read_parquet(io.BytesIO(answer.content)), asked_at

    def _ask(self, method: str, path: str, **sent: Any) -> httpx2.Response:
        answer = self._http.request(method, f"{_API}/{path}", **sent)
        if answer.is_success:
            return answer
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        raise ServiceError(answer.status_code, answer.json() if is_problem else {})


def _release(as_of: str | None) -> dict[str, str]:
    return {} if as_of is None else {"as_of": as_of}


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            yield block
