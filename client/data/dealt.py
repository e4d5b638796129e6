"""The blocks of a deployed site, kept on its disk: patients come and go, the blocks stay.

A patient who joined or changed alone would be the difference between two runs. So newcomers wait
until they make a block of their own, and a block of which a patient has left, changed class or lost
an image is left out as a whole. Images that a dealt patient gets later wait too.

Where the owner raises the limit, blocks are used only together with their neighbours, in the order
in which they were dealt: what happens to one of them later changes no other group.

The file holds SHA-256 of image files and classes, no identifiers. It belongs to the site's private
folder like its key: where it is lost, patients are dealt again; runs before and after may differ
by few of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypedDict

from msgspec import Meta

from client.data.blocks import Block, deal_blocks
from client.data.cohort import Cohort
from shared.errors import SiteError
from shared.outcome.outcome import Outcome
from shared.storage.files import make_private_folder, write_private
from shared.storage.json_file import DamagedFile, read_json, said, typed

FILE = "dealt.json"


@dataclass(frozen=True)
class DealtPatient:
    """A patient as dealt: class, and the SHA-256 of each image."""

    label: int
    images: Annotated[frozenset[str], Meta(min_length=1)]


DealtBlock = tuple[DealtPatient, ...]


class _Document(TypedDict):
    blocks: list[DealtBlock]


@dataclass(frozen=True)
class Dealing:
    """What of a site's cohort runs may use, and in which blocks."""

    cohort: Cohort
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()
    """For the site's owner."""


def deal(cohort: Cohort, size: int, folder: Path | None) -> Dealing:
    """The blocks of a cohort, of `size` patients or more; with `folder` those kept there go on.

    Raises SiteError where what is kept is damaged or cannot be written.
    """
    if folder is None:
        blocks = deal_blocks(cohort.patients(), cohort.site, size, cohort.outcome)
        return Dealing(cohort, blocks)
    path = folder / FILE
    kept = _read(path, cohort.outcome)
    owner = {r.digest: r.patient for r in cohort.radiographs}
    labels = cohort.patients()
    listed = {digest for block in kept for patient in block for digest in patient.images}
    known = {owner[digest] for digest in listed if digest in owner}
    newcomers = {p: label for p, label in labels.items() if p not in known}
    joined = deal_blocks(newcomers, cohort.site, size, cohort.outcome)
    if joined:
        kept = [*kept, *(_as_dealt(block, cohort) for block in joined)]
        _write(path, kept)
    images = listed | {r.digest for r in cohort.radiographs if r.patient in newcomers}
    used = replace(cohort, radiographs=tuple(r for r in cohort.radiographs if r.digest in images))
    groups = _grouped(kept, size)
    found = [_found(group, owner, labels) for group in groups]
    blocks = tuple(block for block in found if block is not None)
    waiting = 0 if joined else len(newcomers)
    late = sum(1 for r in cohort.radiographs if r.digest not in images)
    alone = sum(map(len, kept)) - sum(map(len, groups))
    notes = _notes(len(groups) - len(blocks), waiting, late, alone, size, path)
    return Dealing(used, blocks, notes)


def _grouped(blocks: Sequence[DealtBlock], size: int) -> list[DealtBlock]:
    """Neighbours put together until each group has `size` patients; a last, smaller one waits.

    Blocks that are dealt later change no group that is there.
    """
    groups: list[DealtBlock] = []
    group: DealtBlock = ()
    for block in blocks:
        group += block
        if len(group) >= size:
            groups.append(group)
            group = ()
    return groups


def _found(block: DealtBlock, owner: dict[str, str], labels: dict[str, int]) -> Block | None:
    """The block's patients as they are called now; None where one of them is not as dealt."""
    patients: set[str] = set()
    for dealt in block:
        owners = {owner.get(digest) for digest in dealt.images}
        patient = owners.pop()
        if owners or patient is None or patient in patients or labels[patient] != dealt.label:
            return None
        patients.add(patient)
    return frozenset(patients)


def _notes(
    broken: int, waiting: int, late: int, alone: int, size: int, path: Path
) -> tuple[str, ...]:
    found = []
    if broken:
        found.append(
            f"{broken} blocks of patients are excluded: a patient of each has left, changed class "
            f"or lost an image since they were dealt, and would be the difference between two runs "
            f"(least-difference is {size}). To deal all patients again, remove {path}; runs before "
            "and after may then differ by few patients."
        )
    if waiting:
        found.append(
            f"{waiting} new patients wait until there are {size} with both classes, as "
            "least-difference asks."
        )
    if alone:
        found.append(
            f"{alone} patients, dealt when least-difference was smaller, wait until further blocks "
            f"make {size} of them."
        )
    if late:
        found.append(
            f"{late} images that patients have got since they were dealt are not used, as "
            "least-difference asks."
        )
    return tuple(found)


def _as_dealt(block: Block, cohort: Cohort) -> DealtBlock:
    images: dict[str, set[str]] = defaultdict(set)
    for radiograph in cohort.radiographs:
        images[radiograph.patient].add(radiograph.digest)
    labels = cohort.patients()
    return tuple(DealtPatient(labels[p], frozenset(images[p])) for p in sorted(block))


def _read(path: Path, outcome: Outcome) -> list[DealtBlock]:
    try:
        blocks = typed(read_json(path), _Document)["blocks"]
        if any(not outcome.is_label(patient.label) for block in blocks for patient in block):
            raise DamagedFile("a patient's class is unknown")
        return blocks
    except FileNotFoundError:
        return []
    except (OSError, DamagedFile) as error:
        raise SiteError(
            f"{path}, which says which patients are only used together, cannot be read "
            f"({said(error)}); restore it from a backup. Removing it deals all patients "
            "again, and runs before and after may then differ by few of them."
        ) from error


def _write(path: Path, blocks: Sequence[DealtBlock]) -> None:
    document = {
        "blocks": [
            [{"label": one.label, "images": sorted(one.images)} for one in block]
            for block in blocks
        ]
    }
    try:
        make_private_folder(path.parent)
        write_private(path, (json.dumps(document) + "\n").encode())
    except OSError as error:
        raise SiteError(
            f"{path} cannot be written ({error.strerror}); runs need it, so that no two of them "
            "differ by a few patients."
        ) from error
