r"""Which file an entry of the table's image column means.

An entry is the path relative to the images folder, or with some of the folders that lead there, or
the file's name, with or without its suffix. Where nothing has exactly that name, letter case,
composed accents (NFC), another suffix of the same format, quotation marks, escapes as in web
addresses and at last foreign folders before the path (`D:\export\...`) are looked past, each only
where one file and one entry are left.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from client.data.discover import IMAGE_SUFFIXES
from client.data.identity import bare, folded
from client.data.likely import likely_names
from client.imaging.format import DICOM_SUFFIXES

CASE = "in upper and lower case, blanks or how accents are written"
SUFFIX = "in their suffix (.dcm and .dicom, .jpg and .jpeg)"
ESCAPES = "in quotation marks or in escapes such as %20"
FOLDERS = "in the folders before their path"
NO_NAME = "no image name"
NO_FILE = "no file of this name"
SEVERAL = "several files of nearly this name"
TAKEN = "another row names its file more exactly"
SHARED_FILE = "several names of the table fit its file"
ELSEWHERE = "a file of this name lies in other folders"
OTHER_FORMAT = "a file of this name has another format"
LIKELY = "no file of this name, but a similar one that no row names"
NO_IMAGE_FILE = "a file of this name is there, but it is hidden, compressed or no image"
ZEROS = "a file has this name but for leading zeros or a final .0"
_JPEG = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
_PACKED = (".gz", ".zip", ".bz2")
Form = Callable[[str], str]


@dataclass(frozen=True)
class NameMatches:
    """Entry -> the file's number; `unmatched` entries -> why, and a file that it may mean.

    Several files, of these numbers, have exactly the name of an entry in `ambiguous`. `adapted`
    counts the matched entries by what they differ from their file in.
    """

    file_of: Mapping[str, int] = field(repr=False)
    unmatched: Mapping[str, tuple[str, str]] = field(repr=False)
    ambiguous: Mapping[str, tuple[int, ...]] = field(repr=False)
    adapted: Mapping[str, int]


def stem_of(name: str) -> str:
    """A name or path without the suffix of an image; the last component of a UID is no suffix."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in IMAGE_SUFFIXES else name


def match_names(
    images: Path, table: Path, entries: Iterable[str], files: Sequence[str]
) -> NameMatches:
    """Match entries to `files`, paths relative to the folder `images`."""
    return _Matcher(images, table, tuple(dict.fromkeys(entries)), files).run()


