"""Where a function is zero."""

from __future__ import annotations

from collections.abc import Callable


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where between `low` and `high`, where its sign differs, a function is zero (Brent, 1973).

    ValueError where they do not differ.
    """
    # Here: a process that only reads or adds up counts has no use for it, and it is large.
    from scipy.optimize import brentq

    return float(brentq(function, low, high))
