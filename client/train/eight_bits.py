"""AdamW with its moments in 8 bits, by bitsandbytes, where a site has it (arXiv:2110.02861)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, cast

from torch.optim import Optimizer

from shared.errors import SiteError
from shared.settings.config import RunConfig

LIBRARY = "bitsandbytes"


def require_optimizer(config: RunConfig) -> None:
    """SiteError where a run asks for moments in 8 bits and the library for them is not there."""
    if config.optimizer == "adamw8bit" and find_spec(LIBRARY) is None:
        raise SiteError(
            f"The run asks for optimizer=adamw8bit, and {LIBRARY} is not installed on this "
            "machine; install it where FedThaw is installed: pip install 'fedthaw[bitsandbytes]'.",
            shareable=f"the run asks for optimizer=adamw8bit, and {LIBRARY} is not installed there",
        )


def eight_bit_adamw(groups: Sequence[Mapping[str, Any]]) -> Optimizer:
    """AdamW over these groups; tensors of fewer than 4,096 weights keep moments in float32."""
    # What it lacks on import are kernels of other parts of it.
    logging.getLogger(LIBRARY).setLevel(logging.ERROR)
    from bitsandbytes.optim.adamw import AdamW8bit

    return cast("Optimizer", AdamW8bit(list(groups)))  # type: ignore[no-untyped-call]
