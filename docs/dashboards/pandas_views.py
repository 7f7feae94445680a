"""One metric of every visit, straight from PostgreSQL: python pandas_views.py URL METRIC.

URL names the role that `labsys db reader --password` made: postgresql+psycopg://labsys_reader:PASSWORD@HOST/DATABASE
"""

from __future__ import annotations

import sys

import pandas as pd
from sqlalchemy import create_engine, text

_VISITS = """
SELECT subject, session, captured_at, phase, side, unit, speed_mps, trials, n_captures, n, mean, sd, quality
FROM v_session_metrics WHERE metric = :metric AND mean IS NOT NULL ORDER BY subject, side, captured_at
"""


def read_visits(url: str, metric: str) -> pd.DataFrame:
    """Mean and SD between strides of a metric, a row per visit, condition and side."""
    engine = create_engine(url)
    with engine.connect() as connection:
        frame = pd.read_sql(text(_VISITS), connection, params={"metric": metric})
    engine.dispose()
    return frame


if __name__ == "__main__":
    sys.stdout.write(read_visits(*sys.argv[1:]).to_string(float_format="%.2f") + "\n")