class _Matcher:
    """The passes over what is not matched yet, from the strictest on."""

    def __init__(
        self, images: Path, table: Path, entries: Sequence[str], files: Sequence[str]
    ) -> None:
        self.images, self.table, self.files = images, table, files
        self.left = dict.fromkeys(entries, (NO_FILE, ""))
        self.file_of: dict[str, int] = {}
        self.ambiguous: dict[str, tuple[int, ...]] = {}
        self.adapted: Counter[str] = Counter()
        self.indexes: dict[Form, _Index] = {}

    def run(self) -> NameMatches:
        """Run all passes, then explain what is left unmatched."""
        for form, differs in _FORMS:
            self._match(differs, partial(self._direct, self._index(form)))
        # Where some entries' folders lead to files from here, those of the others lead elsewhere.
        if self.left and not any("/" in _slashed(entry) for entry in self.file_of):
            for form, _ in _FORMS:
                self._match(FOLDERS, partial(_past_folders, self._index(form)))
        if self.left:
            self._explain(self._index(folded))
        return NameMatches(self.file_of, self.left, self.ambiguous, self.adapted)

    def _index(self, form: Form) -> _Index:
        if form not in self.indexes:
            # Where nothing is left to be matched, nobody looks into it.
            self.indexes[form] = _Index(form, self.files if self.left else ())
        return self.indexes[form]

    def _match(self, differs: str | None, look: Callable[[str], Collection[int]]) -> None:
        claims: dict[int, list[str]] = defaultdict(list)
        taken = set(self.file_of.values())
        for entry in list(self.left):
            hits = look(entry)
            if len(hits) > 1 and differs is None:
                self.ambiguous[entry] = tuple(sorted(hits))
                del self.left[entry]
            elif len(hits) > 1:
                self.left[entry] = (SEVERAL, self.files[min(hits)])
            elif hits:
                (number,) = hits
                claims[number].append(entry)
        for number, entries in claims.items():
            if differs is not None and (number in taken or len(entries) > 1):
                reason = TAKEN if number in taken else SHARED_FILE
                self.left.update(dict.fromkeys(entries, (reason, self.files[number])))
                continue
            for entry in entries:
                self.file_of[entry] = number
                del self.left[entry]
                if differs is not None:
                    self.adapted[differs] += 1

    def _direct(self, index: _Index, entry: str) -> Collection[int]:
        name = _slashed(entry)
        hits: Collection[int] = index.paths.get(index.form(name), ())
        for path in () if hits else self._from_here(name, index.form):
            hits = {*hits, *index.paths.get(index.form(path), ())}
        for further in () if "/" in name else (index.names, index.stems):
            hits = hits or further.get(index.form(name), ())
        return hits or index.bare_paths.get(index.form(name), ())

    def _from_here(self, name: str, form: Form) -> Iterator[str]:
        """The path relative to the images folder of one relative to the table or to the root."""
        resolved = os.path.normpath(os.path.join(self.table.parent, name))
        if resolved.startswith(f"{self.images}/"):
            yield resolved.removeprefix(f"{self.images}/")
        parts, above = name.strip("/").split("/"), self.images.parts[1:]
        for length in range(1, min(len(above), len(parts) - 1) + 1):
            if form("/".join(parts[:length])) == form("/".join(above[-length:])):
                yield "/".join(parts[length:])

    def _explain(self, index: _Index) -> None:
        zeros: dict[str, list[int]] = defaultdict(list)
        for number, file in enumerate(self.files):
            zeros[bare(folded(stem_of(_name(file))))].append(number)
        for entry, (reason, _) in self.left.items():
            if reason != NO_FILE:
                continue
            name = _name(_slashed(entry))
            stem = folded(stem_of(name))
            for why, found in (
                (ELSEWHERE, index.names.get(folded(name), ())),
                (OTHER_FORMAT, index.stems.get(stem, ())),
                (ZEROS, zeros.get(bare(stem), ())),
            ):
                if found:
                    self.left[entry] = (why, self.files[found[0]])
                    break
        taken = set(self.file_of.values())
        free = [file for number, file in enumerate(self.files) if number not in taken]
        unknown = [entry for entry, (reason, _) in self.left.items() if reason == NO_FILE]
        for entry, place in likely_names(unknown, free).items():
            self.left[entry] = (LIKELY, free[place])
        for entry, (reason, _) in self.left.items():
            path = self.images / _slashed(entry).lstrip("/")
            if reason == NO_FILE and any(os.path.exists(f"{path}{end}") for end in ("", *_PACKED)):
                self.left[entry] = (NO_IMAGE_FILE, "")


class _Index:
    """The files by path, by name and by both without suffix, under one form of writing them."""

    def __init__(self, form: Form, files: Sequence[str]) -> None:
        self.form = form
        self.paths, self.names, self.stems, self.bare_paths = (
            defaultdict[str, list[int]](list) for _ in range(4)
        )
        for number, file in enumerate(files):
            written = form(file)
            self.paths[written].append(number)
            self.names[_name(written)].append(number)
            bare_path = form(stem_of(file))
            self.bare_paths[bare_path].append(number)
            self.stems[_name(bare_path)].append(number)


def _past_folders(index: _Index, entry: str) -> Collection[int]:
    """The file whose whole path is the longest end of the entry."""
    parts = _slashed(entry).split("/")
    for start in range(1, len(parts)):
        if found := index.paths.get(index.form("/".join(parts[start:]))):
            return found
    return ()


def _in_family(text: str) -> str:
    """As `folded`, all suffixes of DICOM and all of JPEG as one."""
    stem, suffix = os.path.splitext(folded(text))
    if suffix in DICOM_SUFFIXES:
        suffix = ".dcm"
    return stem + (".jpg" if suffix in _JPEG else suffix)


def _unescaped(text: str) -> str:
    """As `_in_family`, without quotation marks around it and with `%20` as the blank that it is."""
    return _in_family(unquote(text.strip("\"'")))


_FORMS: tuple[tuple[Form, str | None], ...] = (
    (str, None),
    (folded, CASE),
    (_in_family, SUFFIX),
    (_unescaped, ESCAPES),
)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _slashed(entry: str) -> str:
    name = entry.replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name
