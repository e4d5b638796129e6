"""A site's labelled radiographs, several a patient."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Radiograph:
    """One admitted image: SHA-256 of its file, its patient, 1 (positive) or 0 (negative)."""

    digest: str
    patient: str
    label: int
    covariate: float | None

    def __repr__(self) -> str:
        """Without identifiers: a repr may end up in a log."""
        return f"Radiograph(label={self.label})"


@dataclass(frozen=True)
class ClassCounts:
    """Patients and images of each class."""

    positive_patients: int
    negative_patients: int
    positive_images: int
    negative_images: int

    @property
    def patients(self) -> int:
        """Patients of both classes."""
        return self.positive_patients + self.negative_patients

    @property
    def images(self) -> int:
        """Images of both classes."""
        return self.positive_images + self.negative_images


@dataclass(frozen=True, repr=False)
class Cohort:
    """The radiographs of a site in a fixed order; a patient has one label.

    Raises ValueError where a patient's radiographs carry both labels.
    """

    site: str
    radiographs: tuple[Radiograph, ...]

    def __post_init__(self) -> None:
        pairs = {(radiograph.patient, radiograph.label) for radiograph in self.radiographs}
        if len(pairs) != len({patient for patient, _ in pairs}):
            raise ValueError("A patient has radiographs of both labels; give each one label.")

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
        return ClassCounts(patients.count(1), patients.count(0), images.count(1), images.count(0))

    def covariates(self) -> dict[str, float]:
        """Patient -> covariate, of those who have one."""
        return {r.patient: r.covariate for r in self.radiographs if r.covariate is not None}

    def subset(self, patients: Collection[str]) -> Cohort:
        """The radiographs of these patients, in the same order."""
        chosen = frozenset(patients)
        return Cohort(self.site, tuple(r for r in self.radiographs if r.patient in chosen))
