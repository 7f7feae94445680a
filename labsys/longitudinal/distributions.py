"""The distributions that judgements rest on, by scipy, which is imported when the first one is asked for.

Of what the service would otherwise start with nothing takes as long, and its first page judges nothing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from labsys.core.arrays import FloatArray


def normal_cdf(z: FloatArray | float) -> FloatArray:
    """Share of a standard normal below `z`, of its shape."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z), dtype=np.float64)


def student_cdf(df: float, t: float) -> float:
    """Share of Student's t below `t`."""
    from scipy.special import stdtr

    return float(stdtr(df, t))


@lru_cache(maxsize=4096)
def student_quantile(df: float, probability: float) -> float:
    """The t below which this share of Student's t lies. A page asks for the same few hundreds of times."""
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def noncentral_student_cdf(df: float, shift: float, t: float) -> float:
    """Share of a noncentral t below `t`."""
    from scipy.special import nctdtr

    return float(nctdtr(df, shift, t))


def f_quantile(df_above: float, df_below: float, probability: float) -> float:
    """The ratio of variances below which this share of Fisher's F lies."""
    from scipy.special import fdtri

    return float(fdtri(df_above, df_below, probability))


def chi2_quantile_above(df: float, probability: float) -> float:
    """The value above which this share of chi-squared lies."""
    from scipy.special import chdtri

    return float(chdtri(df, probability))
