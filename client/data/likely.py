"""Which name is likely meant by one that nothing has: typing errors, never another number."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from urllib.parse import unquote

from client.data.discover import IMAGE_SUFFIXES
from client.data.identity import folded

_COPY = re.compile(r"(\(\d+\)|copy|kopie|copie)$")
_CONFUSED = str.maketrans("oliz", "0112")
"""Letters that are taken for digits, and the other way round."""
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_SIMILAR = 0.8
_LONGEST = 255
"""Letters that are compared: of no file's name, and of no sound identifier, there are more."""
_MOST = 200
"""Names without a digit in common are compared with so many others at most."""


def likely_names(wanted: Iterable[str], names: Sequence[str]) -> dict[str, int]:
    """A wanted name -> the place of the one name that it likely means; without one, left out.

    Names are alike that differ in signs, zeros before a number, letters like digits and marks of a
    copy; or, with the same digits, in a few letters. A name that several may mean is nobody's.
    """
    skeletons = [_skeleton(name) for name in names]
    same: dict[str, list[int]] = defaultdict(list)
    digits: dict[str, list[int]] = defaultdict(list)
    for place, skeleton in enumerate(skeletons):
        same[skeleton].append(place)
        digits[_digits(skeleton)].append(place)
    found: dict[str, int] = {}
    for name in dict.fromkeys(wanted):
        skeleton = _skeleton(name)
        places = same.get(skeleton) or [
            place
            for place in digits.get(_digits(skeleton), ())[:_MOST]
            if SequenceMatcher(None, skeleton, skeletons[place]).ratio() >= _SIMILAR
        ]
        if len(places) == 1:
            found[name] = places[0]
    taken = Counter(found.values())
    return {name: place for name, place in found.items() if taken[place] == 1}


def _skeleton(name: str) -> str:
    text = unquote(name.replace("\\", "/").rpartition("/")[2][-_LONGEST:])
    text = folded(unicodedata.normalize("NFKC", text))
    while text.endswith(tuple(IMAGE_SUFFIXES)):
        text = text[: text.rindex(".")]
    text = _COPY.sub("", text).translate(_CONFUSED)
    return _ZEROS.sub("", re.sub(r"[\W_]+", " ", text)).replace(" ", "")


def _digits(skeleton: str) -> str:
    return "".join(sign for sign in skeleton if sign.isdigit())
