"""A table of outcomes from a folder for each class, as PyTorch's ImageFolder has them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.data.class_folders import class_of_folder, require_no_parts
from client.data.discover import find_images
from client.data.patient_ids import read_patient_ids
from shared.errors import SiteError
from shared.plain import shown
from shared.storage.files import write_text_atomically

TABLE = "labels.csv"
IMAGE, OUTCOME, PATIENT = "image", "class", "patient"


@dataclass(frozen=True)
class Folders:
    """Images by their class, which is the name of the folder in `root` that holds them."""

    root: Path
    classes: Mapping[str, Sequence[str]]
    """Paths relative to `root`."""
    patients: Mapping[str, str] | None
    """Of each image where something says so; None: each image is a patient."""
    by: str
    """What says so."""
    outside: int
    """Images in no such folder."""

    def remarks(self) -> Iterator[str]:
        """What was found, and what its owner must know before anything is trained."""
        counts = ", ".join(f"{shown(name)} ({len(own)})" for name, own in self.classes.items())
        yield f"Classes by folder, with their images: {counts}."
        if self.outside:
            yield f"{self.outside} image(s) lie in no folder of a class; they are not in the table."
        images = sum(map(len, self.classes.values()))
        if self.patients is not None:
            yield f"{images} images of {len(set(self.patients.values()))} patients, by {self.by}."
            return
        yield (
            f"EACH IMAGE COUNTS AS A PATIENT: {images}. If a patient has several images, training "
            "and validation share patients, and the results are too good. Say which part of a "
            "name is the patient with --patient-pattern, e.g. '(P[0-9]+)_' for P012_left.png, or "
            "'([^/]+)/' where each patient has a folder in that of the class."
        )

    def table(self) -> str:
        """The table as CSV: patient where it is known, image, class."""
        head = [IMAGE, OUTCOME] if self.patients is None else [PATIENT, IMAGE, OUTCOME]
        rows = (
            [*([self.patients[image]] if self.patients is not None else []), _cell(image), name]
            for name, images in self.classes.items()
            for image in images
        )
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([head, *rows])
        return buffer.getvalue()


def _cell(image: str) -> str:
    """The path as it is read again: a table's cell loses the blanks that it begins with."""
    return image if image[:1].strip() else f"./{image}"


def read_folders(root: Path, pattern: str | None) -> Folders:
    """The classes of a folder with one folder for each.

    `pattern` is searched in each image's path below its class's folder; its first group, or all
    that it matches, is the patient. Without one it is the Patient ID where all are DICOM files that
    have one. SiteError where there are fewer than two classes, where the
    folders are parts of a data set, where a name or Patient ID is no text, where only some images
    have a Patient ID and share it, and where the pattern does not fit.
    """
    if not root.is_dir():
        raise SiteError(f"There is no folder {root}; name the one with a folder for each class.")
    paths = [path.relative_to(root).as_posix() for path in find_images(root)]
    classes: dict[str, list[str]] = {}
    for path in paths:
        if "/" in path:
            classes.setdefault(class_of_folder(path.partition("/")[0]), []).append(path)
    _require_classes(root, classes)
    _require_text(path for own in classes.values() for path in own)
    outside = len(paths) - sum(map(len, classes.values()))
    images = [path for own in classes.values() for path in own]
    if pattern is not None:
        return Folders(root, classes, _patients(images, pattern), "the pattern", outside)
    return Folders(root, classes, _by_header(root, images), "the DICOM files' Patient IDs", outside)


def write_table(file: Path, text: str) -> None:
    """Write the table; SiteError where another one is there, which stays."""
    if file.exists():
        try:
            same = file.read_bytes() == text.encode("utf-8")
        except OSError:
            same = False
        if not same:
            raise SiteError(
                f"{file} already exists and is another table; name it with --from to use it, or "
                "move it away."
            )
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(file, text)


def _require_classes(root: Path, classes: Mapping[str, Sequence[str]]) -> None:
    require_no_parts(root, classes)
    if len(classes) < 2:
        found = f"only '{shown(next(iter(classes)))}'" if classes else "none"
        raise SiteError(
            f"{root} needs a folder with images for each class, two or more; there is {found}."
        )


def _require_text(paths: Iterator[str]) -> None:
    bad = sum(not path.isprintable() or _is_bytes(path) for path in paths)
    if bad:
        raise SiteError(
            f"{bad} image(s) have names with control characters or bytes that are not UTF-8, which "
            "a table cannot hold; rename them."
        )


def _is_bytes(path: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in path)


def _by_header(root: Path, images: Sequence[str]) -> dict[str, str] | None:
    """The Patient ID of each image; None where not all have one and each counts as a patient."""
    known = {path: one for path, one in read_patient_ids(root, images).items() if one}
    lacking = [path for path in images if path not in known]
    # One and the same everywhere was written over the true ones and names nobody.
    if lacking and 1 < len(set(known.values())) < len(known):
        raise SiteError(
            f"{len(lacking)} of {len(images)} images have no DICOM Patient ID, such as "
            f"'{shown(lacking[0])}', and some of the others share one: patients would be in "
            "training and in validation at once. Say which part of a name is the patient with "
            "--patient-pattern, or take the images without a Patient ID out."
        )
    if lacking:
        return None
    if bad := sum(not all(map(_is_letter, patient)) for patient in known.values()):
        raise SiteError(
            f"{bad} image(s) have a Patient ID with control characters, or with letters that are "
            "not in the character set that its header names; a table cannot hold it. Say which "
            "part of a name is the patient with --patient-pattern."
        )
    return known


def _is_letter(sign: str) -> bool:
    """Whether it is neither a control character nor a byte that no text has."""
    return unicodedata.category(sign) not in ("Cc", "Cs")


def _patients(paths: Sequence[str], pattern: str) -> dict[str, str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SiteError(
            f"--patient-pattern is '{pattern}', which is not a regular expression ({error})."
        ) from None
    found: dict[str, str] = {}
    for path in paths:
        match = compiled.search(path.partition("/")[2])
        named = match and (match[1] if compiled.groups else match[0])
        if named and named.strip():
            found[path] = named.strip()
    if missing := [path for path in paths if path not in found]:
        some = ", ".join(f"'{shown(path)}'" for path in missing[:3])
        raise SiteError(
            f"--patient-pattern finds no patient in {len(missing)} of {len(paths)} names, such as "
            f"{some}; correct it."
        )
    _require_apart(found)
    return found


def _require_apart(patients: Mapping[str, str]) -> None:
    """That the pattern has not taken one and the same word of all names."""
    if len(Counter(patients.values())) < 4 <= len(patients):
        raise SiteError(
            f"--patient-pattern finds {len(set(patients.values()))} patient(s) in "
            f"{len(patients)} images; it must match what differs from patient to patient."
        )
