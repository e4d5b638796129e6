"""evaluation.json: the final model's scores as counts, from which curves are drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.results.shown import Shown
from shared.errors import RunError
from shared.metrics.histogram import MAX_COUNT, SCORE_BINS, Histogram
from shared.outcome.counts import by_bin, from_named, named
from shared.storage.files import write_text_atomically
from shared.storage.json_file import DamagedFile, fitting, read_json, said, typed

FILE = "evaluation.json"
FORMAT = 1


@dataclass(frozen=True)
class CohortCounts:
    """Patients by score and class, of all sites and of each; None is not to be shown.

    Of several classes or labels there are `splits` of all sites instead: by name each class against
    the rest, each cut (named after the lowest class above it), or each label. What only the owner
    of all sites sees has each site's counts of these, too, as a message has them.
    """

    pooled: Histogram | None
    sites: Mapping[str, Histogram | None] = field(default_factory=dict)
    splits: Mapping[str, Histogram] = field(default_factory=dict)
    by_site: Mapping[str, Mapping[str, list[int]]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object as JSON has it; histograms with the bins that hold patients alone."""
        document: dict[str, Any] = {
            "pooled": _sparse(self.pooled),
            "sites": {name: _sparse(counts) for name, counts in sorted(self.sites.items())},
        }
        if self.splits:
            document["splits"] = {name: _sparse(split) for name, split in self.splits.items()}
        if self.by_site:
            document["by_site"] = {name: dict(one) for name, one in sorted(self.by_site.items())}
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CohortCounts:
        """Read the object; an invalid one raises Value-, Key-, Type- or AttributeError."""
        sites = {str(name): _histogram(counts) for name, counts in document["sites"].items()}
        splits = {
            str(name): from_named(split, _dense)
            for name, split in document.get("splits", {}).items()
        }
        by_site = typed(document.get("by_site", {}), dict[str, dict[str, list[int]]])
        return cls(_histogram(document["pooled"]), sites, splits, by_site)


@dataclass(frozen=True)
class CovariateCounts:
    """Patients of all sites by an ordinal grade and class.

    `levels` ascend, one bin of `histogram` each; `name` is None where the sites call it otherwise.
    """

    name: str | None
    levels: tuple[float, ...]
    histogram: Histogram

    def __post_init__(self) -> None:
        if len(self.levels) != self.histogram.bins:
            raise ValueError(f"{self.histogram.bins} bins are counted of {len(self.levels)} grades")

    def to_json(self) -> dict[str, Any]:
        """The object as JSON has it."""
        return {
            "name": self.name,
            "levels": list(self.levels),
            **by_bin(self.histogram),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> CovariateCounts:
        """Read the object; an invalid one raises Value-, Key-, Type- or AttributeError."""
        counts = from_named(document, np.array)
        name, levels = document["name"], tuple(document["levels"])
        return cls(None if name is None else str(name), levels, counts)


@dataclass(frozen=True)
class EvaluationFile:
    """The whole file: cohorts ("validation", with folds "test" too) by name."""

    cohorts: Mapping[str, CohortCounts]
    covariate: Mapping[str, CovariateCounts] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The document; without `covariate` where no cohort has one."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "cohorts": {name: counts.to_json() for name, counts in self.cohorts.items()},
        }
        if self.covariate:
            document["covariate"] = {name: c.to_json() for name, c in self.covariate.items()}
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> EvaluationFile:
        """Read the document; an invalid one raises Value-, Key-, Type- or AttributeError."""
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, and {FORMAT} is known")
        cohorts = document["cohorts"].items()
        covariates = document.get("covariate", {}).items()
        return cls(
            {name: CohortCounts.from_json(counts) for name, counts in cohorts},
            {name: CovariateCounts.from_json(counts) for name, counts in covariates},
        )


def write_evaluation(folder: Path, evaluation: Shown[EvaluationFile]) -> None:
    """Write evaluation.json into a run's folder, complete or not at all.

    RunError where the disk does not take it.
    """
    path = folder / FILE
    try:
        write_text_atomically(path, json.dumps(evaluation.value.to_json(), indent=1) + "\n")
    except OSError as error:
        raise RunError(
            f"The evaluation cannot be written to {path} ({error.strerror}); make room there and "
            "continue with --resume."
        ) from error


def read_evaluation(folder: Path) -> EvaluationFile | None:
    """The evaluation in a run's folder, None where there is none; RunError where it is damaged."""
    path = folder / FILE
    try:
        with fitting():
            return EvaluationFile.from_json(read_json(path))
    except FileNotFoundError:
        return None
    except (OSError, DamagedFile) as error:
        raise RunError(
            f"{path} cannot be read as a run's evaluation ({said(error)}); restore the file, or "
            "move it away to go on without it."
        ) from error


def _sparse(histogram: Histogram | None) -> dict[str, dict[str, int]] | None:
    """Bin (as text) -> patients, for the bins that hold some."""
    if histogram is None:
        return None
    return {
        name: {str(bin_): int(counts[bin_]) for bin_ in np.flatnonzero(counts)}
        for name, counts in named(histogram).items()
    }


def _histogram(document: Mapping[str, Mapping[str, int]] | None) -> Histogram | None:
    if document is None:
        return None
    return from_named(document, _dense)


def _dense(sparse: Mapping[str, int]) -> NDArray[np.int64]:
    """The counts of all score bins; ValueError for an invalid bin or count."""
    counts = np.zeros(SCORE_BINS, dtype=np.int64)
    for text, count in sparse.items():
        if not (text.isascii() and text.isdigit() and int(text) < SCORE_BINS):
            raise ValueError(f"'{text}' is not a score bin")
        if type(count) is not int or not 0 <= count <= MAX_COUNT:
            raise ValueError(f"the count of bin {text} is {count!r}")
        counts[int(text)] = count
    return counts
