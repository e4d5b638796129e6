"""The proposal as the text of a site.toml, with comments for its owner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from client.proposal.classes import Classes
from client.proposal.columns import Column
from client.proposal.labels import Label, Labels
from client.proposal.propose import Proposal, may_be_grade
from client.settings import SiteSettings
from shared.errors import SiteError
from shared.outcome.binary import BINARY

_TEMPLATE = """\
# Proposed by `fedthaw site new` from {table}. Correct what it guessed wrong, then see what is
# admitted with `fedthaw site check`. Paths are relative to this folder, or absolute.

[site]
name = {name}

[data]
images = {images}  # searched with its subfolders
{table_key} = {labels}
patient = {patient}  # column; all rows of a patient stay together
{image}
{outcome}
[compute]
device = "auto"  # a GPU where there is one; or "cpu", "cuda", "cuda:1"
# cache = "/fast/disk/fedthaw"  # prepared images; default: this user's cache folder

[policy]
min-cell = {min_cell}  # smaller counts are never shown for this site
max-rejected = {max_rejected}  # more unreadable or missing images than this share refuse to train
"""
_NO_IMAGE = """\
# No column names the images: DICOM files are matched by their Patient ID, PNG and JPEG files by
# their name or a folder above them.
# image = "COLUMN"
"""
_OF_CLASSES = """\
[data.classes]  # the values that mean each; all sites: the same classes in the same order"""
_OF_LABELS = """\

# Each label with its column and values; all sites: the same labels in the same order. Where a cell
# is empty or its value is in neither list, the label counts as missing.
[data.labels]"""


def site_toml(proposal: Proposal) -> str:
    """The text; SiteError for a path that cannot be written as text."""
    settings, outcome = proposal.settings, proposal.outcome
    image = (
        _NO_IMAGE.rstrip("\n")
        if settings.image is None
        else f"image = {_text(settings.image)}  # column with the images' names or paths"
    )
    text = _TEMPLATE.format(
        table=_comment(settings.labels.name),
        name=_text(settings.name),
        images=_path(settings, settings.images),
        table_key="table" if isinstance(outcome, Labels) else "labels",
        labels=_path(settings, settings.labels),
        patient=_text(settings.patient),
        image=image,
        outcome=(
            _labels(outcome)
            if isinstance(outcome, Labels)
            else _one_column(settings, outcome.classes, proposal.unused)
        ),
        min_cell=settings.min_cell,
        max_rejected=settings.max_rejected,
    )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SiteError(
            f"A path of {settings.folder} is not valid UTF-8, which site.toml needs; rename the "
            "folder or the file."
        ) from error
    return text


def _one_column(settings: SiteSettings, classes: Classes, unused: Sequence[Column]) -> str:
    return (
        f"outcome = {_text(settings.outcome)}  # column\n{_values(classes)}\n"
        f"{_neither(classes)}{_covariate(settings, unused)}{_classes(classes)}"
    )


def _labels(labels: Labels) -> str:
    """The section of several labels."""
    return "\n".join([_OF_LABELS, *map(_label, labels.each), ""])


def _label(label: Label) -> str:
    values = label.classes
    missing = f"  # missing: {_first(values.neither)}" if values.neither else ""
    return (
        f"{_text(label.name)} = {{ column = {_text(label.column.name)}, "
        f"positive = {_list(values.positive)}, negative = {_list(values.negative)} }}{missing}"
    )


def _values(classes: Classes) -> str:
    """A finding's values; of several classes the line that says that they have an order."""
    if classes.several:
        line = "ordinal = true  # the classes below go from the lowest to the highest"
        return line if classes.ordinal else f"# {line}"
    return f"positive = {_list(classes.positive)}\nnegative = {_list(classes.negative)}"


def _classes(classes: Classes) -> str:
    """The section of several classes."""
    if not classes.several:
        return ""
    lines = [f"{_text(name)} = {_list(own)}" for name, own in classes.several.items()]
    return "\n".join(["", _OF_CLASSES, *lines, ""])


def _neither(classes: Classes) -> str:
    values = classes.neither
    if not values:
        return ""
    where = "In no class" if classes.several else "In neither list"
    return f"# {where}, so excluded: {_first(values)}\n"


def _first(values: Sequence[str]) -> str:
    more = f" and {len(values) - 10} more" if len(values) > 10 else ""
    return f"{', '.join(map(_text, values[:10]))}{more}"


def _covariate(settings: SiteSettings, unused: Sequence[Column]) -> str:
    """The line of the grade, as a comment where its owner has not chosen one."""
    comment = "  # clinical grade; its AUROC is shown next to the model's"
    if settings.covariate is not None:
        return f"covariate = {_text(settings.covariate)}{comment}\n"
    if settings.encoding.outcome != BINARY:  # a grade is compared with a single finding only
        return ""
    grades = [column for column in unused if may_be_grade(column)]
    return "".join(f"# covariate = {_text(grade.name)}{comment}\n" for grade in grades[:1])


def _path(settings: SiteSettings, path: Path) -> str:
    inside = path.is_relative_to(settings.folder)
    return _text((path.relative_to(settings.folder) if inside else path).as_posix())


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _text(text: str) -> str:
    r"""A TOML string: JSON's escapes are TOML's, and TOML's `\U` for what cannot be printed.

    What is no text at all (a byte of a file's name) stays, and is refused later.
    """
    written = json.dumps(text, ensure_ascii=False)
    return "".join(
        c if c.isprintable() or "\ud800" <= c <= "\udfff" else f"\\U{ord(c):08x}" for c in written
    )


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
