"""One metric of every subject over time, with its measurement error: python pandas_trend.py URL METRIC [KEY]."""

from __future__ import annotations

import sys

import pandas as pd

from api.client import LabClient

COLUMNS = [
    *("subject", "session", "captured_at", "phase", "kind", "side", "unit", "speed_mps", "mean", "half_width"),
    "quality",
]


def read_trend(url: str, metric: str, key: str | None = None) -> pd.DataFrame:
    """Mean and half the 95 % interval of a metric, a row per visit, side and condition, as pages and trends measure it.

    What may not be compared (`not_for_comparison`) is left out; excluded trials are no part of a visit.
    """
    with LabClient.connect(url, key=key) as lab:
        frame = lab.table("session_metrics", metric=[metric])
    usable = frame[frame["mean"].notna() & frame["not_for_comparison"].isna()]
    usable = usable.assign(half_width=(usable["ci95_high"] - usable["ci95_low"]) / 2)
    return usable.sort_values(["subject", "side", "captured_at"])[COLUMNS].reset_index(drop=True)


if __name__ == "__main__":
    sys.stdout.write(read_trend(*sys.argv[1:]).to_string(float_format="%.2f") + "\n")
