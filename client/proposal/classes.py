"""Which values of the outcome are positive and which negative, or of which class each is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from client.declared import normalised_value
from client.proposal.columns import Column
from client.proposal.label_columns import listed_in, own_columns_wanted
from client.proposal.several import LEVEL, are_graded, several_classes
from client.proposal.words import grade_of, is_unknown, meaning_of, plain
from shared.errors import SiteError
from shared.outcome.binary import BINARY
from shared.outcome.classes import ClassesOutcome
from shared.outcome.encoding import Encoding
from shared.outcome.ordinal import OrdinalOutcome

_MODERATE = 2
ALL_SITES = (
    "all sites must have the same classes in the same order, also those that a site has no patient "
    "of (--classes 'A | B | C' names them); for a finding instead, rerun with --positive VALUE, "
    "which may be repeated"
)
_SEVERAL = (
    f"if the classes go from low to high, uncomment `ordinal = true` (--ordinal); {ALL_SITES}"
)
_GRADED = (
    "the classes are taken to go from low to high; take `ordinal = true` out if they do not "
    f"(--no-ordinal); {ALL_SITES}"
)
_MORE_GRADES = (
    "if other sites have more grades, all must name all of them, as in --classes "
    "'none | mild | moderate | severe'"
)


@dataclass(frozen=True)
class Classes:
    """Values of each class, spelled as in the table, those in neither, and the reason.

    `check` says what of it is a guess that its owner should look at; empty where it is plain.
    `several` has the classes by name where there are three or more, and none is positive;
    `ordinal` says that they go from low to high.
    """

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    neither: tuple[str, ...]
    why: str
    check: str = ""
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ordinal: bool = False

    @property
    def by_word(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each class, by its word, in their order."""
        return self.several or {"positive": self.positive, "negative": self.negative}

    @property
    def encoding(self) -> Encoding:
        """The outcome, with the values as site.toml has them."""
        kind = OrdinalOutcome if self.ordinal else ClassesOutcome
        outcome = kind(tuple(self.several)) if self.several else BINARY
        values = (self.by_word[one.word] for one in outcome.classes)
        return Encoding(outcome, tuple(tuple(map(normalised_value, own)) for own in values))


