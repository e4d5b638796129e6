"""A reply put together from its parts, of which nothing is believed.

Flower looks at the head of a part when a site sends it. What the parts hold, how they fit together
and what becomes of them in memory is looked at here, before it is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from flwr.app import Array, Message
from flwr.app.message.arraychunk import ArrayChunk
from flwr.supercore.inflatable.inflatable_object import (
    get_object_body,
    get_object_children_ids_from_object_content,
    get_object_type_from_object_content,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from shared.errors import ProtocolError
from shared.wire.size import serialized_size

TENSORS_LIMIT = 2**28
"""Bytes of a reply's tensors; a whole ResNet-50 in float32 has 94 MB. An array may name a piece of
itself many times, so that a few bytes could become any number."""
REST_LIMIT = 2**20
"""Bytes of all that is no tensors; as Python's objects it takes up to 40 times as many."""
_ARRAY, _PIECE = Array.__qualname__, ArrayChunk.__qualname__


def unpacked(name: str, parts: dict[str, bytes]) -> Message:
    """The message of that name; `parts`, by name, are used up.

    ProtocolError where there is none in them, whatever is wrong, or one that takes too much memory.
    """
    try:
        _require_modest(parts)
        found = inflate_object_from_contents(name, parts)
        if isinstance(found, Message) and found.has_content():
            serialized_size(
                found.content
            )  # it is counted later, and names and shapes may be absurd
    except ProtocolError:
        raise
    except Exception as error:
        # Flower raises whatever it stumbles over; the error's own text may be the site's.
        raise ProtocolError(f"its reply cannot be read ({type(error).__name__})") from error
    if not isinstance(found, Message):
        raise ProtocolError("its reply cannot be read (it is no message)")
    return found


def _require_modest(parts: Mapping[str, bytes]) -> None:
    """ProtocolError where the parts would become more than a reply may be."""
    kinds = {name: get_object_type_from_object_content(part) for name, part in parts.items()}
    rest = sum(len(part) for name, part in parts.items() if kinds[name] != _PIECE)
    if rest > REST_LIMIT:
        raise ProtocolError(f"its reply has {rest} bytes beside tensors; {REST_LIMIT} are allowed")
    tensors = sum(_length(parts[name], parts, kinds) for name in parts if kinds[name] == _ARRAY)
    if tensors > TENSORS_LIMIT:
        raise ProtocolError(f"its tensors take {tensors} bytes; {TENSORS_LIMIT} are allowed")


def _length(array: bytes, parts: Mapping[str, bytes], kinds: Mapping[str, str]) -> int:
    """Bytes of an array, each piece counted as often as the array names it."""
    pieces = get_object_children_ids_from_object_content(array)
    if any(kinds[piece] != _PIECE for piece in pieces):
        raise ValueError("an array is made of something else than pieces")
    named = json.loads(get_object_body(array, Array))["arraychunk_ids"]
    return sum(len(parts[pieces[number]]) for number in named)
