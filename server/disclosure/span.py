"""What follows from sums that are shown: the linear algebra beneath the rules."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Vector = Mapping[Hashable, float]
"""A sum over parts of patients: how often each part counts."""
_ZERO = 1e-9


def spans(rows: Sequence[Vector], wanted: Sequence[Vector]) -> list[bool]:
    """For each wanted sum whether it is a linear combination of the rows."""
    parts = list(dict.fromkeys(part for vector in (*rows, *wanted) for part in vector))
    if not wanted or not parts:
        return [True] * len(wanted)
    matrix, asked = _matrix(rows, parts), _matrix(wanted, parts)
    if len(rows) == 0:
        left = asked
    else:
        _, sizes, directions = np.linalg.svd(matrix, full_matrices=False)
        known = directions[sizes > _ZERO * max(1.0, float(sizes.max(initial=0.0)))]
        left = asked - (asked @ known.T) @ known
    return [bool(np.abs(row).max() < _ZERO**0.5) for row in left]


def _matrix(vectors: Sequence[Vector], parts: Sequence[Hashable]) -> NDArray[np.float64]:
    column = {part: number for number, part in enumerate(parts)}
    matrix = np.zeros((len(vectors), len(parts)))
    for row, vector in zip(matrix, vectors, strict=True):
        for part, times in vector.items():
            row[column[part]] = times
    return matrix
