"""The rule of every route: the least role, and the scope that a key needs for it.

The names are operation ids. `check_every_route_has_a_rule` runs before an application is made, so that a new route
without a rule never serves anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api.access.roles import Principal, Role, Scope


@dataclass(frozen=True)
class Rule:
    """Who may ask. `role` None: anybody, signed in or not."""

    role: Role | None
    scope: Scope = Scope.READ

    def lets_in(self, principal: Principal | None) -> bool:
        """Whether somebody may."""
        if self.role is None:
            return True
        return principal is not None and principal.role.reaches(self.role) and self.scope in principal.scopes


_ANYBODY = Rule(None)
_SEES = Rule(Role.VIEWER)
_KNOWS = Rule(Role.CLINICIAN)
_WRITES = Rule(Role.CLINICIAN, Scope.WRITE)
_NAMES = Rule(Role.CLINICIAN, Scope.IDENTITY)
_PROMOTES = Rule(Role.OPERATOR, Scope.WRITE)
_OPERATES = Rule(Role.OPERATOR, Scope.JOBS)
_ADMINISTERS = Rule(Role.ADMIN, Scope.ACCOUNTS)

_RULES: dict[Rule, tuple[str, ...]] = {
    _ANYBODY: ("access-get_access", "access-set_up_lab", "access-log_in", "access-log_out", "access-open_link",
               "access-show_sign_in", "access-get_document"),
    _SEES: (
        "show_lab", "show_subject", "show_trial", "show_comparison",
        "subjects-list_all", "subjects-get", "episodes-list_all", "episodes-get", "sessions-list_all", "sessions-get",
        "trials-list_all", "trials-get", "runs-list_runs", "runs-get_run", "runs-list_files", "runs-get_run_metrics",
        "runs-get_trial_metrics", "runs-get_run_curves", "runs-get_trial_curves", "runs-get_run_result",
        "runs-get_trial_result", "analysis-get_lab", "analysis-list_catalogue_metrics",
        "analysis-list_catalogue_angles", "analysis-compare", "analysis-compare_stride_curves", "analysis-trend",
        "analysis-plan", "releases-list_all", "releases-get", "releases-preview", "show_releases",
        "tables-trial_metrics", "tables-sessions", "tables-session_metrics", "tables-strides", "tables-curves",
        "files-get_file", "playback-get_playback",
        "playback-get_skeleton", "playback-get_angles", "playback-get_landmarks", "playback-get_film",
        "reports-get_trial_report", "reports-get_comparison_report",
        "playback-get_pair_film", "playback-get_pair_video", "playback-get_pair_landmarks",
    ),
    _WRITES: (
        "subjects-create", "subjects-change", "episodes-create", "episodes-change", "sessions-create",
        "sessions-change", "trials-create", "trials-change",
        "links-list_all", "links-create", "links-revoke", "playback-make_film", "playback-make_pair_film",
    ),
    _PROMOTES: ("releases-create",),
    _NAMES: ("identity-get_identity", "identity-put_identity", "show_identity"),
    _OPERATES: (
        "jobs-create", "jobs-cancel", "releases-reprocess", "uploads-get_file", "uploads-put_file", "recordings-create",
        "show_recording", "capture-get", "capture-open_rig", "capture-close_rig", "capture-check",
        "capture-begin_visit", "capture-end_visit", "capture-start", "capture-stop", "capture-go_on", "capture-repeat",
        "capture-recover", "capture-record_calibration", "capture-watch", "capture-watch_pictures",
        "capture-get_picture", "capture-calibrate", "capture-check_calibration", "capture-look",
    ),
    _KNOWS: (
        "show_jobs", "show_calibrations", "show_calibration", "show_calibration_report",
        "jobs-list_all", "jobs-get", "jobs-watch", "analysis-reliability"),
    _ADMINISTERS: (
        "show_admin", "show_audit",
        "identity-delete_identity",
        "users-list_all", "users-create", "users-change", "users-list_grants", "users-grant_subject",
        "users-withdraw_subject", "keys-list_all", "keys-create", "keys-revoke", "audit-list_all",
    ),
}  # fmt: skip
RULES: dict[str, Rule] = {name: rule for rule, names in _RULES.items() for name in names}


@dataclass(frozen=True)
class Served:
    """One route as it is served: its id, its whole path, its methods."""

    id: str
    path: str
    methods: frozenset[str]

    @property
    def rule(self) -> Rule:
        """Its rule (KeyError where nobody decided)."""
        return RULES[self.id]


def operation_id(route: APIRoute) -> str:
    """Stable, and readable in generated clients: subjects-list_all."""
    return f"{route.tags[0]}-{route.name}" if route.tags else route.name


def rule_of(route: APIRoute) -> Rule:
    """The rule of a route; KeyError where it has none."""
    return RULES[operation_id(route)]


def rule_named(name: str) -> Rule:
    """The rule of a route by its operation id, for pages that offer only what will be let in (KeyError)."""
    return RULES[name]


def check_every_route_has_a_rule(app: FastAPI | APIRouter) -> None:
    """LookupError names the routes that nobody decided on."""
    missing = sorted(r.id for r in served_routes(app) if r.id not in RULES)
    if missing:
        raise LookupError(f"no rule in api/access/rules.py for {', '.join(missing)}")


def served_routes(app: FastAPI | APIRouter) -> Iterator[Served]:
    """Those that run code of ours; what is left are static files."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            yield Served(operation_id(route), context.path or "", frozenset(context.methods or ()))
