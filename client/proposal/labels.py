"""Several labels as the owner names them, each with its column: `effusion | cardiomegaly=heart`."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from client.declared import normalised_value
from client.proposal.classes import Classes, quoted
from client.proposal.columns import Column, find_column, names_of
from client.proposal.label_columns import listed_in, own_columns_wanted
from client.proposal.words import plain
from shared.errors import ConfigError, SiteError
from shared.outcome.encoding import LabelColumn, LabelsEncoding
from shared.outcome.labels import LabelsOutcome
from shared.outcome.registry import outcome_of


@dataclass(frozen=True)
class Label:
    """A label, its column, and which values mean that it is there or is not."""

    name: str
    column: Column
    classes: Classes

    @cached_property
    def rows(self) -> tuple[int, int, int]:
        """How many rows are positive, negative, and of which it is missing."""
        values = self.column.values
        positive = sum(values[value] for value in self.classes.positive)
        negative = sum(values[value] for value in self.classes.negative)
        return positive, negative, len(self.column.cells) - positive - negative


@dataclass(frozen=True)
class Labels:
    """An outcome of several labels."""

    each: tuple[Label, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The table's columns that say the outcome."""
        return tuple(label.column for label in self.each)

    @property
    def encoding(self) -> LabelsEncoding:
        """The outcome, with the values as site.toml has them."""
        columns = (
            LabelColumn(
                label.column.name,
                tuple(map(normalised_value, label.classes.positive)),
                tuple(map(normalised_value, label.classes.negative)),
            )
            for label in self.each
        )
        return LabelsEncoding(
            LabelsOutcome(tuple(label.name for label in self.each)), tuple(columns)
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of it is a guess, or missing, that its owner should look at."""
        return tuple(self._remarks())

    def _remarks(self) -> Iterator[str]:
        guesses: dict[str, list[str]] = {}
        for label in self.each:
            if check := label.classes.check:
                guesses.setdefault(check, []).append(label.name)
        for check, names in guesses.items():
            yield f"{check[0].upper()}{check[1:]} ({', '.join(names)})."
        if uncounted := self._in_neither():
            yield (
                f"Values in neither list, which count as missing: {uncounted}. To count them, "
                "give all values of both sides with --positive and --negative."
            )
        if lacking := self._lacking("positive"):
            yield f"No row is positive for {lacking}; other sites may have some."
        if lacking := self._lacking("negative"):
            yield (
                f"No row is negative for {lacking}; other sites may have some. An empty cell "
                "counts as missing: if it means that the label is not there, write that value."
            )
        yield "All sites must have the same labels in the same order."

    def _in_neither(self) -> str:
        found: dict[str, list[str]] = {}
        for label in self.each:
            for value in label.classes.neither:
                of_label = f"{label.name} {label.column.values[value]}"
                found.setdefault(normalised_value(value), []).append(of_label)
        said = [f"'{value}' ({', '.join(labels)})" for value, labels in found.items()]
        more = len(said) - 10
        return ", ".join([*said[:10], *([f"{more} more"] if more > 0 else [])])

    def _lacking(self, side: str) -> str:
        """Labels of which no row is on that side, each with the value that would be."""
        return ", ".join(
            f"{label.name} ({quoted(label.classes.by_word[side])} does not occur)"
            for label in self.each
            if not label.column.values.keys() & set(label.classes.by_word[side])
        )


def named_labels(columns: Sequence[Column], text: str, table: Path) -> dict[str, Column]:
    """The labels of `--labels` in their order, each with its column.

    `text` is what a run's setting `outcome` has, with or without `labels:` before it; a label may
    say its column, `cardiomegaly=heart`. Without it, it is the column of that name, whatever the
    letter case and the signs between its words. SiteError for names that no label can have, for
    columns that are not there or are of two labels, and for one that lists several findings.
    """
    text = unicodedata.normalize("NFC", text)  # as the table's cells are
    kind, colon, rest = text.partition(":")
    if colon and kind.strip() in ("classes", "ordinal"):
        raise SiteError(f"--labels is '{text}'; classes are named with --classes.")
    parts = [one.partition("=") for one in (rest if kind.strip() == "labels" else text).split("|")]
    wanted = {name.strip(): own.strip() or name.strip() for name, _, own in parts}
    try:
        outcome_of(LabelsOutcome.kind, [name.strip() for name, _, _ in parts])
    except ConfigError as error:
        raise SiteError(f"--labels: {error}") from error
    found = {name: _column(columns, own) for name, own in wanted.items()}
    if lacking := [name for name, column in found.items() if column is None]:
        raise _no_column(columns, {name: wanted[name] for name in lacking}, table)
    named = {name: column for name, column in found.items() if column is not None}
    for column in named.values():
        if listed_in(column):
            raise SiteError(own_columns_wanted(column))
        if len(same := [name for name, other in named.items() if other is column]) > 1:
            raise SiteError(
                f"--labels: {' and '.join(same)} have the same column '{column.name}'; name one "
                "for each, as in 'effusion=COLUMN'."
            )
    return named


def require_apart(
    labels: Mapping[str, Column], image: Column | None, patient: Column | None
) -> None:
    """SiteError where a label's column is that of the images or of the patients."""
    for name, column in labels.items():
        for other, whose in ((image, "images"), (patient, "patients")):
            if column is other:
                raise SiteError(
                    f"--labels: the column '{column.name}' of {name} is that of the {whose}; name "
                    f"another, as in '{name}=COLUMN'."
                )


def _column(columns: Sequence[Column], name: str) -> Column | None:
    found = find_column(columns, name)
    if found is None:
        alike = [one for one in columns if plain(name) and plain(one.name) == plain(name)]
        found = alike[0] if len(alike) == 1 else None
    return found


def _no_column(columns: Sequence[Column], wanted: Mapping[str, str], table: Path) -> SiteError:
    """The error for labels, by name, whose columns are not there."""
    names = set(map(plain, wanted.values()))
    for column in columns:
        if names & set(map(plain, listed_in(column))):
            return SiteError(own_columns_wanted(column, wanted))
    first = next(iter(wanted))
    return SiteError(
        f"--labels: {table} has no column {quoted(wanted.values())}; its columns are "
        f"{names_of(columns)}. Name a label's column as in '{first}=COLUMN'."
    )
