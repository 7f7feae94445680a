"""What the views `v_*` say, as SQL of PostgreSQL. Columns are those of the flat tables; a test compares the rows."""

from __future__ import annotations

from labsys.core.catalogue import METRICS
from labsys.core.skeleton import Tier
from labsys.longitudinal.visits import MIN_STRIDES

_UNITS = ", ".join(f"('{m.id}', '{m.unit.value}', CAST({m.unit.factor!r} AS double precision))" for m in METRICS)
_UNIT = f"(VALUES {_UNITS}) AS u(metric, unit, factor)"
_TIERS = " ".join(f"WHEN {tier.value} THEN '{tier.name}'" for tier in Tier)
_LAB = "(SELECT lab_uuid FROM index_state) AS lab"
_WEEKS = (
    "(CAST(s.captured_at AT TIME ZONE 'UTC' AS date) - e.index_date) / CAST(7 AS double precision) AS weeks_from_index"
)
# From the most trusted to the least, as labsys.longitudinal.visits has them.
_QUALITIES = "ARRAY['ok', 'low', 'indicative', 'excluded']"


def _scaled(*columns: str) -> str:
    return ", ".join(f"m.{column} * u.factor AS {column}" for column in columns)


_TRIAL_METRICS = f"""
SELECT {_LAB}, m.subject, m.episode, m.phase, m.weeks_from_index, m.session, m.captured_at, m.trial, m.kind, m.surface,
    m.speed_mps, m.incline_pct, nullif(m.footwear, '') AS footwear, m.metric, m.side, u.unit, m.n,
    {_scaled("mean", "sd", "ci95_low", "ci95_high", "sem_measurement")}, nullif(m.sem_source, '') AS sem_source,
    CASE m.tier {_TIERS} END AS tier, m.quality, m.interpolated_share, m.reason, m.not_for_comparison,
    m.calibration_grade, m.run, m.is_current, m.pipeline_version, m.model_hash, m.updated_at, false AS deleted
FROM trial_metric m JOIN {_UNIT} ON u.metric = m.metric"""

_SESSIONS = f"""
SELECT {_LAB}, p.code AS subject, e.label AS episode, s.phase, {_WEEKS}, s.code AS session, s.captured_at,
    nullif(s.repeats, '') AS repeats, s.mass_kg, s.height_m, s.leg_length_m,
    (SELECT CAST(jsonb_object_agg(c.name, c.value) AS text) FROM session_score c WHERE c.session_id = s.id) AS scores,
    greatest(s.updated_at, e.updated_at) AS updated_at, false AS deleted
FROM session s JOIN subject p ON p.id = s.subject_id LEFT JOIN episode e ON e.id = s.episode_id"""

# Captures of one condition count alike; those of unknown speed stand alone. As measure_visit does it.
_SESSION_METRICS = f"""
WITH capture AS (
    SELECT m.*, s.id AS session_id, t.recorded_at, coalesce(m.speed_mps, v.mean) AS speed,
        m.mean IS NOT NULL AND m.quality <> 'excluded' AND m.n >= {MIN_STRIDES} AS counts
    FROM trial_metric m JOIN trial t ON t.id = m.trial_id JOIN session s ON s.id = t.session_id
    LEFT JOIN trial_metric v ON v.trial_id = m.trial_id AND v.run = m.run AND v.metric = 'speed' AND v.side = 'both'
    WHERE m.is_current AND NOT t.excluded
), visit AS (
    SELECT c.session_id, c.metric, c.side, c.kind, c.surface, c.speed, c.incline_pct, c.footwear, c.tier,
        c.definition_version, c.pipeline_version, c.model_hash, coalesce(sum(c.n) FILTER (WHERE c.counts), 0) AS n,
        count(*) FILTER (WHERE c.counts) AS n_captures,
        string_agg(c.trial, ' ' ORDER BY c.recorded_at, c.trial) AS trials,
        avg(c.mean) FILTER (WHERE c.counts) AS mean, sqrt(avg(c.sd * c.sd) FILTER (WHERE c.counts)) AS sd,
        ({_QUALITIES})[max(array_position({_QUALITIES}, CAST(c.quality AS text))) FILTER (WHERE c.counts)] AS quality,
        string_agg(DISTINCT c.not_for_comparison, '; ') AS not_for_comparison
    FROM capture c
    GROUP BY c.session_id, c.metric, c.side, c.kind, c.surface, c.speed, c.incline_pct, c.footwear, c.tier,
        c.definition_version, c.pipeline_version, c.model_hash, CASE WHEN c.speed IS NULL THEN c.trial_id END
)
SELECT {_LAB}, p.code AS subject, e.label AS episode, s.phase, {_WEEKS}, s.code AS session, s.captured_at, m.kind,
    m.surface, m.speed AS speed_mps, m.incline_pct, nullif(m.footwear, '') AS footwear, m.metric, m.side, u.unit, m.n,
    m.n_captures, m.trials, {_scaled("mean", "sd")}, m.quality, m.not_for_comparison, CASE m.tier {_TIERS} END AS tier,
    m.definition_version, m.pipeline_version, m.model_hash
FROM visit m JOIN session s ON s.id = m.session_id JOIN subject p ON p.id = s.subject_id
LEFT JOIN episode e ON e.id = s.episode_id JOIN {_UNIT} ON u.metric = m.metric"""

VIEWS = {"v_trial_metrics": _TRIAL_METRICS, "v_sessions": _SESSIONS, "v_session_metrics": _SESSION_METRICS}
