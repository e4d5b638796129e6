"""Which values of the labels' columns mean that a label is there, and which that it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from client.declared import normalised_value
from client.proposal.classes import Classes, meanings_of, quoted
from client.proposal.columns import Column
from client.proposal.labels import Label, Labels
from client.proposal.several import several_classes
from client.proposal.words import grade_of, is_unknown
from shared.errors import SiteError

_PAIRS = (
    ("1", "0"), ("yes", "no"), ("y", "n"), ("true", "false"), ("positive", "negative"),
    ("pos", "neg"), ("present", "absent"), ("presence", "absence"), ("abnormal", "normal"),
    ("ja", "nein"), ("oui", "non"), ("positiv", "negativ"),
)  # fmt: skip
_OPPOSITE = {**dict(_PAIRS), **{no: yes for yes, no in _PAIRS}}


def labels_of(
    columns: Mapping[str, Column], positive: Sequence[str], negative: Sequence[str]
) -> Labels:
    """The labels with the values of each, by the words of its column.

    `positive` and `negative` count for each label whose column has such a value: with one of them
    alone all its other values are of the other side, with both they are missing. A side of which
    a column has no value gets what other columns have, since other sites may have patients of it.
    Raises SiteError for values that no column has, for columns without any value, and
    for those of which nothing says what is positive.
    """
    all_columns = list(columns.values())
    given = (
        _in_columns(all_columns, positive, "--positive"),
        _in_columns(all_columns, negative, "--negative"),
    )
    if both := set(given[0]) & set(given[1]):
        raise SiteError(f"{quoted(both)} stands in both --positive and --negative.")
    found = {name: _classes(column, *given) for name, column in columns.items()}
    if unclear := [columns[name] for name, classes in found.items() if classes is None]:
        raise _cannot_tell(unclear)
    guessed = {name: classes for name, classes in found.items() if classes is not None}
    if not any(classes.positive or classes.negative for classes in guessed.values()):
        raise SiteError(
            f"No row says whether any label is there: {_named(all_columns)}; name other columns, "
            "as in --labels 'effusion=COLUMN'."
        )
    others = list(guessed.values())
    return Labels(
        tuple(
            Label(name, columns[name], _both_sides(columns[name], classes, others))
            for name, classes in guessed.items()
        )
    )


def _in_columns(columns: Sequence[Column], wanted: Iterable[str], option: str) -> tuple[str, ...]:
    """The values, normalised; a text that no column has is split at its commas."""
    known = {normalised_value(value): value for column in columns for value in column.values}
    found = []
    for text in wanted:
        for part in [text] if normalised_value(text) in known else text.split(","):
            if normalised_value(part) not in known:
                raise SiteError(
                    f"{option} is '{text}', but no label's column has such a value; they have "
                    f"{quoted(list(known.values())[:20])}."
                )
            found.append(normalised_value(part))
    return tuple(dict.fromkeys(found))


def _classes(
    column: Column, positive: tuple[str, ...], negative: tuple[str, ...]
) -> Classes | None:
    """Those of one column, a side perhaps without values; None where nothing tells them apart."""
    spelled = {normalised_value(value): value for value in column.values}
    own = [tuple(spelled[v] for v in side if v in spelled) for side in (positive, negative)]
    if any(own):
        return _as_given(column, own, positive, negative)
    known = [value for value in column.values if not is_unknown(value)]
    if {normalised_value(value) for value in known} <= {"0", "1"}:
        meaning, check = {value: normalised_value(value) == "1" for value in known}, ""
    elif several_classes(known) or any(grade_of(value) is not None for value in known):
        return None
    else:
        meaning, check = meanings_of(column, known)
    if len(meaning) < len(known):
        return None
    sides = [tuple(v for v in known if meaning[v] is wanted) for wanted in (True, False)]
    return _sorted(column, sides[0], sides[1], "by their words", check)


def _as_given(
    column: Column,
    own: Sequence[tuple[str, ...]],
    positive: tuple[str, ...],
    negative: tuple[str, ...],
) -> Classes:
    """The classes as the options say; `own` are the values of either that the column has."""
    why = "as the options say"
    if positive and negative:  # what does not occur here may at other times
        return _sorted(column, own[0] or positive, own[1] or negative, why, "")
    named = {*own[0], *own[1]}
    rest = tuple(v for v in column.values if v not in named and not is_unknown(v))
    other = "negative" if positive else "positive"
    check = f"all other values count as {other}: {quoted(rest)}" if rest else ""
    return _sorted(column, own[0] or rest, own[1] or rest, why, check)


def _sorted(
    column: Column, positive: tuple[str, ...], negative: tuple[str, ...], why: str, check: str
) -> Classes:
    used = {*positive, *negative}
    neither = tuple(value for value in column.values if value not in used)
    return Classes(positive, negative, neither, why, check)


def _both_sides(column: Column, classes: Classes, others: Sequence[Classes]) -> Classes:
    """The classes with a value on either side."""
    positive = classes.positive or _missing(
        column, classes.negative, [one.positive for one in others], "1"
    )
    negative = classes.negative or _missing(column, positive, [one.negative for one in others], "0")
    return replace(classes, positive=positive, negative=negative)


def _missing(
    column: Column, known: tuple[str, ...], others: Iterable[tuple[str, ...]], usual: str
) -> tuple[str, ...]:
    """The values of the side that the column lacks: the opposite, or those of the other labels."""
    taken = {normalised_value(value) for value in (*known, *column.values)}
    words = filter(None, (_OPPOSITE.get(normalised_value(value)) for value in known))
    for values in (*((word,) for word in words), *others, (usual,)):
        if values and not taken & set(map(normalised_value, values)):
            return values
    side = "positive" if usual == "1" else "negative"
    raise SiteError(
        f"No value of '{column.name}' is left to be {side}: {quoted(known)}. Say which is with "
        f"--{side} VALUE."
    )


def _cannot_tell(columns: Sequence[Column]) -> SiteError:
    return SiteError(
        f"Nothing says which values of these labels are positive: {_named(columns)}. Say it with "
        "--positive VALUE, which may be repeated and counts for each label whose column has the "
        "value; its other values are then negative, or missing if --negative VALUE is given too."
    )


def _named(columns: Sequence[Column]) -> str:
    """Columns with their commonest values."""
    return "; ".join(
        f"'{column.name}' ("
        + (", ".join(f"'{v}' {n}" for v, n in column.values.most_common(8)) or "no value")
        + ")"
        for column in columns
    )
