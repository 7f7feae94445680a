"""The lab, the catalogue, comparison of two visits, and trends."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from sqlalchemy.orm import Session

import labsys
from api.counting import Counting, counting_as_of, errors_as_of
from api.dependencies import LabDep, SessionDep, refusing_names
from api.documents import send
from api.errors import problem_responses
from api.indexing.index import find_problems
from api.lab_errors import lab_errors, learnt_errors, plan_for
from api.queries import find_subject, find_trend, find_visit
from api.releases import as_of_document
from api.routing import Router
from api.schemas.results import LabDocument, MetricEntry, Page, ProblemEntry
from api.views.catalog import list_angles, list_metrics
from api.views.compared import compared_document
from api.views.curve_changes import compare_curves
from api.views.reliability import plan_document, reliability_document
from api.views.trend import trend_document
from labsys.core.catalogue import ANGLES, CATALOGUE_VERSION, find_angle, find_metric
from labsys.core.errors import InputError
from labsys.core.skeleton import Side, Tier

router = Router(tags=["analysis"])

_CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Code = Annotated[str, Query(pattern=_CODE)]
AsOf = Annotated[
    str | None, Query(pattern=_CODE, description="A named release: numbers, errors and verdicts as they were in it")
]


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
def list_catalogue_metrics(request: Request, lab: LabDep) -> Response:
    """Every metric: id, unit, description, sign, zero, minimum tier, error and its source, definition version."""
    return send(request, Page(items=list_metrics(lab_errors(lab)), next_cursor=None))


@router.get("/angles", response_model=Page[MetricEntry], responses=problem_responses())
def list_catalogue_angles(request: Request) -> Response:
    """Every angle: id, unit, description, sign, zero, minimum tier, definition version."""
    return send(request, Page(items=list_angles(), next_cursor=None))


@router.get("/compare", responses=problem_responses(404))
def compare(
    request: Request, db: SessionDep, lab: LabDep, subject: Code, pre: Code, post: Code, as_of: AsOf = None
) -> Response:
    """Two visits of one subject against the measurement error, as `labsys compare A B --json` prints them."""
    return send(request, compared_document(db, lab, subject, pre, post, counting=_counting(db, as_of)))


@router.get("/compare/curves", responses=problem_responses(404))
def compare_stride_curves(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    subject: Code,
    pre: Code,
    post: Code,
    angle: Annotated[str | None, Query(max_length=64)] = None,
    as_of: AsOf = None,
) -> Response:
    """Angles over the stride of two visits, as `labsys compare A B --curves --json` prints them."""
    with refusing_names():
        find_angle(angle or ANGLES[0].id)
    counting = _counting(db, as_of)
    if pre == post:
        raise InputError(f"session '{pre}' cannot be compared with itself", remedy="Name two sessions")
    visits = (find_visit(db, subject, code, counting=counting) for code in (pre, post))
    curves = compare_curves(lab, *visits, angle=angle)
    return send(request, {"subject": subject, "pre": pre, "post": post, "curves": curves})


@router.get("/trend", responses=problem_responses(404))
def trend(
    request: Request,
    db: SessionDep,
    lab: LabDep,
    subject: Code,
    metric: Annotated[str, Query(max_length=64)],
    side: Side,
    as_of: AsOf = None,
) -> Response:
    """One metric and side over all visits of a subject, one series per condition."""
    with refusing_names():
        definition = find_metric(metric)
    if as_of is not None or side not in definition.sided.sides:
        find_subject(db, subject)  # where more is wrong, it is the subject that is told of
    counting = _counting(db, as_of)
    found = find_trend(db, errors_as_of(lab, counting), subject, metric, side, counting=counting)
    return send(request, trend_document(found, subject, as_of=as_of_document(db, counting)))


def _counting(db: Session, as_of: str | None) -> Counting:
    with refusing_names():
        return counting_as_of(db, as_of)


@router.get("/reliability", responses=problem_responses())
def reliability(request: Request, lab: LabDep) -> Response:
    """What the lab learnt of its own error and what counts now; `name` is null and `rows` empty before the first."""
    return send(request, reliability_document(learnt_errors(lab)))


@router.get("/reliability/plan", responses=problem_responses())
def plan(
    request: Request,
    lab: LabDep,
    metric: Annotated[str, Query(max_length=64)],
    change: Annotated[float, Query(gt=0, allow_inf_nan=False, description="In the metric's unit")],
    tier: Tier = Tier.T3,
) -> Response:
    """How many captures per visit see a change of that size, as `labsys reliability --plan` prints it."""
    with refusing_names():
        found = plan_for(lab, metric, change, tier)
    return send(request, plan_document(found))
