"""Flower mods of the site's app: each wraps every message on its way to the handlers and back.

A mod is a function `(message, context, call_next) -> message`; the first of `MODS` is outermost.
They stand here, and not in a site's settings, so that they are part of the bundle: its hash covers
them, and a site runs none that its owner has not approved. A mod that fails is answered for as a
handler is, with nothing of the site in the error.

A mod sees messages as they travel: an update is one block of bytes with an index
(`shared/wire/packing.py`). Flower's mods that change weights (clipping, local differential privacy,
secure aggregation) expect named arrays and do not work on it; what happens to an update is a step
in `shared/update`. `arrays_size_mod` and the like, and mods of one's own that time, count or log,
do work.
"""

from __future__ import annotations

from flwr.clientapp.typing import Mod

MODS: list[Mod] = []
