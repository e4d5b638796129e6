"""A site's labelled radiographs, several a patient."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome, OutcomeClass


@dataclass(frozen=True, repr=False)
class Radiograph:
    """One admitted image: SHA-256 of its file, its patient, the label of its class."""

    digest: str
    patient: str
    label: int
    covariate: float | None
    lines: tuple[int, ...] = ()
    """Of the table, that name it."""

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return f"Radiograph(label={self.label})"


@dataclass(frozen=True)
class ClassCount:
    """How many patients and images are of a class, by its word."""

    word: str
    patients: int
    images: int


@dataclass(frozen=True)
class ClassCounts:
    """Patients and images of each class, in the outcome's order."""

    classes: tuple[ClassCount, ...]
    patients: int
    """Of all classes; of several labels a patient is in a class of each that is known."""
    images: int

    def to_json(self) -> dict[str, int]:
        """`positive_patients`, ..., `positive_images`, ..."""
        patients = {f"{one.word}_patients": one.patients for one in self.classes}
        return patients | {f"{one.word}_images": one.images for one in self.classes}


@dataclass(frozen=True, repr=False)
class Cohort:
    """The radiographs of a site in a fixed order; a patient has one label.

    Raises ValueError where a patient's radiographs carry more than one.
    """

    site: str
    radiographs: tuple[Radiograph, ...]
    outcome: Outcome = BINARY

    def __post_init__(self) -> None:
        pairs = {(radiograph.patient, radiograph.label) for radiograph in self.radiographs}
        if len(pairs) != len({patient for patient, _ in pairs}):
            raise ValueError("A patient has radiographs of two labels; give each one label.")

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        counts = self.counts()
        return f"Cohort({self.site!r}, {counts.patients} patients, {counts.images} images)"

    def patients(self) -> dict[str, int]:
        """Patient -> label, sorted by patient."""
        return dict(sorted({(r.patient, r.label) for r in self.radiographs}))

    def counts(self) -> ClassCounts:
        """Patients and images of each class."""
        patients = list(self.patients().values())
        images = [radiograph.label for radiograph in self.radiographs]
        return ClassCounts(
            tuple(
                ClassCount(one.word, self._number(patients, one), self._number(images, one))
                for one in self.outcome.classes
            ),
            len(patients),
            len(images),
        )

    def _number(self, labels: Collection[int], one: OutcomeClass) -> int:
        return sum(self.outcome.holds(label, one) for label in labels)

    def covariates(self) -> dict[str, float]:
        """Patient -> covariate, of those who have one."""
        return {r.patient: r.covariate for r in self.radiographs if r.covariate is not None}

    def subset(self, patients: Collection[str]) -> Cohort:
        """The radiographs of these patients, in the same order."""
        chosen = frozenset(patients)
        return replace(self, radiographs=tuple(r for r in self.radiographs if r.patient in chosen))
