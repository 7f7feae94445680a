"""One metric of every subject over time, with its measurement error: python pandas_trend.py URL METRIC [KEY]."""

from __future__ import annotations

import sys

import pandas as pd

from api.client import LabClient

COLUMNS = ["subject", "session", "captured_at", "phase", "side", "unit", "speed_mps", "mean", "half_width", "quality"]


def read_trend(url: str, metric: str, key: str | None = None) -> pd.DataFrame:
    """Mean and half the 95 % interval of a metric, a row per visit, side and condition; excluded trials left out."""
    with LabClient.connect(url, key=key) as lab:
        frame = lab.trial_metrics(metric=[metric])
    usable = frame[frame["mean"].notna() & (frame["quality"] != "excluded")]
    usable = usable.assign(half_width=(usable["ci95_high"] - usable["ci95_low"]) / 2)
    return usable.sort_values(["subject", "side", "captured_at"])[COLUMNS].reset_index(drop=True)


if __name__ == "__main__":
    sys.stdout.write(read_trend(*sys.argv[1:]).to_string(float_format="%.2f") + "\n")
