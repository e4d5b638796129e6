"""JSON that this program reads back: strict, bounded, and into types.

Files may be damaged, edited by hand or hostile. Whatever is wrong with one, its readers see
`DamagedFile`, or the OSError that says why it cannot be opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
MOST_BYTES = 2**28
"""Of one file; the largest that is written here, a long ledger, has a few megabytes."""
_MOST_DIGITS = 400
"""Of one number: float64 has no more before the point."""
_SHOWN = 200


class DamagedFile(ValueError):
    """What is in a file is not what belongs there; the text says where."""


def read_json(path: Path) -> Any:
    """The document in a file; DamagedFile if it is invalid, OSError if it cannot be opened."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise DamagedFile(f"it has {size} bytes; at most {MOST_BYTES} are read")
    return parse_json(path.read_bytes())


def parse_json(text: str | bytes) -> Any:
    """One document: UTF-8, no key twice in an object, finite numbers; DamagedFile otherwise."""
    with fitting():
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_finite,
            parse_int=_integer,
        )


def typed(value: Any, kind: type[_T]) -> _T:
    """A document as a dataclass, TypedDict or other type, its parts checked; DamagedFile."""
    with fitting():
        return msgspec.convert(value, kind)


@contextmanager
def fitting() -> Iterator[None]:
    """Turn what Python raises where a value is not as expected into DamagedFile."""
    try:
        yield
    except DamagedFile:
        raise
    except RecursionError:
        raise DamagedFile("it is nested too deeply") from None
    except KeyError as error:
        raise DamagedFile(f"{error} is missing") from error
    except (ValueError, TypeError, AttributeError, IndexError, ArithmeticError) as error:
        raise DamagedFile(_printable(str(error) or type(error).__name__)) from error


def said(error: Exception) -> str:
    """What is wrong with a file, for a sentence that names it."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error).rstrip(".")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        again = next(key for key in keys if keys.count(key) > 1)
        raise DamagedFile(_printable(f"the key {again!r} is there twice"))
    return found


def _no_number(name: str) -> float:
    raise DamagedFile(f"{name} is not a number")


def _finite(digits: str) -> float:
    value = float(digits)
    if abs(value) == float("inf"):
        raise DamagedFile(f"the number {_printable(digits)} is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise DamagedFile(f"a number has {len(digits)} digits")
    return int(digits)


def _printable(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
