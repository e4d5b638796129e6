"""The classes as the owner names them: `none | mild | severe`, also such as nobody here has."""

from __future__ import annotations

import unicodedata

from client.declared import normalised_value
from client.proposal.classes import Classes, quoted
from client.proposal.columns import Column
from client.proposal.words import plain
from shared.errors import ConfigError, SiteError
from shared.outcome.registry import outcome_of

_KINDS = ("classes", "ordinal")


def given_classes(column: Column, text: str, *, ordinal: bool | None) -> Classes:
    """The classes of `--classes`, each with the values of the column that mean it.

    `text` is what a run's setting `outcome` has, with or without `ordinal:` before it; a class may
    say its values, `severe=2,3`. Without them a value means the class of its name, whatever the
    letter case. A value need not occur here, as other sites may have it. Raises
    SiteError for names that no outcome can have, for a value of two classes, and where none occurs.
    """
    text = unicodedata.normalize("NFC", text)  # as the table's cells are
    kind, colon, rest = text.partition(":")
    if not colon or kind.strip() not in _KINDS:
        kind, rest = "ordinal" if ordinal else "classes", text
    if kind.strip() == "ordinal" and ordinal is False:
        raise SiteError(
            "--classes says ordinal, and so --no-ordinal is wrong; leave one of them out."
        )
    parts = [part.partition("=") for part in rest.split("|")]
    names = [name.strip() for name, _, _ in parts]
    is_ordinal = bool(ordinal) or kind.strip() == "ordinal"
    try:
        outcome_of("ordinal" if is_ordinal else "classes", names)
    except ConfigError as error:
        raise SiteError(f"--classes: {error}") from error
    values = [_values(column, name.strip(), own) for name, _, own in parts]
    used: dict[str, str] = {}
    for name, own in zip(names, values, strict=True):
        for value in own:
            if (other := used.setdefault(value, name)) != name:
                raise SiteError(f"--classes: '{value}' means both {other} and {name}.")
    if not used.keys() & column.values.keys():
        raise SiteError(
            f"--classes: no value of '{column.name}' is one of these names; it has "
            f"{quoted(list(column.values)[:20])}. Say which mean a class, as in "
            f"'{names[0]}=VALUE,VALUE | ...'."
        )
    several = {name: own or (name,) for name, own in zip(names, values, strict=True)}
    absent = [one for own in several.values() for one in own if one not in column.values]
    return Classes(
        positive=(),
        negative=(),
        neither=tuple(value for value in column.values if value not in used),
        why="as --classes says",
        check=f"{quoted(absent)} does not occur in the table; check the spelling" if absent else "",
        several=several,
        ordinal=is_ordinal,
    )


def _values(column: Column, name: str, given: str) -> tuple[str, ...]:
    """A class's values: as given, in the table's spelling, or those that are its name."""
    if not given.strip():
        return tuple(value for value in column.values if _same(value, name))
    spelled = {normalised_value(value): value for value in column.values}
    wanted = filter(None, map(str.strip, given.split(",")))
    return tuple(dict.fromkeys(spelled.get(normalised_value(one), one) for one in wanted))


def _same(value: str, name: str) -> bool:
    if normalised_value(value) == normalised_value(name):
        return True
    return bool(plain(name)) and plain(value) == plain(name)
