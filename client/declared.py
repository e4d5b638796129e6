"""What [data] of site.toml says is predicted: a finding, classes or labels, and their columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from client.site_file import BINARY_KEYS, required
from shared.errors import ConfigError, SiteError
from shared.outcome.binary import BINARY
from shared.outcome.encoding import AnyEncoding, Encoding, LabelColumn, LabelsEncoding
from shared.outcome.labels import LabelsOutcome
from shared.outcome.registry import outcome_of

_ONE = (
    "a site has one outcome: positive and negative for a finding, [data.classes] for several "
    "classes, or [data.labels] for several findings"
)


def normalised_value(value: object) -> str:
    """An outcome as it is compared: stripped, case-folded, and `1.0` the same as `1`.

    Accents are composed (NFC), as those of the table's cells are: a site.toml that was written on a
    Mac may have them apart.
    """
    apart = unicodedata.normalize("NFD", str(value).strip())
    text = unicodedata.normalize("NFC", apart.casefold())
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", text)


def read_encoding(file: Path, data: Mapping[str, Any]) -> AnyEncoding:
    """The outcome and the values that mean its classes or labels.

    SiteError where none or several are declared, where a value means two of them, and for names
    that an outcome cannot have.
    """
    labels = isinstance(data.get("labels"), dict)
    binary = any(key in data for key in BINARY_KEYS)
    found = [
        *(["positive and negative"] if binary else []),
        *(["[data.classes]"] if "classes" in data else []),
        *(["[data.labels]"] if labels else []),
    ]
    if len(found) > 1:
        raise SiteError(f"{file}: [data] has {' and '.join(found)}; {_ONE}.")
    if "ordinal" in data and "classes" not in data:
        raise SiteError(
            f"{file}: ordinal in [data] is of [data.classes], which is not there; take it out."
        )
    if labels:
        if "outcome" in data:
            raise SiteError(
                f"{file}: outcome in [data] is not used with [data.labels], where each label "
                "names its column; take it out."
            )
        return _labels(file, data["labels"])
    if "outcome" not in data:
        raise required(file, "data", "outcome")
    return _classes(file, data) if "classes" in data else _binary(file, data)


def table_key(file: Path, data: Mapping[str, Any]) -> str:
    """The key in [data] that names the table's file; SiteError where there is none, or two."""
    named = [key for key in ("labels", "table") if isinstance(data.get(key), str)]
    if len(named) > 1:
        raise SiteError(
            f"{file}: labels and table in [data] both name a file; they mean the same, so take one "
            "of them out."
        )
    if not named:
        raise required(file, "data", "table" if "labels" in data else "labels")
    return named[0]


def _binary(file: Path, data: Mapping[str, Any]) -> Encoding:
    for key in BINARY_KEYS:
        if key not in data:
            raise required(file, "data", key)
    values = {word: _normalised(data[word]) for word in BINARY_KEYS}
    _require_apart(file, values, "[data]")
    return Encoding(BINARY, tuple(values.values()))


def _classes(file: Path, data: Mapping[str, Any]) -> Encoding:
    kind = "ordinal" if data.get("ordinal") else "classes"
    try:
        outcome = outcome_of(kind, tuple(data["classes"]))
    except ConfigError as error:
        raise SiteError(f"{file}: [data.classes]: {error}") from error
    values = {name: _normalised(own) for name, own in data["classes"].items()}
    _require_apart(file, values, "[data.classes]")
    return Encoding(outcome, tuple(values.values()))


def _labels(file: Path, labels: Mapping[str, Mapping[str, Any]]) -> LabelsEncoding:
    try:
        outcome = outcome_of("labels", tuple(labels))
    except ConfigError as error:
        raise SiteError(f"{file}: [data.labels]: {error}") from error
    columns = []
    for name, label in labels.items():
        values = {word: _normalised(label[word]) for word in BINARY_KEYS}
        _require_apart(file, values, f"{name} of [data.labels]")
        columns.append(LabelColumn(label["column"].strip(), *values.values()))
    assert isinstance(outcome, LabelsOutcome)
    return LabelsEncoding(outcome, tuple(columns))


def _normalised(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(normalised_value, values)))


def _require_apart(file: Path, values: Mapping[str, Sequence[str]], where: str) -> None:
    for one, other in combinations(values, 2):
        if both := sorted(set(values[one]) & set(values[other])):
            raise SiteError(
                f"{file}: {', '.join(map(repr, both))} stands in both {one} and {other} in "
                f"{where}; an outcome belongs to one of them (case does not matter)."
            )
