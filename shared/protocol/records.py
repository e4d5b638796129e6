"""Reading typed values out of Flower records; every surprise is a ProtocolError."""

from __future__ import annotations

import math
import re

from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from shared.errors import ProtocolError
from shared.wire.packing import unpack

PROTOCOL_VERSION = 9
LONGEST_TEXT = 500
"""Characters; digests and words have far fewer."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

MOST_COUNTED = 2**29 - 1
"""No site has as many images, patients or steps, no run as many rounds."""
MOST_BYTES = 2**50
MOST = 1e12
"""No loss and no number of seconds is greater; their weighted sums stay finite, as JSON wants."""


def arrays_in(content: RecordDict, record: str) -> ArrayRecord:
    """The tensors of that name, unpacked."""
    found = content.get(record)
    if not isinstance(found, ArrayRecord):
        raise ProtocolError(f"the message has no tensors '{record}'")
    return unpack(found)


def settings_in(content: RecordDict, record: str) -> ConfigRecord:
    """The ConfigRecord of that name, of this protocol's version."""
    found = content.get(record)
    if not isinstance(found, ConfigRecord):
        raise ProtocolError(f"the message has no record '{record}'")
    version = found.get("protocol")
    if version != PROTOCOL_VERSION:
        theirs = f"protocol {version}" if type(version) is int else "another protocol"
        raise ProtocolError(
            f"the message is of {theirs}, this program of {PROTOCOL_VERSION}; "
            "install the same fedthaw at the coordinator and at all sites"
        )
    return found


def metrics_in(content: RecordDict, record: str) -> MetricRecord:
    """The MetricRecord of that name."""
    found = content.get(record)
    if not isinstance(found, MetricRecord):
        raise ProtocolError(f"the message has no metrics '{record}'")
    return found


def text(record: ConfigRecord, key: str, longest: int = LONGEST_TEXT) -> str:
    """A text value that may be shown: printable, and by default of a sentence's length."""
    value = _text(record, key)
    if len(value) > longest or not value.isprintable():
        raise ProtocolError(f"'{key}' is not printable text of at most {longest} characters")
    return value


def _text(record: ConfigRecord, key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise ProtocolError(f"'{key}' is missing or is not text")
    return value


def name(record: ConfigRecord, key: str) -> str:
    """A text that may become part of a path or of a table: letters, digits, '_', '.', '-'."""
    value = _text(record, key)
    if not _NAME.fullmatch(value):
        raise ProtocolError(f"'{key}' is not a plain name of letters, digits, '_', '.' and '-'")
    return value


def names(record: ConfigRecord, key: str) -> tuple[str, ...]:
    """A list of texts that may become parts of paths."""
    values = texts(record, key)
    if not all(map(_NAME.fullmatch, values)):
        raise ProtocolError(f"'{key}' holds something that is not a plain name")
    return tuple(values)


def flag(record: ConfigRecord, key: str) -> bool:
    """A truth value."""
    value = record.get(key)
    if not isinstance(value, bool):
        raise ProtocolError(f"'{key}' is missing or neither true nor false")
    return value


def texts(record: ConfigRecord, key: str) -> list[str]:
    """A list of texts."""
    value = record.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ProtocolError(f"'{key}' is missing or not a list of texts")
    return [str(item) for item in value]


def reals(record: ConfigRecord | MetricRecord, key: str) -> list[float]:
    """A list of finite numbers that are not negative."""
    value = record.get(key)
    if not isinstance(value, list):
        raise ProtocolError(f"'{key}' is missing or not a list of numbers")
    numbers = [
        float(item)
        for item in value
        if isinstance(item, int | float) and not isinstance(item, bool)
    ]
    if len(numbers) != len(value) or not all(math.isfinite(n) and n >= 0 for n in numbers):
        raise ProtocolError(f"'{key}' holds something that is not a finite, non-negative number")
    return numbers


def whole(
    record: ConfigRecord | MetricRecord, key: str, *, minimum: int = 0, maximum: int = MOST_COUNTED
) -> int:
    """An integer from `minimum` to `maximum`."""
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ProtocolError(f"'{key}' is missing or not an integer of at least {minimum}")
    if value > maximum:
        raise ProtocolError(f"'{key}' is {value}; at most {maximum} is possible")
    return value


def real(record: ConfigRecord | MetricRecord, key: str) -> float:
    """A finite number that is not negative, nor above MOST."""
    value = record.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ProtocolError(f"'{key}' is missing or not a number")
    if not math.isfinite(value) or value < 0:
        raise ProtocolError(
            f"'{key}' is {value}; it must be finite and not negative", diverged=True
        )
    if value > MOST:
        raise ProtocolError(f"'{key}' is {value:g}; at most {MOST:g} is possible", diverged=True)
    return float(value)


def counts(record: MetricRecord, key: str, length: int, maximum: int) -> list[int]:
    """A list of `length` counts, none above `maximum`."""
    value = record.get(key)
    if not isinstance(value, list) or len(value) != length:
        raise ProtocolError(f"'{key}' is missing or does not have {length} counts")
    if not all(isinstance(item, int) and item >= 0 for item in value):
        raise ProtocolError(f"'{key}' holds something that is not a count")
    if max(value, default=0) > maximum:
        raise ProtocolError(f"'{key}' holds a count above {maximum}")
    return [int(item) for item in value]
