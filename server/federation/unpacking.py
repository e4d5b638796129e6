"""A reply put together from its parts, of which nothing is believed.

Flower looks at the head of a part when a site sends it. What the parts hold, how they fit together
and what becomes of them in memory is looked at here, before it is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from flwr.app import Message
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

from shared.errors import ProtocolError
from shared.wire.amount import amount_of
from shared.wire.size import serialized_size

TENSORS_LIMIT = 2**28
"""Bytes of a reply's tensors; a whole ResNet-50 in float32 has 94 MB. An array may name a piece of
itself many times, so that a few bytes could become any number."""
REST_LIMIT = 2**20
"""Bytes of all that is no tensors; as Python's objects it takes up to 40 times as many."""


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
        # Flower raises on whatever it cannot read; the error's own text may be the site's.
        raise ProtocolError(f"its reply cannot be read ({type(error).__name__})") from error
    if not isinstance(found, Message):
        raise ProtocolError("its reply cannot be read (it is not a message)")
    return found


def _require_modest(parts: Mapping[str, bytes]) -> None:
    """ProtocolError where the parts would become more than a reply may be."""
    amount = amount_of(parts)
    if amount.rest > REST_LIMIT:
        raise ProtocolError(
            f"its reply has {amount.rest} bytes besides tensors; {REST_LIMIT} are allowed"
        )
    if amount.tensors > TENSORS_LIMIT:
        raise ProtocolError(f"its tensors take {amount.tensors} bytes; {TENSORS_LIMIT} are allowed")
