"""Which patients have the outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def is_positive(labels: ArrayLike, bins: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which patients are positive; labels (0 or 1) and bins of shape (patients,).

    Raises ValueError for other labels and differing shapes.
    """
    classes = np.asarray(labels)
    if bins.ndim != 1 or bins.shape != classes.shape:
        raise ValueError(
            f"The scores have shape {bins.shape} and the labels {classes.shape}; "
            "both must be (patients,)."
        )
    wrong = classes[(classes != 0) & (classes != 1)]
    if wrong.size:
        raise ValueError(f"A label is {wrong[0]}; it must be 0 (negative) or 1 (positive).")
    return np.asarray(classes == 1)
