"""Which registered site a request comes from, before a byte of its body is read.

Flower checks the same signature again, and what the body claims with it; here it keeps strangers
from making the server hold anything for them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_HEADER, TIMESTAMP_TOLERANCE
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLEET_HTTP_SIGNATURE_HEADER
from flwr.supercore.date import now
from flwr.supercore.primitives.asymmetric import bytes_to_public_key, verify_signature

from server.link.superlink.state import Link


def identify(headers: Mapping[bytes, bytes], link: Link) -> int | None:
    """The node whose registered key has signed the request's time, None for a stranger."""
    try:
        key = _decoded(headers, FLEET_HTTP_PUBLIC_KEY_HEADER)
        signature = _decoded(headers, FLEET_HTTP_SIGNATURE_HEADER)
        stamp = headers[TIMESTAMP_HEADER.encode("ascii")]
        age = (now() - datetime.fromisoformat(stamp.decode("ascii"))).total_seconds()
    except (KeyError, ValueError, TypeError, binascii.Error):
        return None
    if not -SYSTEM_TIME_TOLERANCE < age < TIMESTAMP_TOLERANCE + SYSTEM_TIME_TOLERANCE:
        return None
    # Only a key that is registered is ever parsed.
    node = link.get_node_id_by_public_key(key)
    try:
        if node is None or not verify_signature(bytes_to_public_key(key), stamp, signature):
            return None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return node


def _decoded(headers: Mapping[bytes, bytes], name: str) -> bytes:
    return base64.b64decode(headers[name.lower().encode("ascii")], validate=True)
