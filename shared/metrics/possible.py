"""Whether there can be patients with such sums of placement values."""

from __future__ import annotations

from shared.metrics.paired import ClassSums, PairedSums


def require_possible(sums: PairedSums) -> None:
    """ValueError where no patients have such sums: no finite test follows from them.

    What is possible of each site's patients is possible of all of them together.
    """
    twice = 2 * sums.repeats
    _require(sums.positives, twice * sums.pooled_negatives)
    _require(sums.negatives, twice * sums.pooled_positives)


def _require(own: ClassSums, most: int) -> None:
    """For the patients of one class, whose values lie in 0 to `most`."""
    count = own.patients
    within = all(
        0 <= square <= total * most and 0 <= total <= count * most
        for total, square in ((own.a, own.aa), (own.b, own.bb))
    )
    # By Cauchy and Schwarz: no variance is negative, of either scoring or of their difference.
    spread = (
        count * own.aa >= own.a**2
        and count * own.bb >= own.b**2
        and own.aa * own.bb >= own.ab**2
        and count * (own.aa + own.bb - 2 * own.ab) >= (own.a - own.b) ** 2
    )
    if not (within and spread):
        raise ValueError("no patients have such sums of placement values")
