"""What becomes of each image file of a site, admitted or left out and why; patients' covariates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from client.data.cohort import Radiograph
from client.data.image_file import ImageFile
from client.data.labels import JOINED, LabelRow, LabelTable
from client.data.matching import Matching, Outcomes
from client.data.table.delimited import LONGER
from client.imaging.subject import other_than_frontal_chest
from client.settings import SiteSettings

SHARED = "same image for several patients"
OTHER: Final = "not a frontal chest radiograph"
FateKind = Literal[
    "admitted", "rejected", "without label", "contradictory", "unused outcome", "duplicate",
    "not a frontal chest radiograph",
]  # fmt: skip


@dataclass(frozen=True)
class Fate:
    """What became of an image file: `admitted`, or why it is left out."""

    kind: FateKind
    why: str = field(default="", repr=False)


@dataclass(frozen=True)
class Fates:
    """Each image file's fate; `rejected` is (relative path, reason).

    `rejected_share` is of the labelled images, from 0 to 1, with those that `vanished`.
    """

    admitted: tuple[tuple[ImageFile, Radiograph], ...]
    rejected: tuple[tuple[str, str], ...]
    each: tuple[Fate, ...]
    rejected_share: float
    vanished: int

    def count(self, kind: FateKind) -> int:
        """How many files have a fate of this kind."""
        return sum(fate.kind == kind for fate in self.each)


def decide_fates(
    rows: Sequence[LabelRow],
    outcomes: Outcomes,
    covariates: Covariates,
    matching: Matching,
    files: Sequence[ImageFile],
    vanished: int,
    *,
    frontal_chest_only: bool = False,
) -> Fates:
    """The fate of each file, in their order; `vanished` is what `count_vanished` gives.

    With `frontal_chest_only`, what a header says is something else is left out.
    """
    shared = _shared_contents(rows, matching, files)
    admitted: dict[str, tuple[ImageFile, Radiograph]] = {}
    each: list[Fate] = []
    for file, numbers in zip(files, matching.rows, strict=True):
        own = [rows[number] for number in numbers]
        labels = [label for n in numbers if (label := outcomes.classes[n]) is not None]
        fate = (
            _rejected(file, shared)
            or _without_outcome(own, labels, outcomes)
            or (_of_another_subject(file) if frontal_chest_only else None)
            or _duplicate(file, admitted)
        )
        if fate is None:
            fate = Fate("admitted")
            admitted[_identity(file)] = (file, _radiograph(file, own, labels[0], covariates))
        each.append(fate)
    rejected = tuple(
        (file.relative, fate.why)
        for file, fate in zip(files, each, strict=True)
        if fate.kind == "rejected"
    )
    share = _rejected_share(each, matching, vanished)
    return Fates(tuple(admitted.values()), rejected, tuple(each), share, vanished)


def _rejected(file: ImageFile, shared: Collection[str]) -> Fate | None:
    """Why the image itself cannot be used: it cannot be read, or is of several patients."""
    reason = file.content.reason or (SHARED if _identity(file) in shared else None)
    return None if reason is None else Fate("rejected", reason)


def _without_outcome(
    rows: Sequence[LabelRow], labels: Sequence[int], outcomes: Outcomes
) -> Fate | None:
    """Why the table gives the image no label; `labels` are the usable ones of its rows."""
    if not rows:
        return Fate("without label")
    if rows[0].patient in outcomes.contradictory:
        return Fate("contradictory", "its patient has contradictory outcomes")
    return None if labels else Fate("unused outcome", outcomes.why_unused(rows[0]))


def _of_another_subject(file: ImageFile) -> Fate | None:
    facts = file.content.facts
    others = [] if facts is None else [*other_than_frontal_chest(facts)]
    return Fate(OTHER, "; ".join(others)) if others else None


def _duplicate(
    file: ImageFile, admitted: Mapping[str, tuple[ImageFile, Radiograph]]
) -> Fate | None:
    if _identity(file) not in admitted:
        return None
    first = admitted[_identity(file)][0].relative
    return Fate("duplicate", f"the same image as {first}")


def _rejected_share(each: Sequence[Fate], matching: Matching, vanished: int) -> float:
    """The share of the labelled images that cannot be used, with those that `vanished`."""
    kinds = [fate.kind for fate in each]
    rejected = sum(
        could_match
        for kind, could_match in zip(kinds, matching.could_match, strict=True)
        if kind == "rejected"
    )
    usable = len(kinds) - kinds.count("rejected") - kinds.count("without label")
    labelled = rejected + vanished + usable
    return (rejected + vanished) / labelled if labelled else 0.0


def _radiograph(
    file: ImageFile, rows: Sequence[LabelRow], label: int, covariates: Covariates
) -> Radiograph:
    patient = rows[0].patient
    return Radiograph(
        digest=file.digest,
        patient=patient,
        label=label,
        covariate=covariates.of_patient.get(patient),
        lines=tuple(row.line for row in rows),
    )


def count_vanished(
    settings: SiteSettings, table: LabelTable, outcomes: Outcomes, matching: Matching
) -> int:
    """How many labelled images the table gives that cannot be had.

    Those of rows that are set aside, and, where the table names each image, those that no file
    answers to. A table of patients alone may well know more of them than have an image here.
    """
    known = settings.encoding.known
    lost = sum(
        # Where cells have moved, nobody knows which of them is the outcome.
        row.reason == LONGER
        or (not known.isdisjoint(row.outcome.split(JOINED)) and bool(row.image or row.patient))
        for row in table.bad_rows
    )
    if settings.image is None:
        return lost
    missing = {
        row.image
        for number, row in enumerate(table.rows)
        if number in matching.unmatched_rows and row.image and outcomes.classes[number] is not None
    }
    return lost + len(missing)


def _identity(file: ImageFile) -> str:
    """What makes two files one image: their preprocessed pixels, in whatever bytes they came."""
    return file.content.fingerprint or file.digest


def _shared_contents(
    rows: Sequence[LabelRow], matching: Matching, files: Sequence[ImageFile]
) -> frozenset[str]:
    """Identities of the images whose files or rows name more than one patient."""
    patients: dict[str, set[str]] = defaultdict(set)
    for file, numbers in zip(files, matching.rows, strict=True):
        patients[_identity(file)].update(rows[number].patient for number in numbers)
    return frozenset(identity for identity, named in patients.items() if len(named) > 1)


@dataclass(frozen=True, repr=False)
class Covariates:
    """Patient -> covariate, and the patients whose rows differ in it, who count as without one."""

    of_patient: dict[str, float]
    contradictory: frozenset[str]


def covariates_of(rows: Sequence[LabelRow], classes: Sequence[int | None]) -> Covariates:
    """The patients' covariates; rows whose outcome has no class (None) do not count."""
    named: dict[str, set[float]] = defaultdict(set)
    for row, label in zip(rows, classes, strict=True):
        if label is not None and row.covariate is not None:
            named[row.patient].add(row.covariate)
    return Covariates(
        {patient: next(iter(values)) for patient, values in named.items() if len(values) == 1},
        frozenset(patient for patient, values in named.items() if len(values) > 1),
    )
