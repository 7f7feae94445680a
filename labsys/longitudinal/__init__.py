"""Change between visits against the measurement error. Pure: no files, no database."""

from labsys.longitudinal.compare import compare_visits
from labsys.longitudinal.goals import check_goal
from labsys.longitudinal.trend import metric_trend
from labsys.longitudinal.values import (
    AbsentTrial,
    Capture,
    CaptureMetric,
    Comparison,
    ComparisonRow,
    ConditionPair,
    Family,
    Trend,
    TrendPoint,
    TrendSeries,
    Unpaired,
    Verdict,
    Visit,
)
from labsys.longitudinal.wording import explain_row

__all__ = [
    "AbsentTrial",
    "Capture",
    "CaptureMetric",
    "Comparison",
    "ComparisonRow",
    "ConditionPair",
    "Family",
    "Trend",
    "TrendPoint",
    "TrendSeries",
    "Unpaired",
    "Verdict",
    "Visit",
    "check_goal",
    "compare_visits",
    "explain_row",
    "metric_trend",
]
