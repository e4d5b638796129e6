"""Classes as a command line names them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping

from shared.errors import SiteError


def class_names(text: str) -> Mapping[int, str]:
    """The names of the classes 0, 1, ... from `a,b,c`; none of an empty text.

    SiteError where one is empty or stands twice.
    """
    composed = unicodedata.normalize("NFC", text)
    names = [name.strip() for name in composed.split(",")] if text else []
    if "" in names or len(set(names)) < len(names):
        raise SiteError(f"--names is '{text}'; give each class a name of its own, as cat,dog.")
    return dict(enumerate(names))


def class_order(labels: Collection[int], names: Mapping[int, str]) -> list[str]:
    """The classes of the images as their table has them, in the order of their numbers.

    With names all that are named: a site may have no image of a class that others have.
    """
    numbers = sorted({*labels, *names})
    return [names.get(number, str(number)) for number in numbers]


def chosen_classes(text: str, names: Mapping[int, str]) -> frozenset[int]:
    """The numbers of the classes in `3,5` or by name; none of an empty text.

    SiteError for a class that is neither a name nor a number from 0 to 255.
    """
    numbers = {name: number for number, name in names.items()}
    chosen = set()
    composed = unicodedata.normalize("NFC", text)
    for word in filter(None, (one.strip() for one in composed.split(","))):
        if word in numbers:
            chosen.add(numbers[word])
        elif word.isascii() and word.isdigit() and int(word) <= 255:
            chosen.add(int(word))
        else:
            known = f" ({', '.join(numbers)})" if numbers else ""
            raise SiteError(
                f"--classes has '{word}'; give numbers from 0 to 255 or names of --names{known}."
            )
    return frozenset(chosen)
