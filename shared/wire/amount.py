"""How much memory the parts of a message will take, before they are put together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import Array
from flwr.app.message.arraychunk import ArrayChunk
from flwr.supercore.inflatable.inflatable_object import (
    get_object_body,
    get_object_children_ids_from_object_content,
    get_object_type_from_object_content,
)

_ARRAY, _PIECE = Array.__qualname__, ArrayChunk.__qualname__


@dataclass(frozen=True)
class Amount:
    """Bytes of a message's parts."""

    tensors: int
    """Each piece counted as often as an array names it, so that a few bytes may be any number."""
    rest: int
    """As Python objects they may take up to 40 times as much memory."""


def amount_of(parts: Mapping[str, bytes]) -> Amount:
    """What these parts, by name, take; raises what Flower raises for a hostile one."""
    kinds = {name: get_object_type_from_object_content(part) for name, part in parts.items()}
    return Amount(
        tensors=sum(_length(parts[name], parts, kinds) for name in parts if kinds[name] == _ARRAY),
        rest=sum(len(part) for name, part in parts.items() if kinds[name] != _PIECE),
    )


def _length(array: bytes, parts: Mapping[str, bytes], kinds: Mapping[str, str]) -> int:
    """Bytes of an array, each piece counted as often as the array names it."""
    pieces = get_object_children_ids_from_object_content(array)
    if any(kinds[piece] != _PIECE for piece in pieces):
        raise ValueError("an array has parts that are not pieces")
    named = json.loads(get_object_body(array, Array))["arraychunk_ids"]
    return sum(len(parts[pieces[number]]) for number in named)
