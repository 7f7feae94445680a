"""The lab, the catalogue, comparison of two visits, and trends."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

import labsys
from api.catalog import list_angles, list_metrics
from api.dependencies import LabDep, SessionDep, refuse_name
from api.documents import send
from api.errors import problem_responses
from api.index import find_problems
from api.queries import compare_sessions, find_subject, find_trend
from api.schemas_results import LabDocument, MetricEntry, Page, ProblemEntry
from api.views import comparison_document, trend_document
from labsys.core.catalogue import CATALOGUE_VERSION, find_metric
from labsys.core.errors import UnknownNameError
from labsys.core.skeleton import Side

router = APIRouter(tags=["analysis"])

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Code = Annotated[str, Query(pattern=_CODE)]


@router.get("/lab", response_model=LabDocument, responses=problem_responses())
def get_lab(request: Request, db: SessionDep, lab: LabDep) -> Response:
    """The lab, the version that serves it, and what of its folder could not be read."""
    problems = [ProblemEntry(place=p.place, what=p.what, remedy=p.remedy) for p in find_problems(db)]
    document = LabDocument(
        name=lab.name,
        uuid=lab.uuid,
        version=labsys.__version__,
        catalogue_version=CATALOGUE_VERSION,
        problems=problems,
    )
    return send(request, document)


@router.get("/metrics", response_model=Page[MetricEntry], responses=problem_responses())
def list_catalogue_metrics(request: Request) -> Response:
    """Every metric: id, unit, description, sign, zero, minimum tier, error and its source, definition version."""
    return send(request, Page(items=list_metrics(), next_cursor=None))


@router.get("/angles", response_model=Page[MetricEntry], responses=problem_responses())
def list_catalogue_angles(request: Request) -> Response:
    """Every angle: id, unit, description, sign, zero, minimum tier, definition version."""
    return send(request, Page(items=list_angles(), next_cursor=None))


@router.get("/compare", responses=problem_responses(404))
def compare(request: Request, db: SessionDep, subject: Code, pre: Code, post: Code) -> Response:
    """Two visits of one subject against the measurement error, as `labsys compare A B --json` prints them."""
    return send(request, comparison_document(compare_sessions(db, subject, pre, post)))


@router.get("/trend", responses=problem_responses(404))
def trend(
    request: Request, db: SessionDep, subject: Code, metric: Annotated[str, Query(max_length=64)], side: Side
) -> Response:
    """One metric and side over all visits of a subject, one series per condition."""
    try:
        find_metric(metric)
    except UnknownNameError as error:
        raise refuse_name(error) from error
    find_subject(db, subject)
    return send(request, trend_document(find_trend(db, subject, metric, side), subject))
