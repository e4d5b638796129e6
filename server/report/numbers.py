"""Numbers as the page writes them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from server.terminal.decimals import as_rounded, interval_as_rounded

NOT_SHOWN, NOT_DEFINED = "not shown", "not defined"
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def share(value: float | None, digits: int = 3) -> str:
    """A share, area or probability."""
    return NOT_DEFINED if value is None else f"{value:.{digits}f}"


def metric(value: float | None) -> str:
    """A metric as it is shown: with three decimals, or the fewer that its column was rounded to."""
    return NOT_DEFINED if value is None else as_rounded(value)


def metric_interval(limits: tuple[float, float] | None) -> str:
    """The two limits of a metric's interval."""
    return NOT_DEFINED if limits is None else interval_as_rounded(limits)


def percent(value: float) -> str:
    """A share in whole percent, with a space that does not break."""
    return f"{value:.0%}".replace("%", "\u00a0%")


def interval(limits: tuple[float, float] | None, digits: int = 3) -> str:
    """Two limits."""
    return NOT_DEFINED if limits is None else f"{limits[0]:.{digits}f} to {limits[1]:.{digits}f}"


def count(value: int | None) -> str:
    """A count; None is one that is not to be shown."""
    return NOT_SHOWN if value is None else f"{value:,}"


def megabytes(size: int) -> str:
    """Bytes in decimal megabytes or gigabytes."""
    if size < 1e6:
        return f"{size / 1e3:.1f} kB" if size < 99_950 else f"{size / 1e3:.0f} kB"
    if size < 1e9:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e9:.2f} GB"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def in_words(number: int, singular: str, plural: str) -> str:
    """A number with its noun, small ones as a word: `four sites`."""
    word = _WORDS[number] if number < len(_WORDS) else f"{number:,}"
    return f"{word} {singular if number == 1 else plural}"


def capitalised(sentence: str) -> str:
    """The sentence with its first letter large, the others as they are."""
    return sentence[:1].upper() + sentence[1:]


def listed(names: Iterable[str]) -> str:
    """Names in a sentence: `a, b and c`."""
    *before, last = [*names] or ["none"]
    return f"{', '.join(before)} and {last}" if before else last


def ranges(numbers: Iterable[int]) -> str:
    """Integers with runs joined: `1 to 4, 7`."""
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs(numbers)) or "none"


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of integers."""
    ordered = sorted(numbers)
    gaps = [(before, after) for before, after in pairwise(ordered) if after > before + 1]
    starts = [*ordered[:1], *(after for _, after in gaps)]
    ends = [*(before for before, _ in gaps), *ordered[-1:]]
    return list(zip(starts, ends, strict=True))
