"""Scores by patient: counted for the coordinator, kept at the site for paired comparisons."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.special import logit as logit_of

from client.data.dataset import Sample
from client.data.kept_file import write_kept
from shared.metrics.grades import MOST_LEVELS, GradeCounts
from shared.metrics.histogram import Histogram, bin_of
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.protocol.evaluate import Scope
from shared.protocol.graded import Graded
from shared.storage.json_file import DamagedFile, read_json, typed

_SCORES = "scores-"


@dataclass(frozen=True, repr=False)
class KeptScore:
    """A patient's score and its bin, label and clinical grade; it never leaves the site."""

    site: str
    patient: str
    bin: int
    label: int
    grade: float | None
    score: float | None = None
    """Mean probability of the images; None in a file of an earlier version."""
    images: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """The patient, distinct from another site's patient of the same number."""
        return self.site, self.patient

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return "KeptScore()"


def score_patients(
    samples: Sequence[Sample], logits: Sequence[float], outcome: Outcome = BINARY
) -> list[KeptScore]:
    """A patient's score is the mean probability of that patient's images."""
    images: dict[tuple[str, str], list[tuple[Sample, float]]] = defaultdict(list)
    for sample, logit in zip(samples, logits, strict=True):
        images[sample.patient].append((sample, outcome.probability(logit)))
    scores = []
    for (site, patient), own in images.items():
        mean = np.mean([probability for _, probability in own])
        scores.append(
            KeptScore(
                site=site,
                patient=patient,
                bin=int(bin_of(logit_of(mean))),
                label=own[0][0].radiograph.label,
                grade=own[0][0].radiograph.covariate,
                score=float(mean),
                images=len(own),
            )
        )
    return scores


def count(scores: Sequence[KeptScore], outcome: Outcome = BINARY) -> Histogram:
    """Patients by score bin and class."""
    return outcome.count([s.bin for s in scores], [s.label for s in scores])


def count_graded(scores: Sequence[KeptScore], *, is_grade: bool) -> Graded | None:
    """The patients who have a grade; None where nobody has, or where grades are measurements.

    `is_grade` is of the site's whole cohort: few patients have few values of anything.
    """
    graded = [(s, s.grade) for s in scores if s.grade is not None]
    if not is_grade or not graded or len({grade for _, grade in graded}) > MOST_LEVELS:
        return None
    return Graded(
        GradeCounts.of((grade, score.label) for score, grade in graded),
        count([score for score, _ in graded]),
    )


def scores_file(folder: Path, scope: Scope) -> Path:
    """Where a site keeps its patients' scores under a run's final model, to compare them later."""
    return folder / f"{_SCORES}{scope}.json"


def is_scores_file(path: Path) -> bool:
    """Whether the file is such a one."""
    return path.name.startswith(_SCORES)


def keep_scores(path: Path, scores: Sequence[KeptScore]) -> None:
    """Write scores for this user alone. Raises OSError."""
    write_kept(path, json.dumps([asdict(score) for score in scores]).encode())


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
