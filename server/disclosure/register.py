"""What runs and evaluations have shown: releases.jsonl, next to the runs' folders.

It holds names, digests and counts that were shown, and nothing that was not. A line is added
before the results it lists are written anywhere, and none is ever changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from server.disclosure.groups import Counts, Earlier, Few, ShownGroups, is_few
from shared.errors import RunError
from shared.storage.files import file_lock
from shared.storage.json_file import DamagedFile, parse_json, typed

FILE = "releases.jsonl"
OF_STUDY = "study"
"""With which the cohorts of studies begin."""
OF_EVALUATION = "external"
"""With which those of evaluations do."""
_OF_OUTCOME = re.compile(rf"^{OF_EVALUATION} of [^,]*")
"""An evaluation of several classes or labels, whose names have no comma."""
STUDY = "plan.json"
"""What a study's folder has, whose runs lie two folders below."""


@dataclass(frozen=True)
class Release:
    """A group of sites whose patients' results were shown as one.

    `cohort` says which of a site's patients these are, `members` has a digest of each site's data,
    `small` the sites among them that are never shown alone.
    """

    run: str
    cohort: str
    members: Mapping[str, str]
    counts: Counts
    small: tuple[str, ...]

    def shows(self, other: Release) -> bool:
        """Whether the other one shows the same, of whichever run."""
        mine, others = (
            (one.cohort, dict(one.members), set(one.small)) for one in (self, other)
        )  # fmt: skip
        return mine == others


@dataclass
class Releases:
    """All releases so far; `new` ones are those that were added since."""

    before: Sequence[Release] = ()
    new: list[Release] = field(default_factory=list)

    def add(self, release: Release) -> None:
        """Add one, unless the same was shown before."""
        if not any(one.shows(release) for one in (*self.before, *self.new)):
            self.new.append(release)

    def add_admitted(self, run: str, cohort: str, groups: ShownGroups) -> None:
        """Add all groups that were admitted, before any of their results is written."""
        for members, counts in groups.admitted():
            small = tuple(sorted(groups.hidden & set(members)))
            self.add(Release(run, cohort, members, counts, small))

    def data_of(self, run: str) -> dict[str, str]:
        """A digest of each site's data, as a run has shown it last."""
        every = (*self.before, *self.new)
        return {name: data for one in every if one.run == run for name, data in one.members.items()}

    def earlier(
        self, cohort: str, data: Mapping[str, str], counts: Mapping[str, Counts], min_cell: int
    ) -> Earlier:
        """The earlier releases that a cohort is held against; `data` and `counts` are of its sites.

        Studies are held against studies, whose runs are folds of them, runs against runs, and an
        evaluation against those of the same cohort.
        """
        every = [one for one in (*self.before, *self.new) if kind_of(one.cohort) == kind_of(cohort)]
        same = [one for one in every if one.cohort == cohort]
        changed = {
            (name, then): one.counts if len(one.members) == 1 else None
            for one in sorted(same, key=lambda one: -len(one.members))
            for name, then in one.members.items()
            if name in data and data[name] != then
        }
        return Earlier(
            same=[dict.fromkeys(one.members.items(), 1.0) for one in same],
            few=[
                *_changes(data, counts, changed, min_cell),
                *_hidden(same, data),
            ],
            data=data,
            others=[dict.fromkeys(one.members, 1.0) for one in every],
            small=frozenset(name for one in every for name in one.small),
        )


def register_path(folder: Path) -> Path:
    """The register of a run's or study's folder: next to it, of a study's run next to the study."""
    parent = folder.absolute().parent
    within = (parent.parent / STUDY).exists()
    return (parent.parent.parent if within else parent) / FILE


def kind_of(cohort: str) -> str:
    """Which releases a cohort's are held to, by its sites at least: of whatever is predicted."""
    if cohort.startswith(OF_EVALUATION):
        return _OF_OUTCOME.sub(OF_EVALUATION, cohort)
    return OF_STUDY if cohort.startswith(OF_STUDY) else ""


def _hidden(same: Sequence[Release], data: Mapping[str, str]) -> list[Few]:
    """The small parts of earlier sums that are not the data that the sites have now."""
    parts = {(name, one.members[name]) for one in same for name in one.small}
    return [
        Few(dict.fromkeys([part], 1.0)) for part in sorted(parts) if data.get(part[0]) != part[1]
    ]


def _changes(
    data: Mapping[str, str],
    counts: Mapping[str, Counts],
    changed: Mapping[tuple[str, str], Counts | None],
    min_cell: int,
) -> list[Few]:
    """What a site's data are more or less than before, where that is few patients or unknown."""
    found = []
    for (name, then), shown in changed.items():
        what: dict[Hashable, float] = {(name, data[name]): 1.0, (name, then): -1.0}
        if shown is None or len(shown) != len(counts[name]):
            found.append(Few(what))
            continue
        more = tuple(abs(now - own) for now, own in zip(counts[name], shown, strict=True))
        if any(more) and is_few([more, ()], min_cell):
            found.append(Few(what, more))
    return found


class Register:
    """The releases of all runs of a folder; without a path those of this process alone."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._own: list[Release] = []

    @contextmanager
    def opened(self) -> Iterator[Releases]:
        """All releases, to add to; no other process adds meanwhile.

        What is added is on disk when the block ends. RunError where the file cannot be read or
        written, and where a line is damaged.
        """
        if self._path is None:
            releases = Releases(tuple(self._own))
            yield releases
            self._own += releases.new
            return
        with ExitStack() as held:
            try:
                held.enter_context(file_lock(self._path))
                file = held.enter_context(self._path.open("a+b"))
                file.seek(0)
                text = file.read()
            except OSError as error:
                raise _unusable(self._path, error) from error
            releases = Releases(_parsed(self._path, text))
            yield releases
            if releases.new:
                lines = "".join(json.dumps(asdict(one)) + "\n" for one in releases.new)
                # A line that a crash has torn was never followed by the results it lists.
                start = "" if not text or text.endswith(b"\n") else "\n"
                try:
                    file.write((start + lines).encode("utf-8"))
                    file.flush()
                    os.fsync(file.fileno())
                except OSError as error:
                    raise _unusable(self._path, error) from error


def _parsed(path: Path, text: bytes) -> tuple[Release, ...]:
    lines = text.split(b"\n")
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            release = typed(parse_json(line), Release)
            if len(release.counts) < 2:
                raise DamagedFile("fewer than two classes are counted")
            found.append(release)
        except DamagedFile:
            if number < len(lines) and not _is_torn(line):
                raise RunError(
                    f"{path}, line {number}, is damaged. It says what earlier runs have shown of "
                    "their sites: restore the file from a copy. Only where nobody has those "
                    "results may it be moved away."
                ) from None
    return tuple(found)


def _is_torn(line: bytes) -> bool:
    return line.startswith(b"{") and not line.rstrip().endswith(b"}")


def _unusable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"The register of what was shown, {path}, cannot be read and written "
        f"({error.strerror}); check its permissions and the room on that disk, then rerun the "
        "command (a run continues with --resume)."
    )
