"""Scores by patient: counted for the coordinator, kept at the site for paired comparisons."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit as logit_of

from client.data.dataset import Sample
from client.data.kept_file import write_kept
from shared.metrics.grades import MOST_LEVELS, GradeCounts
from shared.metrics.histogram import bin_of
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.protocol.evaluate import Scope
from shared.protocol.graded import Graded
from shared.storage.json_file import DamagedFile, read_json, typed

Logits = NDArray[np.float64]
"""(images,) of one output, (images, outputs) of several."""
_SCORES = "scores-"


@dataclass(frozen=True, repr=False)
class KeptScore:
    """A patient's score and its bin, label and clinical grade; it never leaves the site.

    Of an outcome that has several scores `scores` are these, and `bin` and `score` are of none.
    """

    site: str
    patient: str
    bin: int
    label: int
    grade: float | None
    score: float | None = None
    """Mean probability of the images; None in a file of an earlier version."""
    images: int = 0
    scores: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The patient, distinct from another site's patient of the same number."""
        return self.site, self.patient

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return "KeptScore()"


def score_patients(
    samples: Sequence[Sample], logits: Logits, outcome: Outcome = BINARY
) -> list[KeptScore]:
    """A patient's scores are the mean probabilities of that patient's images."""
    of_patient: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, sample in enumerate(samples):
        of_patient[sample.patient].append(place)
    probabilities = outcome.probabilities(logits).reshape(len(samples), outcome.outputs)
    return [
        _kept(samples[places[0]], probabilities[places], outcome) for places in of_patient.values()
    ]


def _kept(sample: Sample, probabilities: Logits, outcome: Outcome) -> KeptScore:
    """The score of a patient with this image, and these probabilities (images, scores)."""
    means = [np.mean(column) for column in probabilities.T]
    site, patient = sample.patient
    one = means[0] if outcome == BINARY else None
    return KeptScore(
        site=site,
        patient=patient,
        bin=0 if one is None else int(bin_of(logit_of(one))),
        label=sample.radiograph.label,
        grade=sample.radiograph.covariate,
        score=None if one is None else float(one),
        images=len(probabilities),
        scores=() if one is not None else tuple(map(float, means)),
    )


def count_graded(
    scores: Sequence[KeptScore], *, is_grade: bool, outcome: Outcome = BINARY
) -> Graded | None:
    """The patients who have a grade; None where nobody has, or where grades are measurements.

    A grade is held against a finding alone: of other outcomes None.

    `is_grade` is of the site's whole cohort: few patients have few values of anything.
    """
    graded = [(s, s.grade) for s in scores if s.grade is not None]
    if (
        outcome != BINARY
        or not is_grade
        or not graded
        or len({grade for _, grade in graded}) > MOST_LEVELS
    ):
        return None
    return Graded(
        GradeCounts.of((grade, score.label) for score, grade in graded),
        BINARY.count([score for score, _ in graded]),
    )


def scores_file(folder: Path, scope: Scope) -> Path:
    """Where a site keeps its patients' scores under a run's final model, to compare them later."""
    return folder / f"{_SCORES}{scope}.json"


def is_scores_file(path: Path) -> bool:
    """Whether the file is such a one."""
    return path.name.startswith(_SCORES)


def keep_scores(path: Path, scores: Sequence[KeptScore]) -> None:
    """Write scores for this user alone. Raises OSError."""
    write_kept(path, json.dumps([_document(score) for score in scores]).encode())


def _document(score: KeptScore) -> dict[str, Any]:
    fields = asdict(score)
    if not score.scores:
        del fields["scores"]
    return fields


def load_scores(path: Path) -> list[KeptScore] | None:
    """Scores that were kept, None where there are none that can be read.

    The file counts as of now: what is still asked for is not forgotten.
    """
    try:
        scores = typed(read_json(path), list[KeptScore])
        os.utime(path)
    except (OSError, DamagedFile):
        return None
    return scores