@dataclass(frozen=True)
class OneColumn:
    """An outcome that one column says, why it is that one, and the classes of its values."""

    column: Column
    why: str
    classes: Classes

    @property
    def columns(self) -> tuple[Column, ...]:
        """The table's columns that say the outcome."""
        return (self.column,)

    @property
    def encoding(self) -> Encoding:
        """The outcome, with the values as site.toml has them."""
        return self.classes.encoding

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of it is a guess that its owner should look at."""
        check = self.classes.check
        return (f"{check[0].upper()}{check[1:]}.",) if check else ()


def guess_classes(column: Column, positive: Sequence[str], negative: Sequence[str]) -> Classes:
    """The classes as `positive` and `negative` say, or as the words of the values do.

    Values of three meanings or more are classes of their own, words for the same one class. With
    `positive` or `negative` alone, all other values whose meaning is not 'unknown' are of the
    other class.
    Raises SiteError for values that do not occur and where nothing says which is positive.
    """
    if positive or negative:
        return _as_given(column, positive, negative)
    known = [value for value in column.values if not is_unknown(value)]
    if len(known) < 2:
        raise SiteError(
            f"'{column.name}' has {_counts(column) or 'no value'}: not two outcomes, and a site "
            "needs patients of both classes. Another column is chosen with --outcome COLUMN."
        )
    if listed_in(column):
        raise SiteError(
            f"{own_columns_wanted(column)} For a finding alone, say which values are positive with "
            "--positive VALUE; for classes, name them with --classes."
        )
    if several := several_classes(known):
        used = {value for own in several.values() for value in own}
        neither = tuple(value for value in column.values if value not in used)
        if are_graded(known, column.name):
            return Classes((), (), neither, "each grade by itself", _GRADED, several, ordinal=True)
        return Classes((), (), neither, "each value by itself", _SEVERAL, several)
    meaning, check = meanings_of(column, known)
    if set(meaning.values()) != {True, False}:
        raise _cannot_tell(column)
    chosen = {wanted: [v for v in known if meaning.get(v) is wanted] for wanted in (True, False)}
    return _classes(column, chosen[True], chosen[False], "by their words", check)


def meanings_of(column: Column, known: Sequence[str]) -> tuple[dict[str, bool], str]:
    """Value -> whether it is positive, as far as that is clear, and what of it is a guess."""
    numbers = {value: int(n[1]) for value in known if (n := LEVEL.fullmatch(plain(value)))}
    return _of_numbers(numbers) if len(numbers) == len(known) else _of_words(column, known)


def _of_numbers(numbers: dict[str, int]) -> tuple[dict[str, bool], str]:
    """0 is negative; of numbers from 1 on nobody knows which are positive."""
    if min(numbers.values()) != 0:
        return {}, ""
    several = "each number above 0 counts as positive; correct this with --positive"
    return {value: n > 0 for value, n in numbers.items()}, several if len(numbers) > 2 else ""


def _of_words(column: Column, known: Sequence[str]) -> tuple[dict[str, bool], str]:
    """Value -> whether it is positive, where that is clear, and what of it is a guess."""
    said = {value: meaning_of(value, column.name) for value in known}
    meaning = {value: positive for value, positive in said.items() if positive is not None}
    check = ""
    grades = {value: grade for value in known if (grade := grade_of(value)) is not None}
    if grades:
        divided = min(grades.values()) < _MODERATE <= max(grades.values())
        meaning |= {v: grade >= (_MODERATE if divided else 1) for v, grade in grades.items()}
        if divided:
            check = "the cut between mild and moderate is a guess; correct it with --positive"
        check = "; ".join(filter(None, [check, _MORE_GRADES]))
    unsure = [value for value in known if value not in meaning]
    one_sided = set(meaning.values())
    if unsure and (one_sided == {False} or (one_sided == {True} and len(unsure) == 1)):
        positive = one_sided == {False}
        meaning |= dict.fromkeys(unsure, positive)
        check = (
            f"{quoted(unsure)} counts as {'positive' if positive else 'negative'}, as it is not "
            f"among the others; correct this with --{'negative' if positive else 'positive'}"
        )
    return meaning, check


def _as_given(column: Column, positive: Sequence[str], negative: Sequence[str]) -> Classes:
    given = {"positive": _in_column(column, positive, "--positive"),
             "negative": _in_column(column, negative, "--negative")}  # fmt: skip
    both = set(given["positive"]) & set(given["negative"])
    if both:
        raise SiteError(f"{quoted(both)} stands in both --positive and --negative.")
    missing = next((name for name, values in given.items() if not values), None)
    check = ""
    if missing is not None:
        named = {*given["positive"], *given["negative"]}
        rest = [v for v in column.values if v not in named and not is_unknown(v)]
        if not rest:
            raise SiteError(f"No value of '{column.name}' is left to be {missing}.")
        given[missing] = rest
        check = f"all other values count as {missing}: {quoted(rest)}"
    return _classes(column, given["positive"], given["negative"], "as the options say", check)


def _in_column(column: Column, wanted: Sequence[str], option: str) -> list[str]:
    """The table's spelling of the values; a text that is none is split at its commas."""
    spelled = {normalised_value(value): value for value in column.values}
    found = []
    for text in wanted:
        parts = [text] if normalised_value(text) in spelled else text.split(",")
        for part in map(normalised_value, parts):
            if part not in spelled:
                raise SiteError(
                    f"{option} is '{text}', but '{column.name}' has no such value; it has "
                    f"{quoted(list(column.values)[:20])}."
                )
            found.append(spelled[part])
    return list(dict.fromkeys(found))


def _classes(
    column: Column, positive: Sequence[str], negative: Sequence[str], why: str, check: str
) -> Classes:
    used = {*positive, *negative}
    neither = tuple(value for value in column.values if value not in used)
    return Classes(tuple(positive), tuple(negative), neither, why, check)


def _cannot_tell(column: Column) -> SiteError:
    return SiteError(
        f"Nothing says which values of '{column.name}' are positive: {_counts(column)}. Say it "
        "with --positive VALUE, which may be repeated; all others are then negative. Another "
        "outcome is chosen with --outcome COLUMN."
    )


def _counts(column: Column) -> str:
    return ", ".join(f"'{value}' ({number})" for value, number in column.values.most_common(20))


def quoted(values: Iterable[str]) -> str:
    """Values in a sentence."""
    return ", ".join(f"'{value}'" for value in values)
