"""Splits made of whole blocks of patients, so that no two of them differ by a few.

A site's patients are dealt once into blocks. Every training, validation and test set, of whatever
seed, fraction and fold, is a union of blocks; so is every difference of two of them, and what can
be computed from any number of answers concerns a whole block at least.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from client.data.cohort import Cohort
from client.data.split import Folds, Split
from client.data.strata import strata_of
from client.policy.refusal import PolicyError, Refusal
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome

Block = frozenset[str]
"""Patients that are only ever used together."""


def deal_blocks(
    labels: Mapping[str, int], site: str, size: int, outcome: Outcome = BINARY
) -> tuple[Block, ...]:
    """As many blocks as there can be of `size` patients or more.

    The order is a hash of site and patient, whatever the run. All classes are dealt out evenly, and
    each block has both of a finding: there are no more blocks than patients of either.
    """
    classes = [sorted(own) for _, _, own in strata_of(labels, outcome)]
    count = len(labels) // size
    if outcome.every_class:
        count = min(count, *map(len, classes))
    blocks: list[set[str]] = [set() for _ in range(count)]
    dealt = [p for patients in classes for p in sorted(patients, key=lambda p: _order(site, p))]
    for number, patient in enumerate(dealt if count else ()):
        blocks[number % count].add(patient)
    return tuple(map(frozenset, blocks))


def split_blocks(
    cohort: Cohort, blocks: Sequence[Block], fraction: float, seed: int, folds: Folds
) -> Split:
    """Hold out a fold of blocks, then put `fraction` of the others into validation.

    Over the folds of one seed every block is held out once. Raises PolicyError where fewer than two
    blocks are left to train and to validate on.
    """
    ordered = sorted(blocks, key=lambda block: _order(cohort.site, seed, *sorted(block)))
    first = int(_order(cohort.site, seed, "first fold")[:8], 16)
    test: list[Block] = []
    rest: list[Block] = []
    for number, block in enumerate(ordered):
        held_out = folds.count and (first + number) % folds.count == folds.held_out
        (test if held_out else rest).append(block)
    if len(rest) < 2:
        size = min(map(len, blocks), default=0)
        refusal = Refusal(
            "least-difference", "too large for the patients here", f"folds={folds.count}",
            f"they make {len(blocks)} blocks of {size} or more with both classes; 2 are needed "
            "in addition to the test fold. Lower least-difference or folds, or provide more "
            "patients",
        )  # fmt: skip
        raise PolicyError(cohort.site, [refusal])
    quota = min(max(1, round(fraction * len(rest))), len(rest) - 1)
    return Split(
        train=_of(cohort, rest[quota:]),
        validation=_of(cohort, rest[:quota]),
        test=_of(cohort, test),
    )


def _of(cohort: Cohort, blocks: Sequence[Block]) -> Cohort:
    return cohort.subset(frozenset().union(*blocks))


def _order(*parts: str | int) -> str:
    text = "|".join(map(str, parts))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
