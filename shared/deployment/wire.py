"""What coordinator and site agree on in addition to Flower's own protocol."""

from __future__ import annotations

WAIT_HEADER = "fedthaw-wait"
"""Seconds that the coordinator may hold a site's question for messages before it answers."""
WAIT_LIMIT = 20.0
SIZE_HEADER = "fedthaw-bytes"
"""The bytes of all parts of a reply, announced before they are sent."""
STRANGER = "no registered site's signature of this moment"
"""What the coordinator answers with 401 where no registered key has signed a request."""
PIECE_BYTES = 4 * 2**20
"""Into pieces of this size a message's tensors are cut; each costs a request."""
PIECE_VARIABLE = "FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE"
"""Where Flower reads it, once, when it is imported."""
HEARTBEAT_SECONDS = 10
"""How often a site says that it is there; after two that are missed it counts as away."""
