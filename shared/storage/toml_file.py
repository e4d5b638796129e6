"""TOML that somebody has written by hand."""

from __future__ import annotations

import tomllib
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML document; ValueError, with a reason to be shown, for other text.

    What Python's own limits refuse (integers of more than 4,300 digits, deep nesting) is no TOML
    either: its errors would be about the interpreter.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None
    except ValueError:
        raise ValueError("it holds an integer with too many digits") from None
