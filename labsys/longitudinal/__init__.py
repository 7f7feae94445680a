"""Change between visits against the measurement error. Pure: no files, no database."""

from labsys.longitudinal.compare import compare_visits
from labsys.longitudinal.curves import CurveChange, CurveCluster, compare_group_curves, compare_stride_curves
from labsys.longitudinal.goals import check_goal
from labsys.longitudinal.plan import Plan, PlanOption, plan_captures
from labsys.longitudinal.reliability import learn_reliability
from labsys.longitudinal.repeats import Person
from labsys.longitudinal.shift import MetricShift, SubjectShift, VerdictFlip, shift_subject
from labsys.longitudinal.trend import TREND_NEEDS, metric_trend
from labsys.longitudinal.values import (
    AbsentTrial,
    Capture,
    CaptureMetric,
    Comparison,
    ComparisonRow,
    ConditionPair,
    Family,
    SideDifference,
    Trend,
    TrendPoint,
    TrendSeries,
    TrendSlope,
    Unpaired,
    Verdict,
    Visit,
)
from labsys.longitudinal.wording import VERDICT_WORDS, explain_row, say_verdict

__all__ = [
    "TREND_NEEDS",
    "VERDICT_WORDS",
    "AbsentTrial",
    "Capture",
    "CaptureMetric",
    "Comparison",
    "ComparisonRow",
    "ConditionPair",
    "CurveChange",
    "CurveCluster",
    "Family",
    "MetricShift",
    "Person",
    "Plan",
    "PlanOption",
    "SideDifference",
    "SubjectShift",
    "Trend",
    "TrendPoint",
    "TrendSeries",
    "TrendSlope",
    "Unpaired",
    "Verdict",
    "VerdictFlip",
    "Visit",
    "check_goal",
    "compare_group_curves",
    "compare_stride_curves",
    "compare_visits",
    "explain_row",
    "learn_reliability",
    "metric_trend",
    "plan_captures",
    "say_verdict",
    "shift_subject",
]
